# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Says after each play how many API calls it made."""

from __future__ import annotations

DOCUMENTATION = r"""
name: calls
type: aggregate
short_description: Print the number of API calls of each play
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - After each play, the number of API calls that the modules of this collection made to each cluster and backup server,
    and how many of them wrote.
requirements:
  - enabled in the configuration (C(callbacks_enabled = quorate.pve.calls))
"""

from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.callback import CallbackBase
from ansible_collections.quorate.pve.plugins.module_utils._run_records import notes


class CallbackModule(CallbackBase):
    """Reads what the action noted."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "quorate.pve.calls"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """The one before has ended."""
        self._say()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The last one has ended."""
        self._say()

    def _say(self) -> None:
        found = notes(Path(C.DEFAULT_LOCAL_TMP))
        new, self._seen = found[self._seen :], len(found)
        calls: dict[str, list[int]] = {}
        for note in new:
            numbers = calls.setdefault(str(note["target"] or note["host"]), [0, 0])
            numbers[0] += note["calls"]
            numbers[1] += note["written"]
        said = [f"{name} {made} ({written} written)" for name, (made, written) in calls.items() if made]
        if said:
            self._display.display(f"\nAPI calls  {', '.join(said)}")
