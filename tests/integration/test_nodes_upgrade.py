# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running cluster moves from 8.4 to 9.2, one node after another (facts §7.1, §23; observed: 8.4 to 9.2)."""

from __future__ import annotations

from functools import partial

import pytest

from agentstack.commands.upgrade import upgrade

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

NODES = ("pve1", "pve2", "pve3")
PATIENCE = 90


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory({name: {"version": "8.4"} for name in NODES}, scale=10, start={"clustered": {"name": "test"}})


def test_groups_become_rules_with_the_last_node(stack: RunningStack) -> None:
    root = Root(stack, "pve1")
    root.run("POST", "/nodes/pve1/qemu", vmid=100, memory=64, description="stays")
    root("POST", "/cluster/ha/groups", group="g1", nodes="pve1,pve2:2", restricted=1)
    root("POST", "/cluster/ha/resources", sid="vm:100", group="g1", state="started")
    for name in NODES:
        said: list[str] = []
        assert upgrade(stack.dir, name, "9.2", said.append) == "9.2.11"
        assert said == [f"{name}: {step}" for step in ("apt-get update", "apt-get -y dist-upgrade", "reboot")]
        root = Root(stack, name)
        assert root("GET", "/version")["release"] == "9.2"
        wait_until(partial(_quorate, root), PATIENCE)
        if name != NODES[-1]:
            # the cluster is mixed: its groups are what they were
            assert [row["group"] for row in root("GET", "/cluster/ha/groups")] == ["g1"]
    rules = wait_until(lambda: _rules(Root(stack, "pve3")), PATIENCE)
    assert [(rule["rule"], rule["type"], rule["strict"], rule["resources"]) for rule in rules] == [
        ("ha-group-g1", "node-affinity", 1, "vm:100")
    ]
    # the rules are written first, then the groups go
    refused = wait_until(partial(_why_no_groups, root), PATIENCE)
    assert refused == "cannot index groups: ha groups have been migrated to rules"
    assert stack.host("pve1")["version"] == "9.2.11"
    again = stack.run("upgrade", "pve1")
    assert (again.returncode, "nothing to upgrade" in again.stderr) == (1, True)


def _quorate(root: Root) -> bool:
    return bool(next(row for row in root("GET", "/cluster/status") if row["type"] == "cluster")["quorate"])


def _why_no_groups(root: Root) -> str:
    try:
        root("GET", "/cluster/ha/groups")
    except Refused as refused:
        return refused.reason
    return ""


def _rules(root: Root) -> list[dict[str, object]]:
    try:
        return list(root("GET", "/cluster/ha/rules"))
    except Refused:
        return []
