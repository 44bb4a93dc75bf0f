# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many objects one task may change or remove before somebody has to say that it is meant.

Pure. Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ._errors import InputError, StateError
from ._plan import CREATE, DELETE, Change
from ._pure.lists import natural_sorted

_LIMIT = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")
SHOWN = 20
"""Objects that a refusal names; it says how many more there are."""


def allowance(limit: str | float, existing: int, where: str) -> int:
    """The number of objects that ``20%`` or ``7`` allows of ``existing``: of a share never less than one.

    A share of a small set would be none of it, and a set of one could never be changed. ``0`` and ``0%`` allow none.
    Raises :class:`InputError`.
    """
    match = _LIMIT.fullmatch(str(limit).strip())
    if not match or (match[2] and float(match[1]) > 100) or (not match[2] and "." in match[1]):
        raise InputError(f"'{limit}' is neither a share such as 20% nor a number of objects", where=where)
    if not match[2]:
        return int(match[1])
    return max(1, int(existing * float(match[1]) / 100)) if float(match[1]) else 0


def limit_purge(kind: str, changes: Sequence[Change], existing: int, limit: str) -> None:
    """Refuse to purge more than ``limit`` of the ``existing`` objects. What an element says itself is not counted."""
    purged = [change for change in changes if change.action == DELETE and not change.where and change.kind == kind]
    allowed = allowance(limit, existing, "purge_limit")
    if len(purged) <= allowed:
        return
    raise StateError(
        f"purge would remove {len(purged)} of {existing} objects of the kind '{kind}', and purge_limit: {limit} allows "
        f"{allowed}: {_named(purged)}",
        where="purge",
        hint=f"If that is meant, set purge_limit: {len(purged)}; what shall stay needs an element in the list "
        "(state: ignore). Nothing was changed.",
    )


def limit_changes(kind: str, changes: Sequence[Change], existing: int, limit: str | float) -> None:
    """Refuse to change or remove more than ``limit`` of the ``existing`` objects; new ones harm none of those."""
    touched = [change for change in changes if change.action != CREATE and change.kind == kind]
    allowed = allowance(limit, existing, "pve_safety.max_changes")
    if len(touched) <= allowed:
        return
    raise StateError(
        f"{len(touched)} of {existing} objects of the kind '{kind}' would be changed or removed, and "
        f"pve_safety.max_changes: {limit} allows {allowed}: {_named(touched)}",
        hint="If that is meant, raise pve_safety.max_changes for this run. Nothing was changed.",
    )


def _named(changes: Sequence[Change]) -> str:
    names = natural_sorted(change.label for change in changes)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
