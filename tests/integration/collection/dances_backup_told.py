# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules about what a backup server tells, and to whom."""

from __future__ import annotations

from typing import Any

from .dances import Dance
from .dances_access import DANCES as NODES

HOSTS = 1


def _on_a_backup_server(dance: Dance, old: str, new: str) -> Dance:
    """The steps are the same: notifications are configured alike on both products."""

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(old, new)
        if isinstance(value, list):
            return [renamed(each) for each in value]
        return {name: renamed(each) for name, each in value.items()} if isinstance(value, dict) else value

    others = tuple((f"pbs_{name}", renamed(step)) for name, step in dance.after)
    return Dance(tuple(renamed(step) for step in dance.steps), after=others)


DANCES: dict[str, Dance] = {
    f"pbs_{name}": _on_a_backup_server(NODES[name], "type=vzdump,replication", "type=verify,sync")
    for name in ("notification_endpoints", "notification_matchers")
}
