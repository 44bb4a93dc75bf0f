# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module apt_upgrade: a node's packages brought up to date, or to the next release. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import _apt as apt
from ._api import Api, Result
from ._errors import ApplyError, QuorateError, StateError, VerifyError
from ._hosts import Hosts
from ._login_rights import ALL_GUESTS, require
from ._maintenance import look as maintenance
from ._plan import UPDATE, Change, simple_change
from ._reboot import reboot
from ._shell import Login
from ._wait import PASSING, wait_until

T = TypeVar("T")

CALM = 2
"""Rounds of the HA manager after which a node that is empty stays so."""

SETTLE = 120.0
"""Seconds in which a node's API, whose packages are new, answers again."""


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        node = str(params["node"])
        api.check_reference("node", node, "node")
        if node not in api.nodes:
            return api.result([], version=None, rebooted=False, pending=[], needed=False)
        if not api.online(node):
            raise StateError(f"{node} is offline", where="node")
        with Hosts(params["nodes"], Login.from_params(params)) as hosts:
            hosts.require(node)
            return _Run(api, params, hosts).go()


class _Run:
    """One node."""

    def __init__(self, api: Api, params: Mapping[str, Any], hosts: Hosts) -> None:
        self.api, self.params, self.hosts = api, params, hosts
        self.node = str(params["node"])
        self.release: str | None = params["release"]
        self.timeout = float(params["timeout"])
        self.half_installed = False

    def go(self) -> Result:
        """Look, compare, upgrade, boot anew, look again."""
        if not self.api.check_mode:
            apt.refresh(self.api, self.node, self.timeout)
        node = apt.look(self.api, self.node)
        moves = self.release is not None and self.release != node.major
        if moves:
            self._check_release(node)
        self.half_installed = self.hosts.do(self.node, apt.half_installed)
        changes = self._changes(node, node.major)
        if self.params["state"] == "refreshed" or self.api.check_mode or not changes:
            shown = [] if self.params["state"] == "refreshed" else changes
            return self._result(shown, node, needed=bool(changes), rebooted=False)
        boots = self._boots(node, moves)
        if boots:
            watched = [] if self.params["allow_running_guests"] else [ALL_GUESTS]
            require(self.api, [("/", "Sys.Audit"), (f"/nodes/{self.node}", "Sys.PowerMgmt"), *watched])
        self._check_guests(boots)
        self.api.approve(changes)
        if moves:
            changes = self._step(changes, lambda: self._move(node.major))
        self._step(changes, lambda: self.hosts.do(self.node, apt.upgrade))
        if boots:
            self._step(changes, self._wait_until_empty, done=len(changes) - 1)
            self._step(changes, lambda: reboot(self.api, self.hosts, self.node, self.timeout), done=len(changes) - 1)
        return self._result(changes, self._verify(boots), needed=False, rebooted=boots)

    def _check_release(self, node: apt.Node) -> None:
        release = str(self.release)
        apt.check_release(self.api, node, release)
        for text in self.hosts.do(self.node, lambda shell: apt.checklist(shell, release)):
            self.api.warn(f"{self.node}: {text}")
        self.api.unknown.append(f"which packages release {release} brings to {self.node}")

    def _boots(self, node: apt.Node, moves: bool) -> bool:
        return self.params["reboot"] == "if_needed" and (moves or node.needs_reboot)

    def _changes(self, node: apt.Node, old: str) -> list[Change]:
        """What there is to do; ``old``: the release whose repositories the node had at first."""
        moves = self.release is not None and self.release != old
        changes = list(node.changes())
        if self.half_installed:
            states = ({"state": "installed"}, {"state": "half installed"})
            changes.insert(0, simple_change(UPDATE, "packages of", self.node, *states))
        if moves:
            suites = ({"suite": apt.SUITES[str(self.release)]}, {"suite": apt.SUITES[old]})
            changes.insert(0, simple_change(UPDATE, "repositories of", self.node, *suites))
        if self._boots(node, moves):
            kernels = ({"kernel": node.next_kernel}, {"kernel": node.running_kernel})
            changes.append(simple_change(UPDATE, "boot of", self.node, *kernels))
        return changes

    def _check_guests(self, boots: bool) -> None:
        if not boots or self.params["allow_running_guests"]:
            return
        running = apt.guests_running(self.api, self.node)
        if running:
            raise StateError(
                f"{self.node} has to be booted anew, and {', '.join(map(str, running))} run on it",
                where="node",
                hint="Take it into maintenance first, or say allow_running_guests: true. Nothing was changed.",
            )

    def _wait_until_empty(self) -> None:
        """Wait until nothing runs here, nor is about to.

        New packages start the HA daemons anew. Until the manager has seen that the node still is in maintenance, it
        takes it for one that came back, and moves guests there.
        """
        if self.params["allow_running_guests"]:
            return
        running: list[int] = []
        calm: set[int] = set()

        def empty() -> bool | None:
            running[:] = apt.guests_running(self.api, self.node)
            seen = maintenance(self.api, self.node)
            if running or seen.moving or (seen.asked_for and seen.unfinished(True)):
                calm.clear()
                return None
            calm.add(seen.round)
            return True if not seen.asked_for or len(calm) > CALM else None

        wait_until(
            empty,
            timeout=self.timeout,
            what=f"{self.node}'s being empty before its boot",
            clock=self.api.client.clock,
            passing=PASSING,
            describe=lambda: f"{', '.join(map(str, running))} run there" if running else "HA is not at rest",
        )

    def _move(self, old: str) -> list[Change]:
        """Let the repositories be those of the next release; gives the changes as they are known then."""
        self.hosts.do(self.node, lambda shell: apt.move_sources(shell, old, str(self.release)))
        apt.refresh(self.api, self.node, self.timeout)
        self.api.unknown.clear()
        return self._changes(apt.look(self.api, self.node), old)

    def _step(self, changes: list[Change], work: Callable[[], T], done: int = 0) -> T:
        """Do one step; if it fails, what it leaves undone is told with the reason."""
        try:
            return work()
        except QuorateError as error:
            told = [change.describe() for change in changes]
            raise ApplyError([error], told[:done], told[done:]) from error

    def _verify(self, booted: bool) -> apt.Node:
        """Whatever restarted with its new version answers again, and nothing is left to do."""
        node = wait_until(
            lambda: apt.look(self.api, self.node),
            timeout=SETTLE,
            what=f"an answer of {self.node}",
            clock=self.api.client.clock,
            passing=PASSING,
        )
        if node.pending or self.release not in (None, node.major):
            left = ", ".join(sorted(node.pending)) or f"it has {node.version}"
            raise VerifyError(f"the upgrade of {self.node} ended well, and this is left: {left}", where="node")
        if booted and node.needs_reboot:
            raise VerifyError(
                f"{self.node} runs kernel {node.running_kernel}, not {node.newest_kernel}",
                where="node",
                hint="A kernel is pinned (proxmox-boot-tool kernel list), or another one was chosen at boot.",
            )
        return node

    def _result(self, changes: list[Change], node: apt.Node, *, needed: bool, rebooted: bool) -> Result:
        pending = [{"package": name, "old": old, "new": new} for name, (old, new) in sorted(node.pending.items())]
        return self.api.result(
            changes,
            version=node.version,
            kernel=node.running_kernel,
            pending=pending,
            needed=needed,
            reboot_needed=node.needs_reboot,
            rebooted=rebooted,
        )
