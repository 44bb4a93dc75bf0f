# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a cluster back to what the note of its shutdown says. Private to this collection.

Every step looks first, so that it can be made again: after a start that broke off, and after a shutdown that did.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from . import _ceph_flags, _power_guests
from ._api import Api
from ._ceph import HERE, inactive_groups
from ._ceph_osd_removal import osds_in
from ._errors import ApiError
from ._ha import wait_for_services
from ._ha_pause import HaPause
from ._login_rights import ALL_GUESTS
from ._plan import UPDATE, Change, simple_change
from ._power_note import Guest, Note
from ._wait import PASSING, wait_until

RESOURCES = "/cluster/ha/resources"
OFF = "disabled"
"""What HA is asked for in a shutdown: off, and not recovered while nodes come back one by one (facts §7.6)."""

FLAGS = ("noout", "norecover", "norebalance", "nobackfill", "nodown", "pause")
"""Set while all of a cluster is off (documentation of Proxmox VE, Ceph: shutdown of a cluster)."""

DOWN, CLIENTS = "nodown", "pause"
"""The first that goes: then it shows which OSDs are up; and the last: writes wait until all data is there."""


def ha_states(api: Api) -> dict[str, str]:
    """Resource -> the state that is asked for; a resource without one is started (facts §7.1)."""
    return {str(each["sid"]): str(each.get("state") or "started") for each in api.client.get(RESOURCES)}


def ask_for(api: Api, states: Mapping[str, str], timeout: float) -> None:
    """Ask for states of resources, and wait until the manager has brought them about."""
    present = ha_states(api)
    for sid, state in states.items():
        if present.get(sid) != state:
            api.client.put(f"{RESOURCES}/{sid}", {"state": state})
    wait_for_services(api.client, states, timeout)


def osds_up(api: Api) -> dict[str, str]:
    """Number -> node of the OSDs that are up."""
    tree = api.client.get(f"{HERE}/osd").get("root") or {}
    return {str(osd["id"]): str(osd.get("host")) for osd in osds_in(tree) if osd.get("status") == "up"}


def rights(note: Note, *, ha: bool) -> Iterator[tuple[str, str]]:
    """What a login needs to bring it back (path, privilege); ``ha``: whether HA has to be asked for anything."""
    yield ALL_GUESTS
    yield from ((f"/vms/{guest.vmid}", "VM.PowerMgmt") for guest in note.others)
    if ha:
        yield "/", "Sys.Console"
    if note.flags:
        yield "/", "Sys.Modify"


def foretell(note: Note) -> list[Change]:
    """What will have to be brought back, while nobody is there to be asked."""
    return [
        *(_flag(name) for name in note.flags),
        *([_PUT_BACK] if note.ha_aside else []),
        *(_power_guests.describe(guest, runs=True) for guest in note.others),
        *(_resource(sid, state, OFF) for sid, state in note.ha.items()),
    ]


_PUT_BACK = simple_change(UPDATE, "HA", "of the cluster", {"set aside": False}, {"set aside": True})


def _flag(name: str) -> Change:
    return simple_change(UPDATE, "flag", name, {"set": False}, {"set": True})


def _resource(sid: str, wanted: str, present: str) -> Change:
    return simple_change(UPDATE, "HA resource", sid, {"state": wanted}, {"state": present})


class Return:
    """What is to be brought back. ``away``: nodes that stay off."""

    def __init__(self, api: Api, note: Note, timeout: float, away: Collection[str] = ()) -> None:
        self.api, self.note, self.timeout = api, note, timeout
        self.away = frozenset(away)
        self.here = [node for node in note.boots if node not in self.away]

    def plan(self) -> list[Change]:
        """What differs from the note."""
        return [*self._flags(), *self._aside(), *self._guests(), *self._resources()]

    def go(self, pause: HaPause) -> None:
        """Do it: Ceph, then what HA does not look after, then what it does. May be repeated; raises QuorateError."""
        if self.note.ceph:
            self._ceph()
        if self.note.ha_aside:
            pause.put_back()
        _power_guests.start(self.api, self._missing(), self.timeout)
        ask_for(self.api, self._states(), self.timeout)
        self._verify()

    # Ceph

    def _set(self) -> list[str]:
        """Flags that the shutdown has set, and that are set still."""
        if not self.note.flags:
            return []
        now = _ceph_flags.present(self.api)
        return [name for name in self.note.flags if now.get(name)]

    def _flags(self) -> list[Change]:
        return [_flag(name) for name in self._set()]

    def _ceph(self) -> None:
        monitors = {name for name, node in self.note.monitors.items() if node not in self.away}
        self._wait(lambda status: monitors - set(status.get("quorum_names") or ()), "Ceph's monitors being in quorum")
        left = self._set()
        if DOWN in left:
            _ceph_flags.write(self.api, {DOWN: False}, self.timeout)
        wanted = {number for number, node in self.note.osds.items() if node not in self.away}
        self._wait(lambda _status: {f"osd.{number}" for number in wanted - set(osds_up(self.api))}, "OSDs being up")
        for names in ([name for name in left if name not in (DOWN, CLIENTS)], [CLIENTS] if CLIENTS in left else []):
            if names:
                _ceph_flags.write(self.api, dict.fromkeys(names, False), self.timeout)
            if CLIENTS in left:
                self._wait(_inactive, "all data in Ceph being there")

    def _wait(self, missing: Callable[[Mapping[str, Any]], Iterable[str]], what: str) -> None:
        seen: list[str] = []

        def look() -> bool | None:
            status = self.api.client.get("/cluster/ceph/status")
            seen[:] = sorted(missing(status))
            return None if seen else True

        wait_until(
            look,
            timeout=self.timeout,
            what=what,
            clock=self.api.client.clock,
            passing=PASSING,
            describe=lambda: ", ".join(seen[:8]),
            hint="Look at the daemons on their nodes, and run again.",
        )

    # HA

    def _aside(self) -> list[Change]:
        return [_PUT_BACK] if self.note.ha_aside else []

    def _states(self) -> dict[str, str]:
        present = ha_states(self.api)
        for sid in sorted(set(self.note.ha) - set(present)):
            self.api.warn(f"{sid} is no HA resource any more: it stays as it is")
        return {sid: state for sid, state in self.note.ha.items() if sid in present}

    def _resources(self) -> list[Change]:
        present = ha_states(self.api)
        return [_resource(sid, state, present[sid]) for sid, state in self._states().items() if present[sid] != state]

    # guests

    def _missing(self) -> list[Guest]:
        """Those that HA does not look after and that do not run, on nodes that are there."""
        there = _power_guests.running(self.api, self.here)
        known = self.api.client.get("/cluster/resources", type="vm")
        places = {int(row["vmid"]): str(row["node"]) for row in known}
        missing = []
        for guest in self.note.others:
            if guest.vmid not in places:
                self.api.warn(f"guest {guest.vmid} is gone since it was noted")
            elif guest.vmid not in there and places[guest.vmid] not in self.away:
                guest.node = places[guest.vmid]
                missing.append(guest)
        return missing

    def _guests(self) -> list[Change]:
        return [_power_guests.describe(guest, runs=True) for guest in self._missing()]

    def _verify(self) -> None:
        """Every guest that ran runs; where, is for HA to say of those that it looks after."""
        gone = {guest.vmid for guest in self.note.guests} - {
            int(row["vmid"]) for row in self.api.client.get("/cluster/resources", type="vm")
        }
        there: dict[int, tuple[str, str]] = {}

        def missing() -> Iterator[int]:
            for guest in self.note.guests:
                stays_off = not guest.managed and guest.node in self.away
                if guest.vmid not in there and guest.vmid not in gone and not stays_off:
                    yield guest.vmid

        def look() -> bool | None:
            there.clear()
            there.update(_power_guests.running(self.api, self.here))
            return None if any(missing()) else True

        wait_until(
            look,
            timeout=self.timeout,
            what="all guests running that ran before",
            clock=self.api.client.clock,
            passing=(ApiError,),
            describe=lambda: ", ".join(map(str, missing())),
        )
        for guest in self.note.guests:
            if guest.vmid in there and there[guest.vmid][0] != guest.node:
                self.api.warn(f"guest {guest.vmid} runs on {there[guest.vmid][0]}; it ran on {guest.node}")
        if more := sorted(set(there) - {guest.vmid for guest in self.note.guests}):
            self.api.warn(f"{', '.join(map(str, more))} run now and did not run before")


def _inactive(status: Mapping[str, Any]) -> list[str]:
    return [f"{count} {state}" for state, count in inactive_groups(status).items()]
