# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this login may do, asked before a work that must not break off in its middle. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._api import Api
from ._errors import StateError

ALL_GUESTS = ("/vms", "VM.Audit")
"""Guests that may not be seen are in no list: who is about to switch something off would overlook them."""

_NAMED = 8


def require(api: Api, wanted: Iterable[tuple[str, str]], nothing: str = "Nothing was changed.") -> None:
    """Refuse unless this login has all privileges that are ``wanted``, pairs of path and privilege (facts §17).

    Raises :class:`StateError` naming those that are missing. Asks nothing if nothing is wanted; else one call, and one
    for each path that is not sure to have what it needs.
    """
    pairs = list(dict.fromkeys(wanted))
    if not pairs:
        return
    held = _of(api)
    unsure = [(path, privilege) for path, privilege in pairs if not _inherits(held, path, privilege)]
    # a guest may have its rights from a pool, whose members are not listed by every server
    exact = {path: _of(api, path).get(path) or {} for path in dict(unsure)}
    missing = [f"{privilege} on {path}" for path, privilege in unsure if privilege not in exact[path]]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise StateError(
            f"this login lacks {', '.join(missing[:_NAMED])}{more}",
            where="api_user",
            hint=f"Give them to the user (and its token); docs/rights.md has all that is needed. {nothing}",
        )


def _of(api: Api, path: str | None = None) -> Mapping[str, Mapping[str, Any]]:
    """Path -> privilege -> whether it is handed on to what is below; of one path, or of all that have rules."""
    return dict(api.client.call("GET", "/access/permissions", {"path": path}) or {})


def _inherits(held: Mapping[str, Mapping[str, Any]], path: str, privilege: str) -> bool:
    """Whether the listed path that is nearest to this one has the privilege, and hands it on."""
    place = path
    while place not in held and place != "/":
        place = place.rpartition("/")[0] or "/"
    propagates = held.get(place, {}).get(privilege)
    return propagates is not None and (place == path or bool(int(propagates)))
