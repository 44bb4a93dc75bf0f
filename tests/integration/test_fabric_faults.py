# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three nodes with two links: what is cut, what goes on, and what the nodes say about it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, agentstack, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

NAMES = ("pve1", "pve2", "pve3")


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    found = stack_factory(
        {**{name: {"kind": "pve"} for name in NAMES}, "pbs1": {"kind": "pbs"}},
        scale=20,
        networks={"mgmt": {}, "ring0": {"mtu": 9000}, "ring1": {"latency": "0.5ms"}},
        start={
            "clustered": {
                "name": "ha",
                "nodes": list(NAMES),
                "links": ["ring0", "ring1"],
                "guests": {100: {"node": "pve3", "disks": ["64M"], "running": True}},
            }
        },
    )
    wait_until(lambda: all(quorate(found, name) for name in NAMES))
    return found


@pytest.fixture(autouse=True)
def whole(stack: RunningStack) -> Iterator[None]:
    """After every test everything is well again."""
    yield
    stack.clear_faults()
    wait_until(lambda: all(online(stack, name) == list(NAMES) and connected(stack, name) for name in NAMES), 30)


def quorate(stack: RunningStack, name: str) -> bool:
    return bool((stack.host(name)["cluster"] or {}).get("quorate"))


def online(stack: RunningStack, name: str) -> list[str]:
    found: list[str] = (stack.host(name)["cluster"] or {}).get("online", [])
    return found


def connected(stack: RunningStack, name: str) -> bool:
    links = (stack.host(name)["cluster"] or {"links": []})["links"]
    return all(link["connected"] == link["peers"] for link in links)


def states(shell: Shell) -> dict[int, list[str]]:
    """corosync-cfgtool -s: link number -> the state of every node on it."""
    text = shell.run("corosync-cfgtool -s").out
    return {int(part[0]): re.findall(r"nodeid: +\d+:\t(\w+)", part) for part in text.split("LINK ID ")[1:]}


class Client:
    """Writes all the time, as long as it is asked to, and keeps what went wrong."""

    def __init__(self, root: Root) -> None:
        self.failures: list[str] = []
        self.written = 0
        self.longest = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(root,))

    def _run(self, root: Root) -> None:
        while not self._end.wait(0.02):
            began = time.monotonic()
            try:
                root("PUT", "/cluster/options", description=f"{self.written}")
                self.written += 1
            except (Refused, requests.RequestException) as error:
                self.failures.append(str(error))
            self.longest = max(self.longest, time.monotonic() - began)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def test_one_link_of_two_is_not_missed(stack: RunningStack) -> None:
    shell = Shell(stack, "pve1")
    assert states(shell) == {0: ["localhost", "connected", "connected"], 1: ["localhost", "connected", "connected"]}
    with Client(Root(stack, "pve3")) as client:
        wait_until(lambda: client.written > 3)
        stack.fault("link", "pve3", "ring0", "cut")
        wait_until(lambda: states(shell)[0] == ["localhost", "connected", "disconnected"])
        assert states(shell)[1] == ["localhost", "connected", "connected"]
        count = client.written
        wait_until(lambda: client.written > count + 3)
        stack.fault("link", "pve3", "ring0", "restore")
        wait_until(lambda: states(shell)[0] == ["localhost", "connected", "connected"])
    assert client.failures == []
    for name in NAMES:
        assert (online(stack, name), quorate(stack, name)) == (list(NAMES), True)
    assert Root(stack, "pve1")("GET", "/nodes/pve3/qemu/100/status/current")["status"] == "running"


def test_the_one_without_links_can_only_be_read(stack: RunningStack) -> None:
    stack.fault("link", "pve3", "ring0", "cut")
    stack.fault("link", "pve3", "ring1", "cut")
    wait_until(lambda: not quorate(stack, "pve3") and online(stack, "pve1") == ["pve1", "pve2"])
    assert quorate(stack, "pve1")
    alone = Root(stack, "pve3")
    assert alone("GET", "/nodes/pve3/qemu/100/status/current")["status"] == "running"
    with pytest.raises(Refused, match="no quorum"):
        alone("POST", "/pools", poolid="lost")
    Root(stack, "pve1")("POST", "/pools", poolid="kept")
    stack.fault("host", "pve3", "restore")
    # what was cut as a link is restored as a link
    assert online(stack, "pve1") == ["pve1", "pve2"]
    stack.clear_faults("link")
    wait_until(lambda: quorate(stack, "pve3"))
    wait_until(lambda: {"poolid": "kept"} in [{"poolid": pool["poolid"]} for pool in alone("GET", "/pools")])


def test_a_dead_cable_is_dead_for_everything(stack: RunningStack) -> None:
    through = Root(stack, "pve1")
    direct = Root(stack, "pve2")
    assert through("GET", "/nodes/pve2/status")["cpuinfo"]
    stack.fault("link", "pve2", "mgmt", "cut")
    with pytest.raises(Refused) as refused:
        through("GET", "/nodes/pve2/status")
    assert (refused.value.status, refused.value.reason) == (595, "No route to host")
    for timeout, session in ((1, direct._session), (1, requests.Session())):
        with pytest.raises(requests.Timeout):
            session.get(f"https://{direct.address}:8006/api2/json/version", timeout=timeout, verify=False)
    # the cluster has other networks
    assert quorate(stack, "pve2")
    stack.fault("link", "pve2", "mgmt", "restore")
    assert direct("GET", "/version")["release"]
    assert through("GET", "/nodes/pve2/status")["cpuinfo"]


def test_who_hears_whom_is_a_matter_of_sides(stack: RunningStack) -> None:
    stack.fault("partition", "pve1", "pve2,pve3")
    wait_until(lambda: online(stack, "pve1") == ["pve1"] and online(stack, "pve2") == ["pve2", "pve3"])
    assert (quorate(stack, "pve1"), quorate(stack, "pve3")) == (False, True)
    with pytest.raises(Refused) as refused:
        Root(stack, "pve1")("GET", "/nodes/pve2/status")
    assert refused.value.status == 595
    assert Root(stack, "pve2")("GET", "/nodes/pve3/status")["cpuinfo"]


def test_a_fault_outlives_the_power_being_off(stack: RunningStack) -> None:
    stack.fault("link", "pve2", "mgmt", "cut")
    stack.power("reset", "pve2")
    wait_until(lambda: stack.host("pve2")["power"] == "booting")
    stack.wait_ready("pve2", 30)
    address = stack.resolved["hosts"]["pve2"]["address"]
    with pytest.raises(requests.Timeout):
        requests.get(f"https://{address}:8006/api2/json/version", timeout=1, verify=False)


def test_pings_meet_what_the_networks_are_like(stack: RunningStack) -> None:
    shell = Shell(stack, "pve1")
    there = stack.resolved["hosts"]["pve2"]["addresses"]

    def mean(address: str) -> float:
        return float(re.findall(r"= [\d.]+/([\d.]+)/", shell.run(f"ping -c 3 -i 0.2 {address}").out)[0])

    assert mean(there["ring0"]) < 0.3
    assert 1.0 < mean(there["ring1"]) < 1.5
    stack.fault("network", "ring1", "latency=6ms")
    assert 12.0 < mean(there["ring1"]) < 12.5
    stack.fault("link", "pve2", "ring0", "mtu=1500")
    assert "100% packet loss" in shell.run(f"ping -c 1 -W 1 -M do -s 8972 {there['ring0']}").out
    assert " 0% packet loss" in shell.run(f"ping -c 1 -M do -s 1472 {there['ring0']}").out
    wait_until(lambda: "mtu: 1397" in shell.run("corosync-cfgtool -n").out)
    too_long = shell.run(f"ping -c 1 -M do -s 1473 {there['mgmt']}")
    assert (too_long.status, too_long.err) == (1, "ping: local error: message too long, mtu=1500\n")
    stack.fault("network", "ring0", "loss=100%")
    lost = shell.run(f"ping -c 2 -i 0.2 -W 1 {there['ring0']}")
    assert lost.status == 1
    stack.power("off", "pve2")
    wait_until(lambda: stack.host("pve2")["power"] == "off")
    assert "Destination Host Unreachable" in shell.run(f"ping -c 1 {there['mgmt']}").out
    stack.power("on", "pve2")
    stack.wait_ready("pve2", 30)


def test_a_network_that_loses_nearly_everything_is_no_network(stack: RunningStack) -> None:
    shell = Shell(stack, "pve1")
    stack.fault("network", "ring0", "loss=90%")
    wait_until(lambda: "disconnected" in states(shell)[0])
    assert quorate(stack, "pve1")
    assert online(stack, "pve1") == list(NAMES)


def test_clocks_go_wrong(stack: RunningStack) -> None:
    root = Root(stack, "pve1")
    stack.fault("clock", "pve2", "-90s")
    difference = root("GET", "/nodes/pve1/time")["time"] - root("GET", "/nodes/pve2/time")["time"]
    assert 85 <= difference <= 95
    assert "90.000000000 seconds slow of NTP time" in Shell(stack, "pve2").run("chronyc tracking").out
    stack.fault("clock", "pve2", "restore")
    assert abs(root("GET", "/nodes/pve1/time")["time"] - root("GET", "/nodes/pve2/time")["time"]) <= 5


def test_the_command_says_what_is_broken(stack: RunningStack) -> None:
    done = agentstack("fault", "network", "ring1", "latency=2ms", "loss=5%", "--dir", stack.dir)
    assert done.returncode == 0, done.stderr
    listed = agentstack("fault", "list", "--dir", stack.dir)
    assert listed.stdout == "network ring1 latency=0.002 loss=0.05\n"
    assert stack.status()["faults"] == [
        {"kind": "network", "target": ["ring1"], "settings": {"latency": 0.002, "loss": 0.05}}
    ]
    refused = agentstack("fault", "link", "pve9", "ring0", "cut", "--dir", stack.dir)
    assert (refused.returncode, "no host 'pve9' in this stack" in refused.stderr) == (1, True), refused.stderr


def test_it_gets_later_for_all(stack: RunningStack) -> None:
    root = Root(stack, "pve1")

    def ahead() -> list[int]:
        return [round((root("GET", f"/nodes/{name}/time")["time"] - time.time()) / 3600) for name in ("pve1", "pve2")]

    done = agentstack("clock", "advance", "90min", "--dir", stack.dir)
    assert done.returncode == 0, done.stderr
    agentstack("clock", "advance", "30min", "--dir", stack.dir)
    assert ahead() == [2, 2]
    # no fault, and a host that boots has it, too
    stack.clear_faults()
    stack.power("reset", "pve2")
    stack.wait_ready("pve2", 300)
    wait_until(lambda: quorate(stack, "pve2"))
    assert ahead() == [2, 2]
    refused = agentstack("clock", "advance", "0s", "--dir", stack.dir)
    assert (refused.returncode, "by more than 0 seconds" in refused.stderr) == (1, True), refused.stderr
