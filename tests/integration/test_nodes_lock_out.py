# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is locked out of its network is: by its interfaces, and by its firewall (facts §18, §19)."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from ..api_client import Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

NETWORK = "/nodes/pve1/network"
FIREWALL = "/cluster/firewall"
INTERFACES = "/etc/network/interfaces"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    hosts = {"pve1": {}, "pve2": {}}
    return stack_factory(
        hosts, scale=100, networks={"mgmt": {}, "ring1": {}}, start={"clustered": {"name": "test", "links": ["ring1"]}}
    )


@pytest.fixture
def shell(stack: RunningStack) -> Shell:
    return Shell(stack, "pve1")


def answers(stack: RunningStack, host: str = "pve1", network: str = "mgmt", port: int = 8006) -> bool:
    """Whether a new connection is taken."""
    address = stack.resolved["hosts"][host]["addresses"][network]
    try:
        with socket.create_connection((address, port), timeout=0.3):
            return True
    except TimeoutError:
        return False


def addresses(shell: Shell) -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(shell.run("ip -j addr").out)}


def test_interfaces_are_what_the_file_makes_of_the_cards(shell: Shell, stack: RunningStack) -> None:
    root = Root(stack, "pve1")
    root("POST", NETWORK, iface="vmbr1", type="bridge", cidr="10.9.9.1/24", autostart=1, mtu=9000)
    assert "vmbr1" not in addresses(shell)
    root.run("PUT", NETWORK)
    found = addresses(shell)["vmbr1"]
    assert (found["addr_info"][0]["local"], found["mtu"]) == ("10.9.9.1", 9000)
    root("DELETE", f"{NETWORK}/vmbr1")
    root.run("PUT", NETWORK)
    assert "vmbr1" not in addresses(shell)


def test_an_interface_that_was_taken_down_carries_nothing_until_it_is_up_again(
    stack: RunningStack, shell: Shell
) -> None:
    card = next(name for name, link in addresses(shell).items() if name.startswith("nic"))
    back = f"/usr/sbin/ip link set dev {card} up"
    done = shell.run(f"systemd-run --unit=up --on-active=60s --timer-property=AccuracySec=100ms --collect {back}")
    assert done.status == 0
    assert shell.run("ip link set dev nic99 down").status == 1
    shell.run(f"systemd-run --unit=down --on-active=2s --collect /usr/sbin/ip link set dev {card} down")
    wait_until(lambda: not answers(stack), 30)
    wait_until(lambda: answers(stack), 60)
    assert "UP" in addresses(Shell(stack, "pve1"))[card]["flags"]


def test_an_address_that_is_not_configured_is_gone_until_a_timer_puts_it_back(
    stack: RunningStack, shell: Shell
) -> None:
    shell.run(f"cp {INTERFACES} {INTERFACES}.before")
    root = Root(stack, "pve1")
    root("PUT", f"{NETWORK}/vmbr0", type="bridge", bridge_ports="nic0", autostart=1)
    line = f'"--property=ExecStartPre=/usr/bin/cp {INTERFACES}.before {INTERFACES}"'
    shell.run(f"systemd-run --quiet --unit=back --on-active=2h {line} /usr/sbin/ifreload -a")
    assert shell.run("systemctl is-active back.timer").out == "active\n"
    shell.run("systemctl stop back.timer")
    again = shell.run("systemctl stop back.timer")
    assert (again.status, again.err) == (5, "Failed to stop back.timer: Unit back.timer not loaded.\n")
    shell.run(f"systemd-run --quiet --unit=back --on-active=300s {line} /usr/sbin/ifreload -a")
    root("PUT", NETWORK)
    wait_until(lambda: not answers(stack))
    assert not answers(stack, port=2222)
    wait_until(lambda: answers(stack))
    assert "vmbr0" in addresses(shell)


def test_a_link_without_its_address_costs_the_membership(stack: RunningStack) -> None:
    other = Root(stack, "pve2")
    root = Root(stack, "pve1")
    name = next(one["iface"] for one in root("GET", NETWORK) if one["type"] == "eth" and one.get("cidr"))
    before = root("GET", f"{NETWORK}/{name}")
    root("PUT", f"{NETWORK}/{name}", type="eth", autostart=1)
    root("PUT", NETWORK)
    wait_until(lambda: not next(row for row in other("GET", "/cluster/status") if row["type"] == "cluster")["quorate"])
    root("PUT", f"{NETWORK}/{name}", type="eth", cidr=before["cidr"], autostart=1)
    root("PUT", NETWORK)
    wait_until(lambda: next(row for row in other("GET", "/cluster/status") if row["type"] == "cluster")["quorate"])


def test_the_firewall_drops_what_no_rule_lets_in(stack: RunningStack, shell: Shell) -> None:
    root = Root(stack, "pve1")
    root("PUT", f"{FIREWALL}/options", enable=1)
    wait_until(lambda: not answers(stack))
    assert not answers(stack, port=2222)
    # what is connected stays so
    assert shell.run("pve-firewall status").out == "Status: enabled/running\n"
    shell.run(f"systemd-run --quiet --unit=open --on-active=1s /usr/bin/pvesh set {FIREWALL}/options --enable 0")
    wait_until(lambda: answers(stack))
    rule = {"type": "in", "action": "ACCEPT", "enable": 1}
    root("POST", f"{FIREWALL}/rules", **rule, proto="tcp", dport="8006", source="127.0.0.1")
    root("PUT", f"{FIREWALL}/options", enable=1)
    wait_until(lambda: not answers(stack, port=2222))
    assert answers(stack)
    root("POST", f"{FIREWALL}/rules", **rule, macro="SSH")
    wait_until(lambda: answers(stack, port=2222))
    root("PUT", f"{FIREWALL}/options", enable=0)
    wait_until(lambda: shell.run("pve-firewall status").out == "Status: disabled/running\n")
