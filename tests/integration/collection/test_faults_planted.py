# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module that writes, on servers that do not do as they are told: each ends in the right outcome.

The steps are those of the dances. Before each one the server refuses, drops, ignores: nothing may change, and one
message has the server's own words. Then the step is made under a trouble that passes, with its answer lost, or with
tasks that warn; and a second time nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _wait

from ...stacks import RunningStack, StackFactory, wait_until
from .dances import Dance, Parameters
from .stage import Stage, set_up
from .table import by_file

Result = dict[str, Any]

WRITES = "method=POST,PUT,DELETE"
NO = "it cannot be"
LOCKED = "cfs-lock 'file-x' error: got lock request timeout"
FAILED = "command 'x' failed: exit code 1"
WARNED = "mind the gap"
UNKNOWN = "was carried out is not known"


@dataclass(frozen=True)
class Fault:
    """What is wrong with the calls that fit, and what a module says of it."""

    name: str
    rules: tuple[tuple[str, ...], ...]
    said: str = ""


UNREAD = Fault("reads that are refused", (("**", "method=GET", "status=500", f"reason={NO}"),), NO)
AWAY = Fault("reads that no node answers", (("**", "method=GET", "status=595", "reason=No route to host"),), "offline")
REFUSALS = (
    Fault("writes that are refused", (("**", WRITES, "status=500", f"reason={NO}"),), NO),
    Fault("a lock that is not got", (("**", WRITES, "status=500", f"reason={LOCKED}"),), "Somebody else is changing"),
    Fault("writes that are dropped", (("**", WRITES, "drop"),), UNKNOWN),
)
# found by reading back; or one call refuses what another one, ignored, was to make way for
IGNORED = Fault("writes that are ignored", (("**", WRITES, "ignore"),))
TASK_FAILS = Fault("a task that fails", (("**", WRITES, f"fail={FAILED}"),), FAILED)
PASSING = (
    ("**", WRITES, "status=401", "count=1"),
    ("/**", WRITES, "status=500", f"reason={LOCKED}", "count=1"),
    ("***", "method=GET", "drop", "count=1"),
)
UNANSWERED = (("**", WRITES, "unanswered", "count=1"),)
TASKS_WARN = (("**", WRITES, f"warn={WARNED}"),)


class Walk(Stage):
    """One file's dances on one stack."""

    def __init__(self, file: str, stack: RunningStack, directory: Path) -> None:
        super().__init__(stack, directory)
        self.file = file
        self.wrong: list[str] = []

    def under(self, rules: tuple[tuple[str, ...], ...], module: str, parameters: Parameters) -> Result:
        """What it returns while the server that it asks is like that."""
        host = str((parameters.get("api_hosts") or ["{pbs1}" if module.startswith("pbs_") else "pve1"])[0]).strip("{}")
        hosts = [host]
        if any(word.startswith(("fail=", "warn=")) for rule in rules for word in rule) and host == "pve1":
            # a task runs where the call is passed on to
            hosts = sorted(name for name in self.stack.resolved["hosts"] if name.startswith("pve"))
        for name in hosts:
            # whoever logs in is spared: of several rules that fit, the first one counts
            self.stack.fault("api", name, "/access/ticket", "after=1s")
            for rule in rules:
                self.stack.fault("api", name, *rule)
        try:
            return self.run(module, parameters)
        finally:
            self.stack.clear_faults("api")

    def dance(self, module: str, dance: Dance) -> None:
        """All steps of one module."""
        for other, parameters in dance.before:
            self.good(other, parameters)
        if not dance.reads:
            for number, parameters in enumerate(dance.steps):
                self.step(module, number, parameters)
        for other, parameters in dance.after:
            self.settled(f"{self.file} {module} after", other, parameters)

    def step(self, module: str, number: int, parameters: Parameters) -> None:
        """One step under every fault that keeps it from being made, then under one that does not."""
        name = f"{self.file} {module} {number}"
        reads = UNREAD if module.startswith("pbs_") else AWAY
        faults = [reads, *REFUSALS, *([] if module in RAW else [IGNORED]), *([TASK_FAILS] if module in TASKS else [])]
        # all of them once for a module, then one for each of its steps
        for fault in faults if number == 0 else [faults[number % len(faults)]]:
            result = self.under(fault.rules, module, parameters)
            if not result.get("failed"):
                if fault in (reads, IGNORED, TASK_FAILS) or module in ELSEWHERE:
                    # nothing of it concerned the module, and the step is made
                    break
                self.wrong.append(f"{name}: {fault.name}: no failure")
                break
            # what is changed over SSH may be done by then, and is told
            touched = result["changed"] and not (module in ELSEWHERE and "changes were made" in result["msg"])
            if fault is not IGNORED and (fault.said not in result["msg"] or touched):
                self.wrong.append(f"{name}: {fault.name}: changed {result['changed']}: {result['msg']}")
        else:
            self.made(name, module, number, parameters)
        again = self.run(module, parameters)
        if again.get("failed") or again["changed"]:
            self.wrong.append(f"{name}: again: {again.get('msg') or again['plan']}")

    def made(self, name: str, module: str, number: int, parameters: Parameters) -> None:
        """The step is made at last, though not without trouble."""
        planned = self.run(module, parameters, check=True)
        if module in TASKS and number % 2 == 0:
            result = self.under(TASKS_WARN, module, parameters)
            if self.tasks and not any(WARNED in text for text in result.get("warnings", [])):
                self.wrong.append(f"{name}: a task that warns: {result.get('msg') or result.get('warnings')}")
        elif number % 2:
            result = self.under(UNANSWERED, module, parameters)
            if result.get("failed"):
                if UNKNOWN not in result["msg"]:
                    self.wrong.append(f"{name}: an answer that is lost: {result['msg']}")
                # what a task that nobody follows is still at keeps others off it for a moment
                self.settled(name, module, parameters)
                return
        else:
            result = self.under(PASSING, module, parameters)
        if result.get("failed") or result["plan"] != planned["plan"]:
            self.wrong.append(f"{name}: in trouble: {result.get('msg') or result['plan']}")

    def settled(self, name: str, module: str, parameters: Parameters) -> None:
        """Run it until it does not fail."""
        said: list[str] = []

        def look() -> bool:
            said.append(str(self.run(module, parameters).get("msg", "")))
            return not said[-1]

        try:
            wait_until(look, 60)
        except AssertionError:
            self.wrong.append(f"{name}: after an answer that was lost: {said[-1]}")


TASKS = frozenset(
    {
        *("zfs_pools", "guests", "backup", "restore", "guest_migration", "node_network"),
        *("ceph_osds", "ceph_monitors", "ceph_managers", "ceph_pools", "pbs_datastores", "pbs_sync"),
        *("acme_accounts", "acme_certificates"),
    }
)
"""Modules whose changes are tasks of the server."""
RAW = frozenset({"api_call"})
"""Modules that do not look whether what they were told to send came about."""
ELSEWHERE = frozenset(
    {
        *("cluster_member", "restore_files", "export", "pbs_export"),
        *("corosync_links", "witness", "node_system", "node_maintenance", "apt_upgrade", "zfs_replace"),
        *("ceph_install", "ceph_crush", "ceph_lost_node", "ceph_stretch"),
    }
)
"""Modules that write to files or change things over SSH, on which the API's faults have no hold."""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control node that is as quick as its stack."""
    sleep: Callable[[float], None] = _wait.CLOCK.sleep
    monkeypatch.setattr(_wait.CLOCK, "sleep", lambda seconds: sleep(seconds / 20), raising=False)


FILES = (
    *("dances", "dances_access", "dances_adopt", "dances_backup", "dances_ceph", "dances_firewall", "dances_ha"),
    *("dances_nodes", "dances_operations", "dances_power", "dances_stretch"),
    *("dances_acme", "dances_access8", "dances_ha8"),
)
"""Files of dances whose steps are made by the API, for a part at least."""


@pytest.mark.long
@pytest.mark.parametrize("file", FILES)
def test_each_module_ends_in_the_right_outcome(file: str, stack_factory: StackFactory, tmp_path: Path) -> None:
    stack = set_up(file, stack_factory)
    walk = Walk(file, stack, tmp_path)
    for module, dance in by_file()[file].items():
        walk.dance(module, dance)
    stack.down()
    assert not walk.wrong, "\n".join(walk.wrong)
