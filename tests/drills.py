# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills: a cluster with guests under HA on shared storage, faults, and the time line of what HA makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from agentstack.commands.fault import set_fault
from agentstack.control import request
from agentstack.guests.check_disks import Report, check

from .api_client import Refused, Root
from .integration.shell import Shell
from .stacks import RunningStack, StackFactory, wait_until

DISKS = [{"size": "32G"}, {"size": "64G", "type": "nvme"}]
NETWORKS = {"mgmt": {}, "ring1": {}, "san": {}}
ARRAY = {"nas1": {"network": "san", "exports": {"/export/vm": "100G"}}}
STATUS = "/cluster/ha/status/current"
PATIENCE = 90.0
"""Real seconds for what has no time of its own: a loaded machine is slow."""

TRANSIENT = (Refused, AssertionError, requests.RequestException, OSError)
"""What a call may end in while hosts come and go."""


@dataclass
class Timeline:
    """What the status said, and when: (stack seconds since the fault, what, state)."""

    events: list[tuple[float, str, str]] = field(default_factory=list)

    def first(self, what: str, state: str) -> float:
        """When something was first seen in a state."""
        return next(moment for moment, name, seen in self.events if (name, seen) == (what, state))

    def show(self, title: str) -> None:
        """Print it: seconds are those of the stack."""
        print(f"\n{title}")
        for moment, what, state in self.events:
            print(f"{moment:8.0f} s  {what:<10} {state}")


class Site:
    """A cluster under test. Calls go to whichever of its hosts answers."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.scale = float(stack.definition["scale"])
        self.hosts = sorted(stack.resolved["hosts"])
        self._roots: dict[str, Root] = {}

    # ---- calls ------------------------------------------------------------------------------------------------------

    def root(self, host: str) -> Root:
        if host not in self._roots:
            self._roots[host] = Root(self.stack, host)
        return self._roots[host]

    def ask(self, path: str, *, without: tuple[str, ...] = (), **given: Any) -> Any:
        """Read from a host that answers and has quorum; AssertionError if none does."""
        for host in self.hosts:
            if host in without or not self.stack.host(host)["ready"]:
                continue
            try:
                root = self.root(host)
                rows = root("GET", STATUS)
                if next(row for row in rows if row["type"] == "quorum").get("quorate"):
                    return rows if path == STATUS else root("GET", path, **given)
            except TRANSIENT:
                continue
        raise AssertionError("no host answers with quorum")

    def services(self, *, without: tuple[str, ...] = ()) -> dict[str, str]:
        """`vm:101` -> `pve1, started`."""
        rows = self.ask(STATUS, without=without)
        return {row["sid"]: row["status"].partition("(")[2].rstrip(")") for row in rows if row["type"] == "service"}

    def place(self, sid: str) -> str:
        return self.services()[sid].partition(",")[0]

    def manager(self) -> str:
        return next(str(row["node"]) for row in self.ask(STATUS) if row["type"] == "master")

    # ---- set-up -----------------------------------------------------------------------------------------------------

    def array(self) -> None:
        """External storage that all hosts reach over a network of its own, as the storage `vm`."""
        address = self.stack.resolved["arrays"]["nas1"]["address"]
        given = {"storage": "vm", "type": "nfs", "server": address, "export": "/export/vm", "content": "images"}
        self.root(self.hosts[0])("POST", "/storage", **given)

    def ceph(self, **pool: int) -> None:
        """A pool of Ceph that all hosts reach, as the storage `vm`."""
        first, networks = self.hosts[0], self.stack.resolved["networks"]
        for host in self.hosts:
            assert (
                Shell(self.stack, host).run("pveceph install --repository no-subscription --version squid").status == 0
            )
        root = self.root(first)
        root("POST", f"/nodes/{first}/ceph/init", network=networks["mgmt"]["cidr"])
        for host in self.hosts:
            root.run("POST", f"/nodes/{host}/ceph/mon/{host}")
        for upid in [root("POST", f"/nodes/{host}/ceph/osd", dev="/dev/nvme0n1") for host in self.hosts]:
            assert root.end_of(upid) == "OK"
        root.run("POST", f"/nodes/{first}/ceph/pool", name="vm", add_storages=1, **pool)

    def guests(self, *vmids: int) -> None:
        """Guests with a disk on the shared storage, one a host in turn, under HA and running."""
        root = self.root(self.hosts[0])
        for number, vmid in enumerate(vmids):
            host = self.hosts[number % len(self.hosts)]
            root.run("POST", f"/nodes/{host}/qemu", vmid=vmid, name=f"g{vmid}", memory=64, scsi0="vm:1")
        for vmid in vmids:
            root("POST", "/cluster/ha/resources", sid=f"vm:{vmid}", max_relocate=3, max_restart=3)
        self.at_rest()

    def at_rest_or_error(self, timeout: float = PATIENCE) -> dict[str, str]:
        """As `at_rest`, but that services may have gone into the state error."""
        return self.at_rest(timeout, (", started", ", error"))

    def at_rest(self, timeout: float = PATIENCE, ends: tuple[str, ...] = (", started",)) -> dict[str, str]:
        """Wait until all hosts are up and in quorum, and every service runs; gives their places."""

        def look() -> dict[str, str]:
            try:
                found = self.services()
                nodes = self.ask("/cluster/ha/status/manager_status")
            except TRANSIENT:
                return {}
            states = nodes["manager_status"].get("node_status", {})
            modes = {status["state"] for status in nodes["lrm_status"].values()}
            calm = all(states.get(host) == "online" for host in self.hosts) and not modes & {"lost_agent_lock"}
            return found if calm and found and all(text.endswith(ends) for text in found.values()) else {}

        try:
            return wait_until(look, timeout)
        except AssertionError as error:
            rows = self.ask(STATUS)
            raise AssertionError("\n".join(str(row["status"]) for row in rows if "status" in row)) from error

    # ---- faults -----------------------------------------------------------------------------------------------------

    def fault(self, kind: str, *words: str) -> None:
        """As `agentstack fault`."""
        set_fault(self.stack.dir, kind, *words)

    def cut_off(self, host: str) -> None:
        """Cut a host off from the others, but not from the external storage."""
        for network in ("mgmt", "ring1"):
            self.fault("link", host, network, "cut")

    def mend(self) -> None:
        """Plug all cables of hosts in again."""
        for kind in ("link", "host"):
            request(self.stack.dir, {"do": "clear faults", "kind": kind}, PATIENCE)

    def clear(self) -> None:
        """Restore everything that faults broke, and press the power button of whatever is off."""
        request(self.stack.dir, {"do": "clear faults", "kind": None}, PATIENCE)
        for host in self.hosts:
            power = self.stack.host(host)["power"]
            if power in ("off", "paused"):
                self.stack.power("on" if power == "off" else "resume", host)

    def watch(
        self, until: Callable[[dict[str, str]], bool], *, without: tuple[str, ...] = (), timeout: float = PATIENCE
    ) -> Timeline:
        """Write down what changes, from now (the fault) on, until the services' states are as wanted."""
        line = Timeline()
        begun = time.monotonic()
        seen: dict[str, str] = {}

        def look() -> bool:
            try:
                states = self.services(without=without)
                nodes = self.ask("/cluster/ha/status/manager_status", without=without)["manager_status"]
            except TRANSIENT:
                return False
            moment = (time.monotonic() - begun) * self.scale
            shown = {f"node {name}": state for name, state in nodes.get("node_status", {}).items()} | states
            shown["manager"] = nodes.get("master_node", "")
            for what, state in sorted(shown.items()):
                if seen.get(what) != state:
                    line.events.append((moment, what, state))
            seen.update(shown)
            return until(states)

        wait_until(look, timeout)
        return line

    def rounds(self, number: int, timeout: float = PATIENCE) -> None:
        """Let the manager make that many rounds."""
        seen: set[int] = set()

        def look() -> bool:
            seen.add(self.ask("/cluster/ha/status/manager_status")["manager_status"]["timestamp"])
            return len(seen) > number

        wait_until(look, timeout)

    def runs_on(self, sid: str) -> str | None:
        """The host that runs a guest, asked of the hosts themselves; None if none says so."""
        for host in self.hosts:
            try:
                if self.root(host)("GET", f"/nodes/{host}/qemu/{sid[3:]}/status/current")["status"] == "running":
                    return host
            except TRANSIENT:
                continue
        return None

    def revive(self) -> None:
        """Bring services out of the state error, as their owner would."""
        for sid, text in self.services().items():
            if text.endswith(", error"):
                for state in ("disabled", "started"):
                    self.root(self.hosts[0])("PUT", f"/cluster/ha/resources/{sid}", state=state)
                    if state == "disabled":
                        wait_until(lambda sid=sid: self.services()[sid].endswith(", disabled"), PATIENCE)  # type: ignore[misc]

    def check_disks(self) -> Report:
        """What the records on the disks show; there must be no finding."""
        report = check(self.stack.dir)
        assert report.findings == [], "\n".join(f"{f.guest} {f.kind}: {f.text} {f.disk}" for f in report.findings)
        return report


def make_site(
    factory: StackFactory,
    hosts: int = 3,
    *,
    scale: float = 20,
    guests: int = 3,
    external: bool = False,
    pool: dict[str, int] | None = None,
) -> Site:
    """A clustered stack with two links and guests that run under HA, on external storage or on the hosts' own Ceph."""
    names = {f"pve{number}": {"disks": DISKS} for number in range(1, hosts + 1)}
    start = {"clustered": {"name": "drill", "links": ["mgmt", "ring1"]}}
    site = Site(factory(names, scale=scale, networks=NETWORKS, arrays=ARRAY, start=start))
    if external:
        site.array()
    else:
        site.ceph(**(pool or {}))
    site.guests(*range(101, 101 + guests))
    return site
