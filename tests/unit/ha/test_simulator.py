# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario directories, errors in them, the command and the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agentstack.commands.simulate import simulate
from agentstack.sim import run_scenario
from agentstack.sim.report import Outage, clock, outages, ticks
from agentstack.sim.scenario import ScenarioError, load, parse_sections
from agentstack.sim.simulator import LogLine


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    commands = [["power node1 on", "power node2 on", "power node3 on"], ["network node3 off"]]
    (tmp_path / "cmdlist").write_text(json.dumps(commands))
    (tmp_path / "service_config").write_text(json.dumps({"vm:103": {"node": "node3", "state": "enabled"}}))
    (tmp_path / "rules_config").write_text(
        "# places\nnode-affinity: r1\n\tresources vm:103\n\tnodes node3:1,node2\n\tstrict 1\n"
    )
    return tmp_path


def app() -> typer.Typer:
    commands = typer.Typer()
    commands.command()(simulate)
    return commands


def test_sections() -> None:
    text = "group: g1\n\tnodes node1:2,node2\n\trestricted 1\n\ngroup: g2\n\tnodes node3\n"
    assert parse_sections(text, "groups") == {
        "g1": {"type": "group", "nodes": "node1:2,node2", "restricted": "1"},
        "g2": {"type": "group", "nodes": "node3"},
    }
    with pytest.raises(ScenarioError, match="line 1"):
        parse_sections("\tnodes node1\n", "groups")


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cmdlist: a scenario needs this file"):
        load(tmp_path)
    (tmp_path / "cmdlist").write_text("{")
    with pytest.raises(ScenarioError, match="cmdlist"):
        load(tmp_path)


@pytest.mark.parametrize(
    "command", ["power node9 on", "dance", "service vm:9 started", "cfs node1 rw", "crm node1 dance"]
)
def test_a_wrong_command_ends_the_simulation(scenario: Path, command: str) -> None:
    (scenario / "cmdlist").write_text(json.dumps([[command]]))
    result = run_scenario(scenario)
    assert result.error is not None
    assert str(result.lines[-1]) == f"err      20     hardware: exit simulation - {result.error}"


def test_delay_holds_the_batches_back(scenario: Path) -> None:
    (scenario / "cmdlist").write_text(json.dumps([["delay 100"], ["delay 0"]]))
    executed = [line.time for line in run_scenario(scenario).lines if line.who == "cmdlist"]
    assert executed == [20, 200]


def test_command_writes_log_json_and_report(scenario: Path, tmp_path: Path) -> None:
    log, report = tmp_path / "log", tmp_path / "report.html"
    answer = CliRunner().invoke(app(), [str(scenario), "--log", str(log), "--report", str(report), "--json"])
    assert answer.exit_code == 0
    document = json.loads(answer.stdout)
    assert document["running"]["node2"] == ["vm:103"]
    assert log.read_text() == run_scenario(scenario).text
    page = report.read_text()
    assert "FENCE: Try to fence node &#39;node3&#39;" in page
    assert 'class="span fence"' in page
    assert 'class="span c1 started"' in page, "a service has the colour of its node"
    assert "The longest that came back was down for <b>123 s</b>" in page
    assert not re.search(r"(?:src|href)=|https?://", page), "it needs nothing else"


def test_what_users_noticed() -> None:
    def line(time: int, who: str, message: str) -> LogLine:
        return LogLine("info", time, who, message)

    started = [line(20, f"node{n}/lrm", f"service status vm:{n} started") for n in (1, 2, 3)]
    found = outages(
        [
            *started,
            line(30, "node1/lrm", "service vm:1 - end migrate to node 'node2'"),
            line(40, "cmdlist", "execute power node1 off"),
            line(50, "cmdlist", "execute power node2 off"),
            line(60, "node3/lrm", "service status vm:3 stopped"),
            line(70, "cmdlist", "execute power node3 off"),
            line(80, "cmdlist", "execute network node2 off"),
            line(90, "node3/lrm", "service status vm:2 started"),
            line(92, "cmdlist", "execute network node3 off"),
            line(99, "cmdlist", "execute network node3 on"),
        ]
    )
    assert found == [
        Outage("vm:1", "node2", 50, None),
        Outage("vm:2", "node2", 50, 90),
        Outage("vm:2", "node3", 92, 99),
    ]
    assert ([clock(moment) for moment in ticks(3600)][:3], len(ticks(10000))) == (["0:00", "5:00", "10:00"], 9)


def test_command_prints_the_log_and_fails_on_what_it_cannot_read(scenario: Path) -> None:
    answer = CliRunner().invoke(app(), [str(scenario)])
    assert answer.stdout.startswith("info      0     hardware: starting simulation\n")
    assert CliRunner().invoke(app(), [str(scenario / "nowhere")]).exit_code == 2
