# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows what long tasks of the server say while they run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: aggregate
short_description: Show the log lines of long tasks while they run
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - While a module of this collection waits for a task of the server (a join, an OSD, a migration, a backup, a restore),
    its log is shown line by line, and of lines with a percentage one for every ten percent.
  - Tasks that end within two seconds are not mentioned. A task that is followed costs one more API call each
    time that it is asked for.
requirements:
  - enabled in the configuration (C(callbacks_enabled = quorate.pve.progress))
"""

from ansible.plugins.callback import CallbackBase
from ansible_collections.quorate.pve.plugins.module_utils import _progress


class CallbackModule(CallbackBase):
    """Listens; what workers say comes here by Ansible's own queue for messages, one whole line at a time."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "quorate.pve.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        _progress.listener = self._show

    def _show(self, line: str) -> None:
        self._display.display(line)
