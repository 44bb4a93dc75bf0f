# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of a whole cluster that HA does not look after, started in their order and shut down in the opposite one.

Private to this collection. The order is that of the guests' option ``startup``, over all nodes: those without one come
last, and are shut down first (facts §14).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ._api import Api
from ._errors import ApiError, QuorateError, StateError
from ._ha import SERVICES
from ._parallel import all_or_error, side_by_side
from ._plan import UPDATE, Change, simple_change
from ._power_note import Guest
from ._pure.property_string import parse_property_string

STOP, LEAVE = "stop", "leave"
POLICIES = (STOP, LEAVE)
"""What is done with a guest that does not shut down in time: its power is cut, or the shutdown is given up."""

_SECONDS = {"type": "integer", "minimum": 0, "optional": 1}
STARTUP = {"order": {**_SECONDS, "default_key": 1}, "up": _SECONDS, "down": _SECONDS}

MARGIN = 60.0
"""Seconds on top of what a guest has for its shutdown: the task's own."""


def running(api: Api, nodes: Iterable[str]) -> dict[int, tuple[str, str]]:
    """Number -> node and kind of the guests that run, as the nodes themselves say."""
    places = [(node, kind) for node in nodes for kind in SERVICES]
    lists = all_or_error(side_by_side(lambda place: api.client.get(f"/nodes/{place[0]}/{place[1]}"), places))
    return {
        int(guest["vmid"]): place
        for place, guests in zip(places, lists, strict=True)
        for guest in guests
        if guest.get("status") == "running"
    }


def observe(api: Api, nodes: Iterable[str], managed: Iterable[str]) -> list[Guest]:
    """The guests that run now. ``managed``: the resources that HA looks after."""
    under_ha = set(managed)
    found = [
        Guest(vmid, kind, node, f"{SERVICES[kind]}:{vmid}" in under_ha)
        for vmid, (node, kind) in sorted(running(api, nodes).items())
    ]
    others = [guest for guest in found if not guest.managed]
    configs = all_or_error(
        side_by_side(lambda guest: api.client.get(f"/nodes/{guest.node}/{guest.kind}/{guest.vmid}/config"), others)
    )
    for guest, config in zip(others, configs, strict=True):
        given = startup(str(config.get("startup") or ""))
        guest.order, guest.up, guest.down = given.get("order"), given.get("up") or 0, given.get("down")
    return found


def startup(text: str) -> dict[str, int]:
    """The option ``startup``, such as ``order=1,up=30``; ``order`` may go without its name."""
    values = parse_property_string(text, STARTUP) if text else {}
    return {name: int(value) for name, value in values.items()}


def describe(guest: Guest, *, runs: bool) -> Change:
    """The change in words."""
    return simple_change(UPDATE, "guest", f"{guest.vmid} on {guest.node}", {"running": runs}, {"running": not runs})


def _waves(guests: Sequence[Guest], *, backwards: bool) -> Iterator[list[Guest]]:
    def place(guest: Guest) -> tuple[bool, int]:
        return guest.order is None, guest.order or 0

    for _place, wave in groupby(sorted(guests, key=place, reverse=backwards), key=place):
        yield list(wave)


def shut_down(api: Api, guests: Sequence[Guest], timeout: float, policies: Mapping[int, str], policy: str) -> None:
    """Shut them down, the last in the order first. Raises :class:`StateError` naming those that do not obey."""

    def one(guest: Guest) -> None:
        seconds = int(guest.down if guest.down is not None else timeout)
        payload = {"timeout": seconds, "forceStop": policies.get(guest.vmid, policy) == STOP}
        path = f"/nodes/{guest.node}/{guest.kind}/{guest.vmid}/status/shutdown"
        _finish(api, path, payload, guest, seconds + MARGIN, wanted="stopped")

    for wave in _waves(guests, backwards=True):
        _all(wave, one, "do not shut down", f"Say {STOP} for them to have their power cut (guests, stubborn).")


def start(api: Api, guests: Sequence[Guest], timeout: float) -> None:
    """Start them in their order. One that cannot start keeps no other from it; they are named in the error."""

    def one(guest: Guest) -> None:
        path = f"/nodes/{guest.node}/{guest.kind}/{guest.vmid}/status/start"
        _finish(api, path, {}, guest, timeout, wanted="running")

    errors: list[str] = []
    for wave in _waves(guests, backwards=False):
        try:
            _all(wave, one, "do not start", "")
        except StateError as error:
            errors.append(error.message)
        if pause := max(guest.up for guest in wave):
            api.client.clock.sleep(pause)
    if errors:
        raise StateError("; ".join(errors), where="note", hint="Put that right, and run again.")


def _finish(api: Api, path: str, payload: Mapping[str, Any], guest: Guest, timeout: float, *, wanted: str) -> None:
    try:
        api.finish_task(api.client.post(path, payload), timeout, f"guest {guest.vmid}")
    except QuorateError:
        # a node that boots starts guests by itself, and users shut theirs down: then it is as wanted all the same
        try:
            now = api.client.get(f"/nodes/{guest.node}/{guest.kind}/{guest.vmid}/status/current")
        except ApiError:
            now = {}
        if now.get("status") != wanted:
            raise


def _all(wave: Sequence[Guest], work: Any, what: str, hint: str) -> None:
    results = side_by_side(work, wave)
    wrong = {guest.vmid: error for guest, error in zip(wave, results, strict=True) if isinstance(error, QuorateError)}
    if wrong:
        reasons = "; ".join(f"{vmid}: {error}" for vmid, error in wrong.items())
        raise StateError(f"guests {', '.join(map(str, wrong))} {what} ({reasons})", where="guests", hint=hint)
