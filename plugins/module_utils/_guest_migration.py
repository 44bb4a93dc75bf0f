# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a guest by hand, under HA or not (facts §7.1, §14). Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._api import Api, Result
from ._client import Client
from ._errors import ApiError, StateError
from ._ha import CALM_ROUNDS, SERVICES, HaStatus, read_status
from ._plan import UPDATE, Change, simple_change
from ._releases import Releases
from ._tasks import task_end, task_log, wait_for_task
from ._wait import PASSING, wait_until

_DOWNTIME = re.compile(r"downtime (\d+) ms")
_LOGGED = 20
LOCK = "migrate"
"""The lock of a guest that is on its way."""
_TASKS = {"qemu": "qmigrate", "lxc": "vzmigrate"}


@dataclass(frozen=True)
class Guest:
    """The guest as it is before."""

    vmid: int
    kind: str
    node: str
    running: bool

    @property
    def path(self) -> str:
        return f"/nodes/{self.node}/{self.kind}/{self.vmid}"

    @property
    def sid(self) -> str:
        return f"{SERVICES[self.kind]}:{self.vmid}"


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        return Move(api, params).go()


class Move:
    """One move; ``approved``: it is part of something larger that was approved as a whole."""

    def __init__(self, api: Api, params: Mapping[str, Any], *, approved: bool = False) -> None:
        self.api, self.params, self.client, self.approved = api, params, api.client, approved
        self.target = str(params["target"])
        self.timeout = float(params["timeout"])

    def go(self) -> Result:
        """Look, move, look again."""
        api, vmid = self.api, int(self.params["guest"])
        api.check_reference("guest", vmid, "guest")
        api.check_reference("node", self.target, "target")
        there = api.guests.get(vmid)
        if there is None or self.target not in api.nodes:
            return self._result([], "", None, [])
        kind, node = str(there["type"]), str(there["node"])
        if node == self.target:
            return self._result([], node, None, [])
        # the collection lags behind by what nodes tell each other every few seconds; the guest's node knows
        current = self.client.get(f"/nodes/{node}/{kind}/{vmid}/status/current")
        if current.get("lock") == LOCK and not api.check_mode:
            # a task goes on though the run that began it was killed, or never had its answer
            self._wait_for_another(vmid)
            return self.go()
        guest = Guest(vmid, kind, node, current.get("status") == "running")
        service = read_status(self.client).services.get(guest.sid)
        managed = service is not None and service.request_state != "ignored"
        along = self._check(guest, managed=managed)
        changes = [simple_change(UPDATE, "guest", str(vmid), {"node": self.target}, {"node": guest.node})]
        if not self.approved:
            api.approve(changes)
        pause = None
        if not api.check_mode:
            upid = self._by_ha(guest) if managed else self._by_hand(guest)
            pause = _pause(self.client, upid) if upid else None
        return self._result(changes, guest.node, pause, along)

    def _wait_for_another(self, vmid: int) -> None:
        def look() -> bool | None:
            self.api.forget_guests()
            there = self.api.guests.get(vmid)
            if there is None:
                return True
            path = f"/nodes/{there['node']}/{there['type']}/{vmid}/status/current"
            return None if self.client.get(path).get("lock") == LOCK else True

        wait_until(
            look,
            timeout=self.timeout,
            what=f"the end of another move of guest {vmid}",
            clock=self.client.clock,
            passing=PASSING,
            hint="If no move is under way, unlock it (qm unlock, pct unlock).",
        )

    def _result(self, changes: list[Change], source: str, pause: int | None, along: list[str]) -> Result:
        return self.api.result(changes, source=source, target=self.target, pause_ms=pause, comigrated=along)

    def _check(self, guest: Guest, *, managed: bool) -> list[str]:
        """Refuse what the server would refuse, or queue and then drop; gives the resources that come along."""
        if not self.api.online(self.target):
            raise StateError(f"{self.target} is offline", where="target")
        if self.params["relocate"] and not managed:
            raise StateError("only a guest under HA can be relocated", where="relocate", hint="See ha_resources.")
        if guest.running and not self.approved:
            there = Releases(self.api, {guest.node, self.target})
            there.refuse_back([f"guest {guest.vmid}"], guest.node, self.target, where="target")
        try:
            answer = self.client.get(f"{guest.path}/migrate", target=self.target)
        except ApiError as error:
            # of containers Proxmox VE 8 tells nothing beforehand
            if not error.unknown_path:
                raise
            answer = {}
        refused = (answer.get("not_allowed_nodes") or answer.get("not-allowed-nodes") or {}).get(self.target) or {}
        if blocking := refused.get("blocking-ha-resources"):
            names = ", ".join(str(each["sid"]) for each in blocking)
            raise StateError(
                f"{names} on {self.target} must not be on the same node (negative affinity)",
                where="target",
                hint="Choose another node, or change the rule (ha_rules).",
            )
        if missing := refused.get("unavailable_storages"):
            raise StateError(f"{self.target} does not have {', '.join(missing)}", where="target")
        local = [str(disk["volid"]) for disk in answer.get("local_disks") or () if not int(disk.get("shared") or 0)]
        if local and guest.running and not managed and not self.params["with_local_disks"]:
            raise StateError(
                f"{', '.join(local)} are on this node alone",
                where="guest",
                hint="Say with_local_disks: true to copy them.",
            )
        return [str(sid) for sid in answer.get("dependent-ha-resources") or ()]

    def _by_hand(self, guest: Guest) -> str:
        """A task of the guest's node."""
        given: dict[str, Any] = {"target": self.target, "targetstorage": self.params["target_storage"]}
        if guest.kind == "lxc":
            given = {"target": self.target, "target-storage": self.params["target_storage"]}
            given["restart"] = 1 if guest.running else None
        else:
            given["online"] = 1 if guest.running else None
            given["with-local-disks"] = 1 if self.params["with_local_disks"] and guest.running else None
        upid = str(self.client.post(f"{guest.path}/migrate", given))
        end = wait_for_task(self.client, upid, timeout=self.timeout)
        for line in end.warnings:
            self.api.warn(line)
        return upid

    def _by_ha(self, guest: Guest) -> str | None:
        """A request to the manager, then its node's task, and the status text."""
        known = {upid for upid, _status in self._tasks(guest)}
        command = "relocate" if self.params["relocate"] else "migrate"
        answer = self.client.post(f"/cluster/ha/resources/{guest.sid}/{command}", {"node": self.target})
        blocking = (answer or {}).get("blocking-resources") or ()
        if blocking:
            names = ", ".join(str(each["sid"]) for each in blocking)
            raise StateError(
                f"{names} on {self.target} must not be on the same node (negative affinity)", where="target"
            )
        seen = HaStatus()
        mine: str | None = None
        calm: set[object] = set()

        def look() -> bool | None:
            nonlocal seen, mine
            mine = next((upid for upid, _status in self._tasks(guest) if upid not in known), mine)
            if mine is not None:
                task_end(self.client, mine)
            seen = read_status(self.client)
            service = seen.services.get(guest.sid)
            if service and service.node == self.target and service.at_rest:
                return True
            if mine is None and service and service.node == guest.node and service.at_rest:
                calm.add(seen.master["timestamp"] if seen.master else None)
            else:
                calm.clear()
            if len(calm) > CALM_ROUNDS:
                raise StateError(
                    f"the HA manager has not taken up the move of {guest.sid} to {self.target}",
                    where="guest",
                    hint="Its log on its node says why. It drops what it cannot do, and loses what it has read when"
                    " another takes its place: then ask again.",
                )
            return None

        wait_until(
            look,
            timeout=self.timeout,
            what=f"the move of {guest.sid} to {self.target}",
            clock=self.client.clock,
            describe=lambda: "; ".join(seen.moving()[:3]) or f"{guest.sid} is where it was",
            hint="The manager's log on its node says what it made of the request.",
        )
        return mine

    def _tasks(self, guest: Guest) -> list[tuple[str, str]]:
        """(task, status) of the moves of this guest on its node, the newest first."""
        listed = self.client.get(
            f"/nodes/{guest.node}/tasks",
            vmid=guest.vmid,
            typefilter=_TASKS[guest.kind],
            source="all",
            limit=_LOGGED,
        )
        return [(str(task["upid"]), str(task.get("status") or "")) for task in listed]


def _pause(client: Client, upid: str) -> int | None:
    """Milliseconds for which a live migration held the guest, as its log says; None if it does not."""
    matches = [match for line in task_log(client, upid) if (match := _DOWNTIME.search(line))]
    return int(matches[-1][1]) if matches else None
