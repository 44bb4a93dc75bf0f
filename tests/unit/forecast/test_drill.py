# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill breaks, puts back and measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.filter.drill_nodes import drill_nodes
from ansible_collections.quorate.pve.plugins.module_utils._drill_faults import (
    LINK,
    NETWORK,
    PORTS,
    POWER,
    Fault,
    Faults,
    down_commands,
    interfaces_of,
)
from ansible_collections.quorate.pve.plugins.module_utils._drill_judge import against_promises
from ansible_collections.quorate.pve.plugins.module_utils._drill_plan import plan
from ansible_collections.quorate.pve.plugins.module_utils._drill_watch import Event, Gap, Times, Watch, times
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError, StateError
from ansible_collections.quorate.pve.plugins.module_utils._shell import Login
from ansible_collections.quorate.pve.plugins.module_utils._wait import CLOCK

NODES = [{"node": "pve1", "site": "a"}, {"node": "pve2", "site": "a"}, {"node": "pve3", "site": "b"}]


def faults(tmp_path: Path, commands: dict[str, Any] | None = None) -> Faults:
    nodes: dict[str, dict[str, Any]] = {"pve1": {"address": "192.0.2.11"}, "pve2": {}}
    return Faults(commands or {}, nodes, Login(), tmp_path / "drills/running.json", deadman=300, timeout=10)


@pytest.mark.parametrize(
    ("params", "expected", "lost", "votes"),
    [
        ({"scenario": "power-loss", "node": "pve1"}, [Fault(POWER, "pve1")], ("pve1",), 1),
        ({"scenario": "all-ports", "node": "pve1"}, [Fault(PORTS, "pve1")], ("pve1",), 1),
        ({"scenario": "one-link", "node": "pve1", "link": "0"}, [Fault(LINK, "pve1", "0")], (), 0),
        ({"scenario": "storage-network", "network": "ceph"}, [Fault(NETWORK, "", "ceph")], (), 0),
        ({"scenario": "flapping", "node": "pve2"}, [Fault(PORTS, "pve2")], (), 1),
        (
            {"scenario": "data-centre", "site": "a"},
            [Fault(POWER, "pve1"), Fault(POWER, "pve2")],
            ("pve1", "pve2"),
            2,
        ),
        ({"scenario": "witness", "host": "w"}, [Fault(POWER, "w")], (), 1),
        ({"scenario": "backup-server", "host": "pbs1"}, [Fault(POWER, "pbs1")], (), 0),
    ],
)
def test_scenarios(params: dict[str, Any], expected: list[Fault], lost: tuple[str, ...], votes: int) -> None:
    made = plan({"nodes": NODES, **params})
    assert (list(made.faults), made.lost, len(made.votes_of) + made.witness) == (expected, lost, votes)


@pytest.mark.parametrize(
    "params",
    [
        {"scenario": "power-loss"},
        {"scenario": "power-loss", "node": "pve9"},
        {"scenario": "one-link", "node": "pve1"},
        {"scenario": "data-centre", "site": "c"},
    ],
)
def test_what_a_scenario_needs(params: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        plan({"nodes": NODES, **params})


def test_a_way_to_break_it_is_looked_for_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no way to the power button of pve2"):
        faults(tmp_path).check(Fault(POWER, "pve2"))
    with pytest.raises(InputError, match="no way to break network san"):
        faults(tmp_path).check(Fault(NETWORK, what="san"))
    with pytest.raises(InputError, match="no way to break ports of pve1"):
        faults(tmp_path).check(Fault(PORTS, "pve1"), again=True)
    with pytest.raises(InputError, match="no command to mend it"):
        faults(tmp_path, {"power": {"break": ["true"]}}).check(Fault(POWER, "pve2"))
    faults(tmp_path).check(Fault(PORTS, "pve1"))


def test_what_was_broken_is_known_until_it_is_put_back(tmp_path: Path) -> None:
    mark = tmp_path / "mended"
    words = {"power": {"break": ["true"], "mend": ["sh", "-c", f"test -e {tmp_path}/may && echo {{node}} >> {mark}"]}}
    one = faults(tmp_path, words)
    one.begin([Fault(POWER, "pve1")])
    one.cause(Fault(POWER, "pve1"))
    with pytest.raises(StateError, match="an earlier drill was cut off"):
        one.begin([])
    assert "ended with status 1" in one.mend_all(one.left())[0]
    assert one.left() == [Fault(POWER, "pve1")]
    (tmp_path / "may").touch()
    assert one.mend_all(one.left()) == []
    assert (one.left(), mark.read_text()) == ([], "pve1\n")


def test_power_is_taken_and_given_back_by_ipmi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, state = tmp_path / "ipmitool", tmp_path / "chassis"
    state.write_text("on")
    # status, on, off are the last word of what a drill says
    tool.write_text(
        "#!/bin/sh\n"
        'for word; do last=$word; done; case $last in on|off) printf %s "$last" > '
        f'{state};; esac; echo "Chassis Power is $(cat {state})"\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    ipmi = {"host": "192.0.2.111", "user": "u", "password": "p", "interface": "lanplus"}
    nodes: dict[str, dict[str, Any]] = {"pve1": {"power": {"ipmi": ipmi}}}
    one = Faults({}, nodes, Login(), tmp_path / "drills/running.json", deadman=300, timeout=10)
    fault = Fault(POWER, "pve1")
    one.check(fault)
    one.begin([fault])
    one.cause(fault)
    assert state.read_text() == "off"
    assert one.mend_all(one.left()) == []
    assert state.read_text() == "on"


def test_interfaces_come_up_again_by_themselves() -> None:
    known: list[dict[str, Any]] = [
        {"ifname": "lo", "link_type": "loopback"},
        {"ifname": "eno1", "link_type": "ether", "addr_info": []},
        {"ifname": "eno2", "link_type": "ether", "addr_info": [{"local": "10.1.0.11"}]},
        {"ifname": "vmbr0", "link_type": "ether", "linkinfo": {"info_kind": "bridge"}},
    ]
    assert interfaces_of(known, Fault(PORTS, "pve1"), {}) == ["eno1", "eno2"]
    assert interfaces_of(known, Fault(LINK, "pve1", "1"), {"links": {"1": "10.1.0.11"}}) == ["eno2"]
    with pytest.raises(StateError, match="link 2"):
        interfaces_of(known, Fault(LINK, "pve1", "2"), {"links": {}})
    *stopped, up, down = down_commands(["eno1", "eno2"], 300)
    assert [words[:2] for words in stopped] == [["systemctl", "stop"]] * 2
    line = "--property=ExecStartPre=-/usr/sbin/ip link set dev eno1"
    assert (up[2], up[-6:]) == ("--on-active=300s", ["/usr/sbin/ip", "link", "set", "dev", "eno2", "up"])
    assert f"{line} up" in up
    assert (down[2], f"{line} down" in down) == ("--on-active=2s", True)


def test_times() -> None:
    events = [
        Event(0.0, "service", "vm:1", "started on pve1"),
        Event(10, "node", "pve1", "unknown"),
        Event(60, "node", "pve1", "fence"),
        Event(130, "service", "vm:1", "started on pve2"),
        Event(140, "service", "vm:2", "started on pve1"),
    ]
    watch = Watch(None, [], 1.0, CLOCK, 1.0, 1.0, events=events, gaps=[Gap(1, 1.0, 150.0)])  # type: ignore[arg-type]
    assert times(watch, ["pve1"], ["vm:1"]).describe() == {
        "detection": 10,
        "fence": 60,
        "recovery": 130,
        "service": 150,
    }
    assert times(watch, ["pve1"], ["vm:1", "vm:2"]).recovery is None


def test_a_late_recovery_is_explained_by_the_manager_that_went_with_the_node() -> None:
    events = [Event(-1.0, "manager", "", "pve1"), Event(150, "manager", "", "pve2")]
    watch = Watch(None, [], 1.0, CLOCK, 1.0, 1.0, events=events)  # type: ignore[arg-type]
    assert watch.before("manager") == "pve1"
    late, promises = Times(recovery=190.0, service=200.0), {"recovery": 180.0, "service": 240.0}
    assert against_promises(late, promises) == ["recovery took 190 s, promised are 180 s"]
    assert against_promises(late, promises, watch.before("manager")) == [
        "recovery took 190 s, promised are 180 s; pve1 ran the HA manager itself: another node had to take over first"
    ]


def test_a_node_that_is_back_before_it_is_fenced_explains_that_nothing_started_elsewhere() -> None:
    events = [
        Event(-1.0, "node", "pve1", "online"),
        Event(10, "node", "pve1", "unknown"),
        Event(60, "node", "pve1", "fence"),
        Event(12, "node", "pve2", "unknown"),
        Event(62, "node", "pve2", "online"),
        Event(70, "node", "pve1", "online"),
    ]
    watch = Watch(None, [], 1.0, CLOCK, 1.0, 1.0, events=events)  # type: ignore[arg-type]
    assert watch.returned(["pve1", "pve2"], 300) == {"pve2": 62}
    assert watch.returned(["pve2"], 50) == {}
    promises = {"recovery": 180.0, "service": 240.0}
    assert against_promises(Times(service=186.0), promises, returned=watch.returned(["pve2"], 300)) == [
        "recovery did not come about; pve2 was back by itself after 62 s, before it was fenced"
    ]


def test_nodes_from_the_inventory() -> None:
    links = [{"number": 1, "network": "10.1.0.0/24"}]
    variables = {"pve_address": "10.0.0.11", "pve_links": links, "drill_power": {"ipmi": {"host": "10.9.0.1"}}}
    assert drill_nodes(["pve1"], {"pve1": variables, "pbs1": {}}, "pbs1") == [
        {
            "node": "pve1",
            "address": "10.0.0.11",
            "voter": False,
            "links": {"1": "10.1.0.11"},
            "power": {"ipmi": {"host": "10.9.0.1"}},
        },
        {"node": "pbs1"},
    ]
