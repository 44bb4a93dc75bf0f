# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes and a witness survive the loss of either node; an odd number of nodes gets none."""

from __future__ import annotations

from typing import Any

import pytest

from ...stacks import StackFactory, wait_until
from .control_node import Site, good

NODES = ("pve1", "pve2")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def site(stack_factory: StackFactory) -> Site:
    hosts: dict[str, Any] = {name: {"kind": "pve"} for name in (*NODES, "pve3")}
    start = {"clustered": {"name": "two", "nodes": list(NODES)}}
    return Site(stack_factory({**hosts, "witness": {"kind": "witness"}}, start=start), *NODES)


def witness(site: Site, *nodes: str, **more: Any) -> dict[str, Any]:
    address = site.address("witness")
    host_key = site.keys["witness"]["ssh_host_key"]
    return site.run("witness", address=address, host_key=host_key, nodes=site.shells(*(nodes or NODES)), **more)


def quorate(site: Site, node: str) -> bool:
    with site.shell(node) as shell:
        return "Quorate:          Yes" in shell.attempt(["pvecm", "status"]).text


def test_set_up(site: Site) -> None:
    created = [f"create witness {site.address('witness')}"]
    predicted = witness(site, check=True)
    assert good(predicted) == created
    assert predicted["plan"][0]["fields"]["algorithm"]["after"] == "ffsplit"
    done = witness(site)
    assert good(done) == created
    assert done["plan"] == predicted["plan"]
    assert good(witness(site)) == []
    assert "witness" in site.run("cluster_member", node="pve1", state="absent")["msg"]


@pytest.mark.parametrize("lost", NODES)
def test_either_node_may_be_lost(site: Site, lost: str) -> None:
    (left,) = set(NODES) - {lost}
    site.stack.power("off", lost)
    try:
        with site.shell(left) as shell:
            wait_until(lambda: "Nodes:            1" in shell.attempt(["pvecm", "status"]).text, PATIENCE)
        wait_until(lambda: quorate(site, left), PATIENCE)
        site.client().put("/cluster/options", {"description": f"without {lost}"})
        refused = witness(site, state="absent")
        assert f"{lost} is offline" in refused["msg"]
    finally:
        site.stack.power("on", lost)
        site.stack.wait_ready(lost, PATIENCE)
    wait_until(site.settled, PATIENCE)


def test_an_odd_number_of_nodes(site: Site) -> None:
    assert good(witness(site, state="absent")) == [f"delete witness {site.address('witness')}"]
    assert good(witness(site, state="absent")) == []
    joined = site.run(
        "cluster_member",
        node="pve3",
        address=site.address("pve3"),
        fingerprint=site.keys["pve3"]["fingerprint"],
        links=[{"number": 0, "address": site.address("pve3")}],
    )
    assert good(joined) == ["create member pve3"]
    three = (*NODES, "pve3")
    assert "3 nodes, an odd number" in witness(site, *three)["msg"]
    forced = witness(site, *three, force=True, check=True)
    assert forced["plan"][0]["fields"]["algorithm"]["after"] == "lms"
