# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every scenario of a drill with its time line, one after another on the same site; `pytest -s` shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ..stacks import StackFactory
from .drill_stacks import Range, make_range

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


def passed(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer.get("passed"), (answer.get("msg"), answer.get("failures"), answer.get("timeline"))
    return answer


def around(site: Range, name: str) -> dict[str, Any]:
    """What makes a report before and after, in a directory of its own."""
    return {"pve_report_around": True, "pve_report_dir": str(site.directory / name), "pve_report_links": False}


def reported(site: Range, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The drills that the report after has and the one before has not, and all that the one after says."""
    before, after = (
        json.loads(next((site.directory / name).glob(f"*-drill-{when}/test.json")).read_text())
        for when in ("before", "after")
    )
    return after["drills"][: len(after["drills"]) - len(before["drills"])], after


def test_power_loss_as_the_inventory_says(site: Range) -> None:
    done = site.play(drill_scenario="power-loss", drill_node="pve1", drill_confirm=True, **around(site, "power"))
    assert done.status == 0, done.output
    new, _report = reported(site, "power")
    assert [each["passed"] for each in new] == [True]
    record = site.newest()
    assert done.says("broken: power of pve1", "vm:101", "started on pve3", "put back", "vm:101 brought back to pve1")
    times = record["times"]
    # nobody sees a manager fence that has taken over late and does it within one round
    fence = times["fence"] or times["detection"]
    assert 0 < times["detection"] <= fence < times["recovery"] <= times["service"]
    # the lock of a node that is gone has to run out, and seconds are those of the stack
    assert 100 < times["recovery"] <= record["promises"]["recovery"]
    assert (record["affected"], record["lost"], record["passed"]) == (["vm:101"], ["pve1"], True)
    [data] = record["data"]
    assert (data["vmid"], data["replicated"], data["age"] < 3600) == (101, True, True)
    assert {gap["vmid"] for gap in record["gaps"] if gap["since"] < times["recovery"]} == {101}
    site.findings("lost")


def test_all_ports(site: Range) -> None:
    answer = passed(site.hold("all-ports", node="pve2"))
    assert answer["times"]["recovery"]
    assert answer["data"] == [{"vmid": 102, "replicated": False, "age": 0}]
    site.findings("lost")


def test_all_ports_by_the_hosts_themselves(site: Range) -> None:
    """Nothing but SSH: the host takes its interfaces down, and is back when its watchdog or its timer says so."""
    by_ssh = {name: each for name, each in site.site.variables["drill_fault_command"].items() if name != "ports"}
    answer = passed(site.hold("all-ports", node="pve2", faults=by_ssh))
    assert answer["times"]["recovery"]
    site.findings("lost")


def test_one_link_by_the_host_itself(site: Range) -> None:
    answer = passed(site.hold("one-link", node="pve4", link="1", faults={}, hold=60))
    assert answer["times"]["detection"]
    assert any("link     1 pve4" in line and "disconnected" in line for line in answer["timeline"])


def test_one_link(site: Range) -> None:
    assert passed(site.hold("one-link", node="pve4", link="1", hold=60))["gaps"] == []


def test_storage_network(site: Range) -> None:
    """Who is on the array stands still and goes on; nobody is moved for it."""
    answer = passed(site.hold("storage-network", network="san"))
    assert {gap["vmid"] for gap in answer["gaps"]} == {102, 103}
    assert answer["times"]["detection"]
    assert answer["times"]["fence"] is None
    site.findings("lost")


def test_data_centre(site: Range) -> None:
    answer = passed(site.hold("data-centre", site="dc1"))
    assert {each["vmid"]: each["replicated"] for each in answer["data"]} == {101: True, 102: False}
    assert answer["times"]["recovery"]
    site.findings("lost")


def test_flapping(site: Range) -> None:
    answer = passed(site.hold("flapping", node="pve3"))
    steps = [line.split("drill")[1].split()[0] for line in answer["timeline"] if " drill " in line]
    assert steps[:7] == [*["broken:", "whole:"] * 3, "put"]
    site.findings("lost")


def test_witness(site: Range) -> None:
    answer = passed(site.hold("witness", host="witness1", hold=60))
    assert answer["times"]["detection"]
    assert answer["gaps"] == []


def test_backup_server(site: Range) -> None:
    answer = passed(site.hold("backup-server", host="pbs1", hold=90))
    assert any("storage" in line and "backup" in line and "not available" in line for line in answer["timeline"])
    assert answer["gaps"] == []


def test_a_promise_that_is_not_kept(site: Range) -> None:
    """The report afterwards is made all the same, and has it; then the run fails with what the drill said."""
    power_loss = {"drill_scenario": "power-loss", "drill_node": "pve3", "drill_confirm": True}
    done = site.play(**power_loss, drill_promise_recovery=60, **around(site, "promise"))
    assert done.status != 0
    assert done.says("Report around an operation", "Fail as the drill did", "recovery took", "promised are 60 s")
    new, report = reported(site, "promise")
    assert [each["passed"] for each in new] == [False]
    assert "the last drill power-loss pve3 failed" in json.dumps(report["findings"])
    site.findings("lost")
