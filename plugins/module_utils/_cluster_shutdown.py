# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shutting a whole cluster down: guests, then services, then nodes. Private to this collection.

What was before is noted on the control node first. Until the first node goes, whatever fails is put back; from then on
the way is forward, or startup.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

from . import _ceph_flags, _power_guests
from ._api import Api, Result
from ._ceph import HERE, absent
from ._errors import ApiError, ApplyError, ConnectError, InputError, QuorateError, StateError
from ._ha_pause import ARMED, HaPause, read_ha
from ._hosts import Hosts
from ._login_rights import require
from ._membership import Membership, read_membership
from ._plan import UPDATE, Change, simple_change
from ._power_back import FLAGS, OFF, Return, ask_for, ha_states, osds_up, rights
from ._power_machines import Machines, boots
from ._power_note import GOING, QUIET, Guest, Note, NoteFile
from ._rest import AREAS, in_words, look, wait_for_rest
from ._run import current_directory
from ._run_lock import release
from ._shell import Login
from ._wait import wait_until

LEFT_ALONE = (OFF, "ignored")
STARTUP = "Run startup.yml first."


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    file = NoteFile(params["note"], params["cluster"])
    login = Login.from_params(params)
    machines = Machines(params["nodes"], (params["api_port"], login.port), float(params["command_timeout"]))
    note, there = file.read(), machines.answering()
    if not there:
        if note is None or note.phase != GOING:
            raise StateError(
                f"no node of {params['cluster']} answers, and nothing is noted of a shutdown ({file.path})",
                where="nodes",
                hint="Is the network between here and there down? Nothing was changed.",
            )
        return {"changed": False, "plan": [], "diff": {}, "warnings": [], "off": machines.names, "calls": 0}
    with Api.open(params, check_mode) as api, Hosts([machines.entries[node] for node in there], login) as hosts:
        return _Shutdown(api, params, machines, hosts, file, note).go()


class _Shutdown:
    def __init__(
        self, api: Api, params: Mapping[str, Any], machines: Machines, hosts: Hosts, file: NoteFile, note: Note | None
    ) -> None:
        self.api, self.params, self.machines, self.hosts, self.file = api, params, machines, hosts, file
        self.earlier = note
        self.timeout = float(params["timeout"])
        self.there = hosts.names
        self.policies = {int(vmid): str(policy) for vmid, policy in params["guests"].items()}
        if bad := sorted(set(self.policies.values()) - set(_power_guests.POLICIES)):
            raise InputError(f"{', '.join(bad)} is none of {', '.join(_power_guests.POLICIES)}", where="guests")

    def go(self) -> Result:
        """Everything, or what is left of it."""
        membership = read_membership(self.api.client)
        now = boots(self.hosts, self.there)
        if self.earlier is not None:
            self._check_resumption(self.earlier, now)
        else:
            self._check(membership)
        note = self.earlier or self._observe(membership, now)
        changes = [*self._quiet_changes(note), *self._node_changes()]
        if self.api.check_mode:
            return self.api.result(changes, off=[])
        if not self.params["confirm"]:
            raise StateError(
                f"all guests and all nodes of {note.cluster} would be switched off",
                where="confirm",
                hint="Set confirm: true (shutdown_confirm) if that is meant; --check tells what would be done. "
                "Nothing was changed.",
            )
        require(self.api, self._rights(note))
        self.api.approve(changes)
        self.file.write(note)
        if note.phase == QUIET:
            self._quieten(note)
        self._switch_off(note, membership)
        return self.api.result(changes, off=self.machines.names)

    # before

    def _rights(self, note: Note) -> Iterator[tuple[str, str]]:
        """What it takes to the end: between off and on there is nobody to give it."""
        yield from ((f"/nodes/{node}", "Sys.PowerMgmt") for node in self.there)
        if note.phase == QUIET:
            yield from rights(note, ha=bool(note.ha or self._aside(note)))

    def _check_resumption(self, note: Note, now: Mapping[str, str]) -> None:
        again = [node for node, boot in now.items() if note.boots.get(node, boot) != boot]
        if again:
            raise StateError(
                f"{note.cluster} was shut down at {note.since}, and {', '.join(again)} booted again since: what ran "
                f"before is noted in {self.file.path}",
                where="note",
                hint=f"{STARTUP} Nothing was changed.",
            )

    def _check(self, membership: Membership) -> None:
        """Nothing else may be wrong: what is broken now would be hard to tell from what the shutdown broke."""
        if membership.cluster not in (None, self.params["cluster"]):
            raise StateError(f"this is {membership.cluster}, not {self.params['cluster']}", where="cluster")
        listed, known = set(self.machines.names), set(membership.members)
        if listed != known:
            odd = ", ".join(sorted(listed ^ known))
            raise StateError(
                f"the nodes of {membership.cluster} are {', '.join(sorted(known))}; not in both lists: {odd}",
                where="nodes",
                hint="Name all of them. Nothing was changed.",
            )
        rest = {"areas": AREAS, "tolerate": self.params["tolerate"]}
        if self.api.check_mode:
            for text in in_words(look(self.api, **rest)):
                self.api.warn(f"it would have to come to rest first: {text}")
            return
        try:
            wait_for_rest(self.api, timeout=float(self.params["rest_timeout"]), **rest)
        except QuorateError as error:
            error.hint = f"{error.hint} Nothing was changed.".strip()
            raise

    def _observe(self, membership: Membership, now: Mapping[str, str]) -> Note:
        api = self.api
        states = ha_states(api)
        note = Note(
            cluster=str(self.params["cluster"]),
            since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            boots=dict(now),
            ha={sid: state for sid, state in states.items() if state not in LEFT_ALONE},
            guests=_power_guests.observe(
                api, membership.members, [sid for sid, state in states.items() if state != "ignored"]
            ),
        )
        try:
            status = api.client.get("/cluster/ceph/status")
        except ApiError as error:
            if absent(error):
                return note
            raise
        note.ceph = True
        set_now = _ceph_flags.present(api)
        note.flags = [name for name in FLAGS if not set_now.get(name)]
        note.osds = osds_up(api)
        monitors = api.client.get(f"{HERE}/mon")
        note.monitors = {
            str(each["name"]): str(each.get("host") or each["name"])
            for each in monitors
            if each["name"] in (status.get("quorum_names") or ())
        }
        return note

    def _quiet_changes(self, note: Note) -> list[Change]:
        """What is to be done while all nodes are there still."""
        if note.phase != QUIET:
            return []
        states = ha_states(self.api)
        flags = _ceph_flags.present(self.api) if note.ceph else {}
        return [
            *(
                simple_change(UPDATE, "HA resource", sid, {"state": OFF}, {"state": states[sid]})
                for sid in note.ha
                if states.get(sid, OFF) != OFF
            ),
            *(_power_guests.describe(guest, runs=False) for guest in self._still_running(note)),
            *self._aside(note),
            *(
                simple_change(UPDATE, "flag", name, {"set": True}, {"set": False})
                for name in note.flags
                if not flags.get(name)
            ),
        ]

    def _aside(self, note: Note) -> list[Change]:
        ha = read_ha(self.api)
        if (note.ha_aside and ha.may_be_paused) or not ha.in_use or ha.armed not in (None, ARMED):
            return []
        return [simple_change(UPDATE, "HA", "of the cluster", {"set aside": True}, {"set aside": False})]

    def _node_changes(self) -> list[Change]:
        return [simple_change(UPDATE, "node", node, {"power": "off"}, {"power": "on"}) for node in self.there]

    def _still_running(self, note: Note) -> list[Guest]:
        there = _power_guests.running(self.api, note.boots)
        return [guest for guest in note.others if guest.vmid in there]

    # guests and services

    @cached_property
    def _pause(self) -> HaPause:
        return HaPause(self.api, self.hosts, self.there[0], self.timeout)

    def _quieten(self, note: Note) -> None:
        """Up to the last write of a guest. Whatever fails, everything is put back."""
        try:
            self._stop_all(note)
        except QuorateError as error:
            try:
                Return(self.api, note, self.timeout).go(self._pause)
            except QuorateError as second:
                hint = f"Not everything could be put back ({second}). Run startup.yml, or this again."
                raise ApplyError([error, StateError(hint)], [], []) from error
            self.file.remove()
            error.hint = f"{error.hint} Everything was put back.".strip()
            raise

    def _stop_all(self, note: Note) -> None:
        api, params = self.api, self.params
        if not (note.ha_aside and read_ha(api).may_be_paused):
            present = ha_states(api)
            ask_for(api, {sid: OFF for sid in note.ha if sid in present}, self.timeout)
        running = self._still_running(note)
        _power_guests.shut_down(api, running, float(params["guest_timeout"]), self.policies, params["stubborn"])
        if left := _power_guests.running(api, note.boots):
            raise StateError(f"{', '.join(map(str, left))} run still, and nobody has noted them", hint="Run again.")
        # first the note: a run that is cut off here must not leave HA aside for ever
        note.ha_aside = note.ha_aside or read_ha(api).in_use
        self.file.write(note)
        if note.ha_aside:
            note.ha_aside = self._pause.set_aside()
        if note.flags:
            _ceph_flags.write(api, dict.fromkeys(note.flags, True), self.timeout)
        wait_for_rest(api, ("backup", "tasks"), self.timeout)
        note.phase = GOING
        self.file.write(note)

    # nodes

    def _switch_off(self, note: Note, membership: Membership) -> None:
        """Those without monitors, those with, and at last the one that the calls go through."""
        directory = current_directory()
        if directory is not None:
            # nobody could take the cluster's marker away when its quorum is gone
            release(directory)
        monitors, last = set(note.monitors.values()), membership.local
        rest = [node for node in self.there if node != last]
        for wave in (
            [node for node in rest if node not in monitors],
            [node for node in rest if node in monitors],
            [node for node in self.there if node == last],
        ):
            self._down(wave)

    def _down(self, wave: Collection[str]) -> None:
        if not wave:
            return
        for node in wave:
            self._tell(node)
        left: list[str] = []

        def look() -> bool | None:
            off = self.machines.off(wave)
            left[:] = [node for node in wave if node not in off]
            return None if left else True

        wait_until(
            look,
            timeout=self.timeout,
            what=f"the shutdown of {', '.join(wave)}",
            clock=self.api.client.clock,
            describe=lambda: f"{', '.join(left)} still on",
            hint="Look at the consoles; run this again to go on, or startup.yml to go back.",
        )

    def _tell(self, node: str) -> None:
        try:
            self.api.client.post(f"/nodes/{node}/status", {"command": "shutdown"})
        except ConnectError:
            # its answer may have been lost on the way down: whether it goes is seen below
            self.api.warn(f"{node} did not answer when it was told to shut down")
        except ApiError as error:
            if not error.node_offline:
                raise
