# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills: what refuses one, and what is left of one that is cut off; the scenarios are in test_drill_scenarios.py."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ..api_client import Root
from ..stacks import StackFactory, wait_until
from .conftest import BIN, ROOT
from .drill_stacks import PATIENCE, PLACES, Range, make_range

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]


@pytest.fixture(scope="module")
def site(stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory) -> Range:
    return make_range(stack_factory, tmp_path_factory)


@pytest.fixture(autouse=True)
def _whole(site: Range) -> Iterator[None]:
    yield
    site.wait_whole()


def refused(site: Range, scenario: str, **more: Any) -> list[str]:
    """The checks that keep a drill from being held; nothing was broken."""
    answer = site.hold(scenario, check_mode=True, **more)
    assert answer["ready"] is not True, answer
    assert site.hold(scenario, **more)["failed"]
    assert not site.faults()
    assert all(host["ready"] for host in site.stack.status()["hosts"])
    return [each["check"] for each in answer["conditions"]]


def witnessed(site: Range) -> bool:
    """Whether the witness gives its vote."""
    return str(Root(site.stack, "pve1")("GET", "/cluster/config/qdevice")["State"]).startswith("Connected")


# --- what refuses a drill


def test_what_is_told_before(site: Range) -> None:
    told = site.hold("power-loss", check_mode=True, node="pve1")
    assert (told["ready"], told["would"][0]) == (True, "would break power of pve1")
    assert [landing["target"] for landing in told["forecast"]["landings"]] == ["pve3"]
    asked = site.play(drill_node="pve1")
    assert asked.status != 0
    assert asked.says("would break power of pve1", "the drill power-loss breaks power of pve1", "drill_confirm: true")
    wrong = site.hold("data-centre", site="dc9")
    assert "no node stands in dc9 (there are: dc1, dc2)" in wrong["msg"]


def test_each_precondition_refuses(site: Range) -> None:
    root = Root(site.stack, "pve4")
    assert refused(site, "power-loss", node="pve1", max_backup_age=1) == ["backup"]
    assert "guest 101 has no backup" in site.hold("power-loss", node="pve1", max_backup_age=1)["msg"]
    assert refused(site, "power-loss", node="pve1", max_replica_age=-1) == ["replication"]
    # room for guests is what 8 GiB leave
    root.run("POST", "/nodes/pve2/qemu", vmid=190, name="huge", memory=7000, scsi0="vm:1")
    root("POST", "/cluster/ha/resources", sid="vm:190", state="stopped")
    root("PUT", "/cluster/ha/resources/vm:190", state="started")
    wait_until(lambda: 190 in site.places(), PATIENCE)
    wait_until(lambda: site.hold("witness", check_mode=True, host="witness1")["ready"], PATIENCE)
    [lacking] = site.hold("power-loss", check_mode=True, node="pve2")["conditions"]
    assert lacking["check"] == "capacity"
    assert "no room for vm:190" in lacking["text"]
    assert refused(site, "power-loss", node="pve2") == ["capacity"]
    root("PUT", "/cluster/ha/resources/vm:190", state="stopped")
    wait_until(lambda: root("GET", "/nodes/pve2/qemu/190/status/current")["status"] == "stopped", PATIENCE)
    root("DELETE", "/cluster/ha/resources/vm:190")
    root.run("DELETE", "/nodes/pve2/qemu/190")


def test_another_fault_refuses_and_so_do_votes(site: Range) -> None:
    site.stack.fault("link", "pve3", "ring1", "cut")
    wait_until(lambda: not site.hold("one-link", check_mode=True, node="pve1", link="0")["ready"], PATIENCE)
    [fault, *_] = site.hold("one-link", check_mode=True, node="pve1", link="0")["conditions"]
    assert (fault["check"], fault["text"].startswith("link 1: ")) == ("other_fault", True)
    site.stack.fault("link", "pve3", "ring1", "restore")
    site.stack.power("off", "witness1")
    wait_until(lambda: not witnessed(site), PATIENCE)
    checks = site.hold("data-centre", check_mode=True, site="dc1")["conditions"]
    assert "2 of 5 votes would be left, and 3 are needed" in next(
        each["text"] for each in checks if each["check"] == "quorum"
    )
    assert "no drill now" in site.hold("data-centre", site="dc1")["msg"]
    site.stack.power("on", "witness1")
    wait_until(lambda: witnessed(site), PATIENCE)


def test_another_run_has_the_lock(site: Range) -> None:
    root = Root(site.stack, "pve1")
    comment = "eve@elsewhere is changing this cluster since 2026-11-22 04:53:39 UTC (process 1, lease 4102444800)"
    root("POST", "/pools", poolid="quorate-run", comment=comment)
    locked = site.play(drill_scenario="one-link", drill_node="pve1", drill_link=1, drill_confirm=True)
    root("DELETE", "/pools", poolid="quorate-run")
    assert locked.status != 0
    assert locked.says("another run has the lock: eve@elsewhere")


# --- drills that are cut off


def _hold_in_a_child(site: Range, scenario: str, more: dict[str, Any]) -> None:
    site.hold(scenario, **more)


def test_a_command_that_fails(site: Range) -> None:
    """It may have broken something all the same: what mends it is run, and the record is kept."""
    mark = site.directory / "mended"
    commands = {"link": {"break": ["false"], "mend": ["touch", str(mark)]}}
    answer = site.hold("one-link", node="pve4", link="1", faults=commands)
    assert (answer["failed"], answer["passed"], mark.exists()) == (True, False, True)
    assert answer["msg"] == "drill: 'false' ended with status 1. What was broken has been put back."
    assert (site.newest()["aborted"], site.newest()["failures"]) == (True, answer["failures"])


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_drill_that_ends_in_the_middle(site: Range, ending: signal.Signals) -> None:
    """Told to end it puts back what it broke; killed, its guard does."""
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_hold_in_a_child, args=(site, "one-link", {"node": "pve4", "link": "1"}))
    worker.start()
    wait_until(site.faults, PATIENCE)
    assert worker.pid is not None
    os.kill(worker.pid, ending)
    worker.join(PATIENCE)
    assert worker.exitcode is not None
    wait_until(lambda: not site.faults(), PATIENCE)
    wait_until(lambda: not list(site.records.glob("running-*")), PATIENCE)
    if ending != signal.SIGKILL:
        assert site.newest()["failures"] == ["the drill was aborted"]


def test_a_playbook_that_is_killed(site: Range) -> None:
    """With all that belongs to it, as by `kill -9` or the end of a terminal."""
    inventory = site.site.write(drill_scenario="power-loss", drill_node="pve4", drill_confirm=True)
    with subprocess.Popen(
        [BIN / "ansible-playbook", "-i", inventory, "playbooks/drill.yml"],
        cwd=ROOT,
        env=site.site.lab.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        wait_until(lambda: not site.stack.host("pve4")["ready"], PATIENCE)
        os.killpg(run.pid, signal.SIGKILL)
    wait_until(lambda: site.stack.host("pve4")["ready"], PATIENCE)
    wait_until(lambda: not list(site.records.glob("running-*")), PATIENCE)
    # the lock went with the run
    wait_until(lambda: Root(site.stack, "pve1")("GET", "/pools") == [], PATIENCE)


def test_what_a_dead_control_node_left(site: Range) -> None:
    journal = site.records / "running-test.json"
    journal.write_text('{"faults": [{"kind": "link", "node": "pve4", "what": "1"}], "process": 0}')
    site.stack.fault("link", "pve4", "ring1", "cut")
    assert "Run the playbook with -e drill_restore=true first" in site.hold("one-link", node="pve1", link="1")["msg"]
    told = site.hold("one-link", check_mode=True, restore=True)
    assert told["restored"] == ["link 1 of pve4"]
    assert site.faults()
    assert site.hold("one-link", restore=True)["restored"] == ["link 1 of pve4"]
    assert site.hold("one-link", restore=True)["changed"] is False
    assert {*PLACES} == {*site.places()}
