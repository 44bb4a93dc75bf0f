# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight makes of what it read, without a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._errors import ShellError
from ansible_collections.quorate.pve.plugins.module_utils._machine import (
    Machine,
    parse_chrony,
    parse_hosts,
    parse_meminfo,
    parse_speed,
    parse_watchdog,
)
from ansible_collections.quorate.pve.plugins.module_utils._paths import Measured, Path, parse_ping, paths_between
from ansible_collections.quorate.pve.plugins.module_utils._preflight_checks import CHECKS, judge
from ansible_collections.quorate.pve.plugins.module_utils._preflight_look import Finding, Look, Site, Wishes
from ansible_collections.quorate.pve.plugins.module_utils._preflight_promised import links_there, pending
from ansible_collections.quorate.pve.plugins.module_utils._site_votes import CHECKS as NAMES

GIB = 2**30


def interface(name: str, address: str | None = None, **more: Any) -> dict[str, Any]:
    return {"ifname": name, "mtu": 1500, "addr_info": [{"local": address}] if address else [], **more}


def machine(number: int, **more: Any) -> Machine:
    """A node in good order: a card for each of its two links."""
    good: dict[str, Any] = {
        "uncertainty": 0.001,
        "processors": 8,
        "memory": 16 * GIB,
        "modules": {"softdog"},
        "timezone": "UTC",
        "interfaces": [interface("nic0", f"10.0.0.1{number}"), interface("nic1", f"10.1.0.1{number}")],
        "speeds": {"nic0": 10_000, "nic1": 10_000},
        "reverse": {f"10.0.0.1{other}": [f"pve{other}.test", f"pve{other}"] for other in (1, 2, 3)},
    }
    return Machine(**{**good, **more})


def look(number: int, *, voter: bool = False, **more: Any) -> Look:
    links = [{"number": 0, "address": f"10.0.0.1{number}"}, {"number": 1, "address": f"10.1.0.1{number}"}]
    node = {"name": f"pve{number}", "address": f"10.0.0.1{number}", "links": links, "where": f"pve{number}"}
    made = Look({**node, "voter": voter})
    # what the checks of the API's answers want is not of interest here
    made.error = ShellError("not asked")
    made.offline_member = True
    made.machine = machine(number, **more)
    return made


def path(**more: Any) -> Path:
    return Path("link 1", "pve1", "pve2", "10.1.0.11", "10.1.0.12", mtu=1500, **more)


def found(
    looks: list[Look] | None = None, measured: list[Measured] | None = None, **wishes: Any
) -> list[tuple[str, str]]:
    """Severities and checks, but for what says that the API was not asked."""
    looks = [look(1), look(2), look(3)] if looks is None else looks
    site = Site("c", looks, None, Wishes(**wishes), measured, wishes.pop("resources", ()))
    return [(each.severity, each.check) for each in judge(site, {}) if each.check != "reachable"]


def test_nothing() -> None:
    assert found(measured=[Measured(path(), 0.2, 0.01, 0.0, True)]) == []


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (Measured(path(), 2.0), [("warning", "latency")]),
        (Measured(path(), 4.9), [("warning", "latency")]),
        (Measured(path(), 5.0), [("error", "latency")]),
        (Measured(path(link=False), 9.0), [("warning", "latency")]),
        (Measured(path(), 0.2, 1.0), [("warning", "jitter")]),
        (Measured(path(), 0.2, 3.0), [("error", "jitter")]),
        (Measured(path(), 0.2, 0.0, 0.1), [("warning", "loss")]),
        (Measured(path(), 0.2, 0.0, 0.2), [("error", "loss")]),
        (Measured(path(), 0.2, full_size=False), [("error", "mtu")]),
        (Measured(path(), None, 0.0, 1.0), [("error", "path")]),
    ],
)
def test_packets(measured: Measured, expected: list[tuple[str, str]]) -> None:
    assert found(measured=[measured]) == expected


@pytest.mark.parametrize(
    ("one", "expected", "ceph"),
    [
        ({"offset": 0.015}, [], False),
        ({"offset": 0.025}, [("warning", "clock")] * 2, False),
        ({"offset": 0.025, "uncertainty": 0.01}, [], False),
        ({"offset": 0.1}, [("warning", "clock")] * 2, False),
        ({"offset": 0.1}, [("error", "clock")] * 2, True),
        ({"offset": 0.6}, [("error", "clock")] * 2, False),
        ({"synchronised": False}, [("warning", "clock")], False),
        ({"modules": set()}, [("error", "watchdog")], False),
        ({"watchdog_device": False}, [("error", "watchdog")], False),
        ({"watchdog": "iTCO-wdt", "modules": {"iTCO_wdt"}}, [], False),
        ({"swap": GIB, "swap_used": 1}, [("warning", "swap")], False),
        ({"load": 6.0}, [], False),
        ({"load": 6.1}, [("warning", "load")], False),
        ({"timezone": "Europe/Vienna"}, [("warning", "timezone")], False),
        ({"forward": {"pve1": []}}, [("error", "resolution")], False),
        ({"forward": {"pve2": []}, "reverse": {"10.0.0.11": ["pve1"]}}, [("info", "resolution")] * 3, False),
    ],
)
def test_machines(one: dict[str, Any], expected: list[tuple[str, str]], ceph: bool) -> None:
    looks = [look(1, **one), look(2), look(3)]
    assert found(looks, [], ceph=ceph) == expected


def test_cards_under_vlans_bridges_and_bonds() -> None:
    bonded = [
        interface("eno1", master="bond0"),
        interface("eno2", master="bond0"),
        interface("bond0"),
        interface("vmbr0", "10.0.0.11"),
        interface("bond0.10", "10.1.0.11", link="bond0"),
    ]
    bonded[2]["master"] = "vmbr0"
    one = machine(1, interfaces=bonded, speeds={"eno1": 1000, "eno2": 1000})
    assert one.cards_of("vmbr0") == one.cards_of("bond0.10") == {"eno1", "eno2"}
    looks = [look(1, interfaces=bonded), look(2), look(3)]
    assert found(looks, []) == [("warning", "nics")] * 2


def test_speeds() -> None:
    slow = [look(1, speeds={"nic1": 1000}), look(2, speeds={"nic1": 100}), look(3, interfaces=[])]
    network = {"name": "migration", "cidr": "10.1.0.0/24"}
    assert found(slow, [], networks=[network]) == [("error", "speed")] * 2 + [("warning", "speed")]
    assert found(slow, [], networks=[{**network, "nodes": ["pve1"]}]) == [("warning", "speed")]
    assert found([look(1), look(2), look(3, voter=True, interfaces=[])], [], networks=[network]) == []


def test_room_for_the_guests_of_a_lost_node() -> None:
    guest = {"type": "qemu", "status": "running", "node": "pve1", "maxmem": 10 * GIB}

    def judged(*guests: dict[str, Any], voter: bool = False) -> list[str]:
        looks = [look(1), look(2), look(3, voter=voter)]
        site = Site("c", looks, None, Wishes(), [], guests)
        return [f"{each.check} {each.node}" for each in judge(site, {}) if each.check != "reachable"]

    assert judged({**guest, "vmid": 1}) == []
    everywhere = [{**guest, "vmid": number, "node": f"pve{number}"} for number in (1, 2, 3)]
    assert judged(*everywhere) == ["spare pve1", "spare pve2", "spare pve3"]
    assert judged({**guest, "vmid": 1}, {**guest, "vmid": 2, "node": "pve2"}, voter=True) == [
        "spare pve1",
        "spare pve2",
    ]
    assert "memory pve1" in judged({**guest, "vmid": 1}, {**guest, "vmid": 2})


def test_votes() -> None:
    assert found([look(1), look(2)], []) == [("error", "count")]
    assert found([look(1), look(2)], [], witness=True) == []
    assert found(None, [], witness=True) == [("error", "count")]


def test_what_findings_count_as() -> None:
    site = Site("c", [look(1), look(2)], None, Wishes(), [Measured(path(), 9.0)])
    counted = {each.check: each.severity for each in judge(site, {"count": "info", "latency": "warning"})}
    assert (counted["count"], counted["latency"]) == ("info", "warning")


def test_every_check_has_a_name_that_can_be_given() -> None:
    looks = [look(1), look(2, load=99.0)]
    for each in judge(Site("c", looks, None, Wishes(), [Measured(path(), None)]), {}):
        assert isinstance(each, Finding)
        assert each.check in NAMES
    assert len(CHECKS) == len(set(CHECKS))


def test_paths_between_pairs() -> None:
    looks = [look(1), look(2), look(3)]
    machines = {each.name: machine(number) for number, each in enumerate(looks, 1)}
    networks = [{"name": "migration", "cidr": "10.1.0.0/24"}, {"name": "other", "cidr": "10.9.0.0/24"}]
    paths = paths_between([each.node for each in looks], networks, machines)
    # what runs over a link's network is measured once
    assert [(each.source, each.target, each.name) for each in paths] == [
        (source, target, name)
        for source, target in (("pve1", "pve2"), ("pve2", "pve3"), ("pve1", "pve3"))
        for name in ("link 0", "link 1")
    ]
    assert {each.mtu for each in paths} == {1500}


def test_what_commands_print() -> None:
    summary = "--- x ping statistics ---\n10 packets transmitted, 8 received, 20% packet loss, time 450ms\n"
    assert parse_ping(summary + "rtt min/avg/max/mdev = 0.101/0.255/0.401/0.050 ms\n") == (
        0.255,
        0.05,
        pytest.approx(0.2),
    )
    assert parse_ping("10 packets transmitted, 0 received, 100% packet loss, time 9ms\n") == (None, 0.0, 1.0)
    assert parse_meminfo("MemTotal:       16384 kB\nHugePages_Total:       0\n") == {"MemTotal": 2**24}
    line = "C0000201,ntp.test,3,1795294231.5,0.000012,0.0,0.0,1.2,0.0,0.02,0.001,0.0005,64.2,"
    assert parse_chrony(f"{line}Normal\n") == (-0.000012, True)
    assert parse_chrony(f"{line}Not synchronised\n") == (-0.000012, False)
    assert parse_chrony("506 Cannot talk to daemon\n") == (None, True)
    assert parse_speed("\tSpeed: 10000Mb/s\n") == 10_000
    assert parse_speed("\tSpeed: Unknown!\n") is None
    assert parse_watchdog("#WATCHDOG_MODULE=ipmi_watchdog\n") == "softdog"
    assert parse_watchdog("WATCHDOG_MODULE=iTCO_wdt\n") == "iTCO_wdt"
    assert parse_hosts("10.0.0.1 STREAM pve1\n10.0.0.1 DGRAM\n10.0.0.1 RAW\n") == [["10.0.0.1", "STREAM", "pve1"]]


def fresh(number: int, links: dict[int, str], has: list[str]) -> Look:
    """A node that answers and has these addresses only."""
    node = {"name": f"pve{number}", "address": f"10.0.0.1{number}", "where": f"pve{number}"}
    made = Look({**node, "links": [{"number": at, "address": address} for at, address in links.items()]})
    made.networks = [{"iface": f"nic{index}", "cidr": f"{address}/24"} for index, address in enumerate(has)]
    made.machine = machine(number, interfaces=[interface(f"nic{index}", each) for index, each in enumerate(has)])
    return made


PROMISES = [
    {"node": "*", "name": "bond0", "type": "bond", "bond_slaves": ["nic1", "nic2"]},
    {"node": "*", "name": "bond0.20", "type": "vlan", "cidrs": {"pve1": "10.1.0.11/24", "pve2": "10.1.0.12/24"}},
    {"node": "pve2", "name": "bond0.20", "type": "vlan", "cidr": "10.9.0.12/24"},
]


def test_an_address_that_is_about_to_be_made_is_looked_at_later() -> None:
    """What is said of pve2 alone wins over what is said of all: it is promised another address than its link has."""
    looks = [
        fresh(number, {0: f"10.0.0.1{number}", 1: f"10.1.0.1{number}"}, [f"10.0.0.1{number}"]) for number in (1, 2)
    ]
    network = {"name": "migration", "cidr": "10.1.0.0/24"}
    site = Site("c", looks, None, Wishes(interfaces=PROMISES, networks=[network]), [])
    said = [(each.severity, each.check, each.node) for each in judge(site, {}) if each.check in ("links", "speed")]
    assert said == [("error", "links", "pve2"), ("error", "speed", "pve2"), ("info", "links", "pve1")]
    to_come = {"node": "pve1", "address": "10.1.0.11", "interface": "bond0.20"}
    assert pending(site) == [{**to_come, "on": "link 1"}, {**to_come, "on": "migration network"}]


def test_nothing_is_measured_on_a_link_that_is_still_to_be_made() -> None:
    before = fresh(1, {0: "10.0.0.11", 1: "10.1.0.11"}, ["10.0.0.11"])
    assert [link["number"] for link in links_there(before, PROMISES)["links"]] == [0]
    assert [link["number"] for link in links_there(before, [])["links"]] == [0, 1]
    made = fresh(1, {0: "10.0.0.11", 1: "10.1.0.11"}, ["10.0.0.11", "10.1.0.11"])
    assert [link["number"] for link in links_there(made, PROMISES)["links"]] == [0, 1]
    assert pending(Site("c", [made], None, Wishes(interfaces=PROMISES))) == []
