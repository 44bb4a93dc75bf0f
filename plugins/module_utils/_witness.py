# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A witness: a QDevice on a host outside of the cluster, which votes for one half when there are two (facts §6.6).

The server has no call for it; `pvecm qdevice` on one of the nodes does the work. Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ._api import Api, Result, refuse
from ._apt import finish_installation
from ._errors import QuorateError, ShellError, StateError
from ._hosts import Hosts, introduce
from ._membership import Membership, read_membership
from ._parallel import all_or_error
from ._plan import CREATE, DELETE, Change, simple_change
from ._pure.corosync_conf import CorosyncConfError, QDevice, parse
from ._shell import Login, Shell
from ._wait import PASSING, wait_until

CONF = "/etc/pve/corosync.conf"
ON_NODES, ON_WITNESS = "corosync-qdevice", "corosync-qnetd"
_STATE = re.compile(r"^State:\s*(.*?)\s*$", re.MULTILINE)


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``witness``."""
    with Api.open(params, check_mode) as api:
        membership = read_membership(api.client)
        if membership.cluster is None:
            if not check_mode:
                raise refuse(
                    f"{api.client.host} is not in a cluster", where="api_hosts", hint="Create it first (cluster)."
                )
            api.unknown.append("address: the cluster does not exist yet")
            return api.result([], witness=None)
        with Hosts(params["nodes"], Login.from_params(params)) as hosts:
            return Witness(api, params, membership, hosts).manage()


class Witness:
    """The witness of one cluster."""

    def __init__(self, api: Api, params: Mapping[str, Any], membership: Membership, hosts: Hosts) -> None:
        self.api = api
        self.params = params
        self.membership = membership
        self.hosts = hosts
        self.address: str = params["address"] or ""
        reachable = [name for name in membership.members if name in hosts.names and membership.online(name)]
        if not reachable:
            raise refuse("no member that is online can be reached over SSH", where="nodes", hint="List them.")
        self.helper = membership.local if membership.local in reachable else reachable[0]

    def manage(self) -> Result:
        """Set it up, take it away, or find that there is nothing to do."""
        device = self._device()
        absent = self.params["state"] == "absent"
        if not absent and not self.address:
            raise refuse("the address of the witness is missing", where="address")
        changes: list[Change] = []
        if device is not None and (absent or device.host != self.address):
            changes.append(simple_change(DELETE, "witness", device.host, {}, {"algorithm": device.algorithm}))
        if not absent and (device is None or device.host != self.address):
            self._examine()
            changes.append(simple_change(CREATE, "witness", self.address, self._fields()))
        if changes:
            self._require_all()
        elif device is not None:
            self._warn_if_away()
        self.api.approve(changes)
        if not self.api.check_mode:
            for change in changes:
                if change.action == DELETE:
                    self._remove()
                else:
                    self._set_up()
        return self.api.result(changes, witness=None if absent else self.address)

    def _device(self) -> QDevice | None:
        text = self.hosts.do(self.helper, lambda shell: shell.read(CONF)) or ""
        try:
            return parse(text).device
        except CorosyncConfError as error:
            raise StateError(f"{CONF} cannot be read: {error}") from error

    # before

    def _examine(self) -> None:
        number = len(self.membership.members)
        if number % 2 and not self.params["force"]:
            raise refuse(
                f"{self.membership.cluster} has {number} nodes, an odd number: a witness would only harm it, because "
                "its loss would count as that of all nodes but one",
                where="address",
                hint="Do without it; or set force if you know why.",
            )
        if self.address in {member.address for member in self.membership.members.values()}:
            raise refuse(
                f"{self.address} is a member of the cluster", where="address", hint="Name a host outside of it."
            )

    def _require_all(self) -> None:
        if not self.membership.quorate:
            raise refuse(f"{self.membership.cluster} is not quorate", hint="Bring more of its nodes back first.")
        offline = [name for name, member in self.membership.members.items() if not member.online]
        if offline:
            raise refuse(
                f"{', '.join(offline)} is offline", hint="All nodes have to know of the witness: bring it back."
            )
        if missing := [name for name in self.membership.members if name not in self.hosts.names]:
            raise refuse(f"{', '.join(missing)} cannot be reached over SSH", where="nodes", hint="List every member.")

    def _fields(self) -> dict[str, Any]:
        odd = len(self.membership.members) % 2 == 1
        lacking = {name: ON_NODES for name, has in self._packages().items() if not has}
        with self._witness() as shell:
            if not _has(shell, ON_WITNESS):
                lacking[self.address] = ON_WITNESS
        return {
            "algorithm": "lms" if odd else "ffsplit",
            "network": self.params["network"],
            **({"packages": dict(sorted(lacking.items()))} if lacking else {}),
        }

    def _packages(self) -> dict[str, bool]:
        answers = self.hosts.on_all(lambda shell: _has(shell, ON_NODES))
        return dict(zip(answers, all_or_error(answers.values()), strict=True))

    def _warn_if_away(self) -> None:
        for name, state in self._states().items():
            if state != "Connected":
                self.api.warn(f"{name} does not reach the witness {self.address}: {state}")

    # changes

    def _set_up(self) -> None:
        for name, has in self._packages().items():
            if not has:
                self.hosts.do(name, lambda shell: _install(shell, ON_NODES))
        with self._witness() as witness:
            if not _has(witness, ON_WITNESS):
                _install(witness, ON_WITNESS)
            self.hosts.do(self.helper, lambda shell: introduce(shell, witness, self.address))
        words = ["pvecm", "qdevice", "setup", self.address]
        if self.params["network"]:
            words += ["--network", self.params["network"]]
        if self.params["force"]:
            words += ["--force"]
        password = self.params["password"] or self.hosts.login.password
        # it is asked for only if the key is not accepted
        self.hosts.do(self.helper, lambda shell: shell.run(words, stdin=f"{password}\n" if password else ""))
        self._wait("the nodes' reaching the witness", lambda states: all(s == "Connected" for s in states.values()))

    def _remove(self) -> None:
        self.hosts.do(self.helper, lambda shell: shell.run(["pvecm", "qdevice", "remove"]))
        self._wait("the nodes' doing without the witness", lambda states: "Connected" not in states.values())

    def _wait(self, what: str, done: Any) -> None:
        seen: dict[str, str] = {}

        def look() -> bool | None:
            seen.update(self._states())
            return True if done(seen) and read_membership(self.api.client).quorate else None

        wait_until(
            look,
            timeout=float(self.params["timeout"]),
            what=what,
            clock=self.api.client.clock,
            passing=(*PASSING, ShellError),
            describe=lambda: ", ".join(f"{name}: {state}" for name, state in seen.items()),
            hint="Does TCP port 5403 of the witness let the nodes in?",
        )

    def _states(self) -> dict[str, str]:
        """What each node's device says of its connection."""
        names = [name for name in self.hosts.names if self.membership.online(name)]
        answers = self.hosts.on_all(_state, names)
        return {
            name: answer.message if isinstance(answer, QuorateError) else answer for name, answer in answers.items()
        }

    def _witness(self) -> Shell:
        login = self.hosts.login
        if self.params["password"]:
            login = replace(login, password=self.params["password"])
        return Shell(self.address, login, self.params["host_key"])


def _state(shell: Shell) -> str:
    done = shell.attempt(["corosync-qdevice-tool", "-s"])
    match = _STATE.search(done.text)
    return match[1] if match else "it does not run"


def _has(shell: Shell, package: str) -> bool:
    return "install ok installed" in shell.attempt(["dpkg-query", "-W", "-f=${Status}", package]).text


def _install(shell: Shell, package: str) -> None:
    finish_installation(shell)
    shell.run(["apt-get", "install", "-y", package])
