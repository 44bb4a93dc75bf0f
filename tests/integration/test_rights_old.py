# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights of what only Proxmox VE 8 has."""

from __future__ import annotations

import pytest

from ..backups import root
from ..stacks import StackFactory
from .rights_trials import TABLE, Node, try_out

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

TESTED = [name for name, row in TABLE.items() if row.get("tried") == "old"]


@pytest.fixture(scope="module")
def trial(stack_factory: StackFactory) -> Node:
    guests = {100: {"type": "vm", "name": "g100", "node": "pve1", "memory": "64M", "ha": "ignored"}}
    start = {"clustered": {"name": "rights", "nodes": ["pve1"], "guests": guests}}
    stack = stack_factory({"pve1": {"version": "8.4"}}, scale=50, boot_time=0.5, start=start)
    return Node.make(stack, root(stack, "pve1", "PVE"), ("pve1",))


@pytest.mark.parametrize("name", TESTED)
def test_it_is_enough_and_nothing_is_too_much(name: str, trial: Node) -> None:
    try_out(name, trial, TABLE[name]["steps"])
