# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that HA does not look after, for the time that their node is in maintenance. Private to this collection.

What is done with them is noted on the control node first, so that the end of the maintenance, or another run after one
that broke off, can put everything back. The note has numbers and names only; the file is its owner's alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ._api import Api
from ._errors import InputError, QuorateError, StateError
from ._guest_migration import LOCK as MOVING
from ._guest_migration import Move
from ._ha import SERVICES, read_status
from ._plan import UPDATE, Change, simple_change
from ._power_back import ask_for, ha_states
from ._releases import Releases
from ._secret_files import prepare_directory, write_secret

MIGRATE, SHUT_DOWN, LEAVE = "migrate", "shutdown", "leave"
POLICIES = (MIGRATE, SHUT_DOWN, LEAVE)

BY_HA = "ha"
"""A deed: HA was asked to stop what it would have moved live."""
ON, OFF = "started", "stopped"


@dataclass(frozen=True)
class Deed:
    """What is done with one guest: ``did`` is :data:`MIGRATE`, :data:`SHUT_DOWN` or :data:`BY_HA`; ``target`` the node
    that it went to.
    """

    vmid: int
    kind: str
    did: str
    target: str | None = None

    @property
    def sid(self) -> str:
        """Its name under HA."""
        return f"{SERVICES[self.kind]}:{self.vmid}"

    @property
    def right(self) -> tuple[str, str]:
        """Path and privilege that it takes, as its return does."""
        path = f"/vms/{self.vmid}"
        return {MIGRATE: (path, "VM.Migrate"), SHUT_DOWN: (path, "VM.PowerMgmt"), BY_HA: ("/", "Sys.Console")}[self.did]

    def describe(self, node: str, *, back: bool) -> Change:
        """The change in words."""
        away = {"node": self.target} if self.did == MIGRATE else {"running": False}
        home = {"node": node} if self.did == MIGRATE else {"running": True}
        return simple_change(UPDATE, "guest", str(self.vmid), *((home, away) if back else (away, home)))


class Note:
    """The file with what was done. ``path`` None: nothing can be put back, so nothing may be done."""

    def __init__(self, path: str | None, node: str) -> None:
        self.path = Path(path).expanduser() if path else None
        self.node = node
        self.deeds: dict[int, Deed] = {}
        self.begun = self.path is not None and self.path.exists()
        """Whether an earlier run has made it."""
        if self.path and self.begun:
            self._read(self.path)

    def _read(self, path: Path) -> None:
        try:
            content = json.loads(path.read_text("utf-8"))
            node, deeds = content["node"], [Deed(**each) for each in content["guests"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is no note of a maintenance: {error}", where="note") from error
        if node != self.node:
            raise InputError(f"{path} is of the maintenance of {node}, not of {self.node}", where="note")
        self.deeds = {deed.vmid: deed for deed in deeds}

    def add(self, deed: Deed) -> None:
        """Before it is done."""
        self.deeds[deed.vmid] = deed
        self._write()

    def strike(self, vmid: int) -> None:
        """After it was put back."""
        del self.deeds[vmid]
        self._write()

    def begin(self) -> None:
        """The maintenance begins: from here on the file is there, whatever is in it."""
        self._write()

    def end(self) -> None:
        """Everything is back."""
        if self.path is not None and not self.deeds:
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self.path is None:
            return
        prepare_directory(str(self.path), "note")
        guests = [asdict(deed) for _vmid, deed in sorted(self.deeds.items())]
        write_secret(str(self.path), json.dumps({"node": self.node, "guests": guests}, indent=2))


class Others:
    """The guests of one node that HA does not look after, and those of HA's that are not to be moved live."""

    def __init__(self, api: Api, params: Mapping[str, Any], node: str) -> None:
        self.api, self.params, self.node = api, params, node
        self.releases = Releases(api)
        self.note = Note(params["note"], node)
        self.policies = {int(vmid): str(policy) for vmid, policy in (params["guests"] or {}).items()}
        if bad := sorted({policy for policy in self.policies.values() if policy not in POLICIES}):
            raise InputError(f"{', '.join(bad)} is none of {', '.join(POLICIES)}", where="guests")

    def running(self) -> dict[int, str]:
        """Number -> kind of the guests that run here now, as the node itself says, without those under HA."""
        services = read_status(self.api.client).services
        managed = {sid for sid, service in services.items() if service.request_state != "ignored"}
        found: dict[int, str] = {}
        for kind in SERVICES:
            for guest in self.api.client.get(f"/nodes/{self.node}/{kind}"):
                if guest.get("status") == "running" and f"{SERVICES[kind]}:{guest['vmid']}" not in managed:
                    found[int(guest["vmid"])] = kind
        return dict(sorted(found.items()))

    def stays(self, vmid: int) -> bool:
        """Whether a guest is to be left where it is."""
        return self.policies.get(vmid, str(self.params["others"])) == LEAVE

    def plan_away(self) -> list[Deed]:
        """What is to be done so that the node is empty. Raises StateError for guests that fit nowhere."""
        deeds: list[Deed] = []
        if {self.params["others"], *self.policies.values()} == {LEAVE}:
            return deeds
        errors = []
        room = self._room()
        for vmid, kind in self.running().items():
            if self.stays(vmid):
                continue
            if self.policies.get(vmid, self.params["others"]) == SHUT_DOWN:
                deeds.append(Deed(vmid, kind, SHUT_DOWN))
                continue
            target = self._target(vmid, kind, room)
            if target is None:
                errors.append(f"no node can take guest {vmid}")
            else:
                deeds.append(Deed(vmid, kind, MIGRATE, target))
        if errors:
            raise StateError(
                "; ".join(errors), where="others", hint=f"Say {SHUT_DOWN} or {LEAVE} for it in guests, or make room."
            )
        if deeds and self.note.path is None:
            raise InputError("guests are to be moved or shut down, and it is not said where to note that", where="note")
        return deeds

    def plan_stops(self, sids: Sequence[str]) -> list[Deed]:
        """Those of HA's resources that run here which it is to stop rather than move.

        Raises StateError for those that are to be left.
        """
        kinds = {prefix: kind for kind, prefix in SERVICES.items()}
        deeds, left = [], []
        for sid in sids:
            prefix, _colon, number = sid.partition(":")
            policy = self.policies.get(int(number))
            if policy == SHUT_DOWN:
                deeds.append(Deed(int(number), kinds[prefix], BY_HA))
            elif policy == LEAVE:
                left.append(sid)
        if left:
            raise StateError(
                f"{', '.join(left)} cannot be left: HA leaves nothing on a node in maintenance",
                where="guests",
                hint=f"Say {MIGRATE} or {SHUT_DOWN} for it, or have HA ignore it (ha_resources).",
            )
        if deeds and self.note.path is None:
            raise InputError("guests are to be shut down, and it is not said where to note that", where="note")
        return deeds

    def _room(self) -> dict[str, int]:
        """Free memory of the other nodes that are online."""
        rows = self.api.client.get("/cluster/resources", type="node")
        return {
            str(row["node"]): int(row.get("maxmem") or 0) - int(row.get("mem") or 0)
            for row in rows
            if row["node"] != self.node and row.get("status") == "online"
        }

    def _target(self, vmid: int, kind: str, room: dict[str, int]) -> str | None:
        """The node with the most free memory of those that can have the guest; what it takes is set aside."""
        need = int(self.api.guests.get(vmid, {}).get("maxmem") or 0)
        forbidden = set(self.releases.older_than(self.node))
        if kind == "qemu":
            answer = self.api.client.get(f"/nodes/{self.node}/{kind}/{vmid}/migrate")
            forbidden |= set(answer.get("not_allowed_nodes") or answer.get("not-allowed-nodes") or ())
        fits = {node: free for node, free in room.items() if node not in forbidden and free >= need}
        # a replicated guest moves live to where its replicas are, and nowhere else
        if replicas := self._replicas.get(vmid):
            fits = {node: free for node, free in fits.items() if node in replicas}
        if not fits:
            return None
        target = max(sorted(fits), key=lambda node: fits[node])
        room[target] -= need
        return target

    @cached_property
    def _replicas(self) -> dict[int, set[str]]:
        """Guest -> the targets of its replication jobs."""
        found: dict[int, set[str]] = {}
        for job in self.api.client.get("/cluster/replication"):
            found.setdefault(int(job["guest"]), set()).add(str(job["target"]))
        return found

    def send_away(self, deeds: list[Deed]) -> Iterator[Deed]:
        """Do it, one guest after another; each is noted before, and given when it is done."""
        for deed in deeds:
            self.note.add(deed)
            if deed.did == MIGRATE:
                self._move(deed.vmid, str(deed.target))
            elif deed.did == BY_HA:
                ask_for(self.api, {deed.sid: OFF}, float(self.params["timeout"]))
            else:
                self._power(deed, "shutdown", {"forceStop": 1, "timeout": self.params["shutdown_timeout"]})
            yield deed

    def plan_back(self) -> list[Deed]:
        """What is to be put back: what the note has and nobody has put back by hand.

        Raises StateError for a guest that runs on a newer release than the node has.
        """
        left = []
        deeds = sorted(self.note.deeds.items())
        asked_for = ha_states(self.api) if any(deed.did == BY_HA for _vmid, deed in deeds) else {}
        for vmid, deed in deeds:
            guest = self.api.guests.get(vmid)
            if guest is None:
                self.api.warn(f"guest {vmid} is gone since it was noted")
            elif deed.did == BY_HA:
                if asked_for.get(deed.sid) == OFF:
                    left.append(deed)
            elif self._gone(guest) if deed.did == MIGRATE else not self._runs(guest):
                there = str(guest["node"])
                if deed.did == MIGRATE and there != self.node and self.api.online(there) and self._runs(guest):
                    self.releases.refuse_back([f"guest {vmid}"], there, self.node)
                left.append(deed)
        return left

    def _gone(self, guest: Mapping[str, Any]) -> bool:
        """Whether a guest is elsewhere, or on its way: a move goes on without the run that began it."""
        return guest["node"] != self.node or self._current(guest).get("lock") == MOVING

    def _runs(self, guest: Mapping[str, Any]) -> bool:
        return bool(self._current(guest).get("status") == "running")

    def _current(self, guest: Mapping[str, Any]) -> Mapping[str, Any]:
        path = f"/nodes/{guest['node']}/{guest['type']}/{guest['vmid']}/status/current"
        return dict(self.api.client.get(path))

    def bring_back(self, deeds: list[Deed]) -> Iterator[Deed]:
        """Do it; what was put back is struck out of the note, and so is what needed nothing."""
        for vmid in sorted(set(self.note.deeds) - {deed.vmid for deed in deeds}):
            self.note.strike(vmid)
        errors: list[QuorateError] = []
        for deed in deeds:
            try:
                if deed.did == MIGRATE:
                    self._move(deed.vmid, self.node)
                elif deed.did == BY_HA:
                    ask_for(self.api, {deed.sid: ON}, float(self.params["timeout"]))
                else:
                    self._power(deed, "start", {})
            except QuorateError as error:
                # one that cannot return keeps no other from it
                errors.append(error)
                continue
            self.note.strike(deed.vmid)
            yield deed
        if errors:
            raise StateError(
                "; ".join(str(error) for error in errors), where="note", hint="Put that right, and run again."
            )

    def _move(self, vmid: int, target: str) -> None:
        wanted = {
            **{"guest": vmid, "target": target, "relocate": False, "with_local_disks": True, "target_storage": None},
            "timeout": self.params["timeout"],
        }
        Move(self.api, wanted, approved=True).go()
        self.api.forget_guests()

    def _power(self, deed: Deed, command: str, payload: Mapping[str, Any]) -> None:
        answer = self.api.client.post(f"/nodes/{self.node}/{deed.kind}/{deed.vmid}/status/{command}", dict(payload))
        self.api.finish_task(answer, float(self.params["timeout"]), f"guest {deed.vmid}")
