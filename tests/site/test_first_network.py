# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first run on nodes whose links have no addresses yet: the role base makes them, then they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..backups import Api, root
from ..stacks import StackFactory
from .inventories import Site

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]


def bare(node: Api, address: str) -> str:
    """Take an address from the interface that has it, and say which that was."""
    name = next(row["iface"] for row in node.data("GET", "/nodes/localhost/network") if row.get("address") == address)
    node.data("PUT", f"/nodes/localhost/network/{name}", type="eth", delete="cidr")
    node.run("PUT", "/nodes/localhost/network")
    return name


def test_links_that_the_role_base_is_to_make(stack_factory: StackFactory, tmp_path: Path) -> None:
    disks = [{"size": "32G"}]
    hosts: dict[str, Any] = {f"pve{number}": {"kind": "pve", "disks": disks} for number in (1, 2)}
    stack = stack_factory(hosts, scale=50, networks={"mgmt": {}, "ring1": {}})
    rings = {name: stack.resolved["hosts"][name]["addresses"]["ring1"] for name in hosts}
    cards = [bare(root(stack, name, "PVE"), rings[name]) for name in hosts]
    assert len(set(cards)) == 1
    site = Site(stack, tmp_path, {"pve_preflight_severity": {"count": "warning", "repositories": "info"}})
    ring = stack.resolved["networks"]["ring1"]["cidr"]
    links = [{"number": 0, "network": site.network}, {"number": 1, "network": ring}]
    cidrs = {name: f"{address}/24" for name, address in rings.items()}
    planned = {
        "pve_links": links,
        "pve_network_interfaces": [{"node": "*", "name": cards[0], "type": "eth", "cidrs": cidrs}],
    }
    without_base = site.run("cluster", **planned)
    assert without_base.status != 0, without_base.output
    assert without_base.says(f"pve1 has no address {rings['pve1']} for link 1")

    made = site.run("preflight", "base", "cluster", **planned)
    assert made.status == 0, made.output
    node = root(stack, "pve1", "PVE")
    members = node.data("GET", "/cluster/config/nodes")
    assert {member["ring1_addr"] for member in members} == set(rings.values())
    again = site.run("preflight", "base", "cluster", **planned)
    assert (again.status, again.changed) == (0, 0), again.output
