# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a whole cluster, and bringing back what ran before its shutdown. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._api import Api, Result
from ._errors import ApiError, ConnectError, InputError, ShellError, StateError
from ._ha_pause import HaPause
from ._hosts import Hosts
from ._login_rights import require
from ._membership import read_membership
from ._plan import UPDATE, Change, simple_change
from ._power_back import Return, foretell, rights
from ._power_machines import Machines
from ._power_note import Note, NoteFile
from ._rest import AREAS, wait_for_rest
from ._shell import Login
from ._wait import CLOCK, PASSING, wait_until


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    return _Startup(params, check_mode).go()


class _Startup:
    def __init__(self, params: Mapping[str, Any], check_mode: bool) -> None:
        self.params, self.check_mode = params, check_mode
        self.file = NoteFile(params["note"], params["cluster"])
        self.login = Login.from_params(params)
        self.machines = Machines(
            params["nodes"], (params["api_port"], self.login.port), float(params["command_timeout"])
        )
        self.away = list(params["without"])
        self.timeout = float(params["timeout"])
        if unknown := sorted(set(self.away) - set(self.machines.names)):
            raise InputError(f"{', '.join(unknown)} is none of the nodes", where="without")
        self.wanted = [node for node in self.machines.names if node not in self.away]

    def go(self) -> Result:
        """Nodes, quorum, and what the note says."""
        note = self.file.read()
        silent = [node for node in self.wanted if node not in self.machines.serving()]
        if self.check_mode and silent:
            return self._foretell(note, silent)
        if not self.check_mode:
            self._switch_on(note)
        switched = list(dict.fromkeys([*(note.switched_on if note else []), *silent]))
        power = [simple_change(UPDATE, "node", node, {"power": "on"}, {"power": "off"}) for node in switched]
        with Api.open(self.params, self.check_mode) as api:
            if note is None:
                if not self.check_mode and silent:
                    wait_for_rest(api, AREAS, self.timeout, tolerate=self.params["tolerate"], away=self.away)
                return api.result(power, off=self._off())
            entries = [self.machines.entries[node] for node in self.wanted]
            with Hosts(entries, self.login) as hosts:
                return self._bring_back(api, hosts, note, power)

    def _bring_back(self, api: Api, hosts: Hosts, note: Note, power: list[Change]) -> Result:
        back = Return(api, note, self.timeout, self.away)
        if not self.check_mode:
            require(api, rights(note, ha=bool(note.ha or note.ha_aside)), "The nodes are on; nothing was brought back.")
        changes = [*power, *back.plan()]
        # with nothing else to do the note itself goes: that is a change of nothing in the cluster
        api.approve([change for change in changes if change not in power])
        if not self.check_mode:
            back.go(HaPause(api, hosts, self.wanted[0], self.timeout))
            wait_for_rest(
                api,
                AREAS,
                float(self.params["rest_timeout"]),
                tolerate=self.params["tolerate"],
                away=self.away,
            )
            self._strike(note)
        return api.result(changes, off=self._off())

    def _strike(self, note: Note) -> None:
        """What is back goes out of the note; guests of nodes that stay off are kept for the run that has these."""
        left = [guest for guest in note.others if guest.node in self.away]
        if not left:
            self.file.remove()
            return
        note.guests, note.ha, note.flags, note.osds, note.monitors = left, {}, [], {}, {}
        note.ceph, note.ha_aside, note.switched_on = False, False, []
        self.file.write(note)

    def _off(self) -> list[str]:
        return [node for node in self.machines.names if node not in self.machines.serving()]

    def _foretell(self, note: Note | None, silent: list[str]) -> Result:
        """In check mode nothing can be asked of a cluster that is off: the note alone tells."""
        plan = [simple_change(UPDATE, "node", node, {"power": "on"}, {"power": "off"}) for node in silent]
        plan += foretell(note) if note else []
        with Api.open(self.params, self.check_mode) as api:
            return api.result(plan, off=silent)

    # nodes

    def _switch_on(self, note: Note | None) -> None:
        """Press what can be pressed, and wait for the rest: somebody may stand in front of the machines."""
        pressed: set[str] = set()
        seen = ""

        def look() -> bool | None:
            nonlocal seen
            serving = self.machines.serving()
            silent = [node for node in self.wanted if node not in serving]
            for node in silent:
                self._press(node, pressed, note)
            if silent:
                by_hand = [node for node in silent if not self.machines.can_be_switched_on(node)]
                seen = f"{', '.join(silent)} do not answer"
                seen += f"; there is no way to switch on {', '.join(by_hand)} from here (pve_power)" if by_hand else ""
                return None
            # each time anew: a client that found nobody once stays with that
            with Api.open(self.params, True) as api:
                try:
                    membership = read_membership(api.client)
                except ApiError as error:
                    if error.status == 403:
                        # nobody gets a right by waiting
                        raise InputError(error.message, where="api_user", hint=error.hint) from error
                    raise
            missing = [node for node in self.wanted if membership.cluster and not membership.online(node)]
            seen = f"{', '.join(missing)} not in the cluster yet" if missing else "there is no quorum yet"
            return None if missing or not membership.quorate else True

        wait_until(
            look,
            timeout=self.timeout,
            what=f"all nodes of {self.params['cluster']} being on and quorate",
            clock=CLOCK,
            passing=(*PASSING, ConnectError, ShellError, StateError),
            describe=lambda: seen,
            hint="Switch them on, and run again; without: names those that stay off.",
        )

    def _press(self, node: str, pressed: set[str], note: Note | None) -> None:
        if not self.machines.can_be_switched_on(node):
            return
        state = self.machines.power(node)
        # one that still goes down is on; it is pressed when it is off
        if state == "on" or (state is None and node in pressed):
            return
        pressed.add(node)
        self.machines.buttons[node].press("on")
        if note is not None and node not in note.switched_on:
            note.switched_on.append(node)
            self.file.write(note)
