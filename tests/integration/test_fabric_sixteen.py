# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen nodes: start, lose a link, fall apart, come together, lose some."""

from __future__ import annotations

import pytest

from agentstack import launch

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Unverified HTTPS request")]

NAMES = [f"pve{number}" for number in range(1, 17)]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    found = stack_factory(
        {name: {"disks": [{"size": "8G"}]} for name in NAMES},
        scale=10,
        up=False,
        networks={"mgmt": {}, "ring0": {}, "ring1": {}},
        start={"clustered": {"name": "many", "links": ["ring0", "ring1"]}},
    )
    launch.up(found.file, found.dir)
    wait_until(lambda: views(found) == dict.fromkeys(NAMES, NAMES), PATIENCE)
    return found


def views(stack: RunningStack) -> dict[str, list[str]]:
    """Who sees whom online, in the order of their numbers."""
    hosts = {host["name"]: host["cluster"] for host in stack.status()["hosts"]}
    return {name: sorted((hosts[name] or {}).get("online", []), key=NAMES.index) for name in NAMES}


def quorate(stack: RunningStack) -> set[str]:
    return {host["name"] for host in stack.status()["hosts"] if (host["cluster"] or {}).get("quorate")}


def test_a_network_of_two_is_not_missed(stack: RunningStack) -> None:
    root = Root(stack, "pve16")
    stack.fault("network", "ring0", "cut")
    shell = Shell(stack, "pve7")
    wait_until(lambda: shell.run("corosync-cfgtool -s").out.count("disconnected") == 15, PATIENCE)
    root("POST", "/pools", poolid="over-ring1")
    assert views(stack) == dict.fromkeys(NAMES, NAMES)
    stack.fault("network", "ring0", "restore")
    wait_until(lambda: "disconnected" not in shell.run("corosync-cfgtool -s").out, PATIENCE)


def test_the_larger_part_goes_on(stack: RunningStack) -> None:
    few, many = NAMES[:7], NAMES[7:]
    stack.fault("partition", ",".join(few), ",".join(many))
    wait_until(lambda: views(stack) == {name: few if name in few else many for name in NAMES}, PATIENCE)
    assert quorate(stack) == set(many)
    with pytest.raises(Refused, match="no quorum"):
        Root(stack, "pve1")("POST", "/pools", poolid="few")
    Root(stack, "pve16")("POST", "/pools", poolid="many")
    stack.clear_faults()
    wait_until(lambda: views(stack) == dict.fromkeys(NAMES, NAMES), PATIENCE)
    assert "many" in {pool["poolid"] for pool in Root(stack, "pve1")("GET", "/pools")}


def test_halves_stop_both(stack: RunningStack) -> None:
    stack.fault("partition", ",".join(NAMES[:8]), ",".join(NAMES[8:]))
    wait_until(lambda: all(len(seen) == 8 for seen in views(stack).values()), PATIENCE)
    assert quorate(stack) == set()
    stack.clear_faults()
    wait_until(lambda: quorate(stack) == set(NAMES), PATIENCE)


def test_seven_without_power_are_not_missed(stack: RunningStack) -> None:
    lost = NAMES[3:10]
    for name in lost:
        stack.power("off", name)
    left = [name for name in NAMES if name not in lost]
    wait_until(lambda: all(views(stack)[name] == left for name in left), PATIENCE)
    Root(stack, "pve1")("POST", "/pools", poolid="nine")
    wait_until(lambda: all(stack.host(name)["power"] == "off" for name in lost), PATIENCE)
    for name in lost:
        stack.power("on", name)
    wait_until(lambda: views(stack) == dict.fromkeys(NAMES, NAMES), PATIENCE)
    wait_until(lambda: stack.host("pve5")["ready"], PATIENCE)
    assert "nine" in {pool["poolid"] for pool in Root(stack, "pve5")("GET", "/pools")}
