# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault that preflight looks for is planted, and found by its name."""

from __future__ import annotations

from typing import Any

import pytest

from ...stacks import StackFactory
from .control_node import Site

NAMES = ("pve1", "pve2", "pve3")
GOOD: dict[str, Any] = {"disks": [{"size": "32G"}, {"size": "64G", "model": "SSD-A"}]}
BAD: dict[str, Any] = {
    "version": "8.4",
    "networks": {"mgmt": {"nic": "nic0"}, "ring1": {"nic": "nic0"}, "migration": {"speed": 100}},
    "swap": "8G",
    "swap_used": "1G",
    "load": 7.9,
    "timezone": "Europe/Vienna",
    "watchdog": {"module": "ipmi_watchdog", "device": False},
    "disks": [{"size": "32G"}, {"size": "64G", "model": "PERC H730"}],
}

Found = list[tuple[str, str, str]]


@pytest.fixture(scope="module")
def site(stack_factory: StackFactory) -> Site:
    networks: dict[str, Any] = {"mgmt": {}, "ring1": {}, "migration": {}}
    return Site(stack_factory({"pve1": GOOD, "pve2": GOOD, "pve3": BAD}, networks=networks), "pve1")


def look(site: Site, names: tuple[str, ...] = NAMES, **more: Any) -> Found:
    """What is found: severity, check, text."""
    nodes = [
        {
            "name": name,
            "address": site.address(name),
            "fingerprint": site.keys[name]["fingerprint"],
            "host_key": site.keys[name]["ssh_host_key"],
            "links": [
                {"number": number, "address": site.address(name, network)}
                for number, network in enumerate(("mgmt", "ring1"))
            ],
        }
        for name in names
    ]
    networks = [{"name": "migration", "cidr": site.stack.resolved["networks"]["migration"]["cidr"]}]
    given = {"cluster": "c", "measure": True, "networks": networks, "packets": 5, **more}
    result = site.run("preflight", nodes=nodes, **given)
    assert not result.get("failed"), result.get("msg")
    assert not result["changed"]
    return [(finding["severity"], finding["check"], finding["text"]) for finding in result["findings"]]


def has(found: Found, severity: str, check: str, *words: str) -> bool:
    return any(each[:2] == (severity, check) and all(word in each[2] for word in words) for each in found)


# what is wrong with pve3 from the start, all of it found at once
FROM_THE_START = [
    ("error", "version", "pve3 8.4"),
    ("error", "raid", "PERC H730"),
    ("error", "speed", "the migration network of pve3 runs at 100 Mbit/s (nic2)"),
    ("error", "watchdog", "the watchdog module ipmi_watchdog is not loaded on pve3"),
    ("error", "memory", "guests on pve1 may take 20G of its 16G"),
    ("error", "replication", "guest 101 has a disk on tank, which pve2 does not have"),
    ("warning", "spare", "if pve1 fails, there is no room for its guests 101"),
    ("warning", "nics", "links 0 and 1 of pve3 run over the same card nic0"),
    ("warning", "swap", "pve3 uses 1G of swap"),
    ("warning", "load", "the load of pve3 is 99 % of its 8 processors"),
    ("warning", "timezone", "pve3 Europe/Vienna"),
    ("warning", "repositories", "the enterprise repository without a subscription"),
]


def test_all_at_once(site: Site) -> None:
    found = look(
        site,
        zfs_pools=[{"node": "*", "name": "tank", "raidlevel": "single", "devices": ["/dev/sdb"]}],
        guests=[{"vmid": 101, "node": "pve1", "memory": 20_480, "started": True, "disks": {"scsi0": "tank:4"}}],
        storages=[{"storage": "tank", "type": "zfspool", "nodes": ["pve1", "pve3"]}],
        replication_jobs=[{"guest": 101, "target": "pve2"}],
        severity={"memory": "error"},
    )
    missing = [wanted for wanted in FROM_THE_START if not has(found, *wanted)]
    assert not missing, found
    assert not {"path", "latency", "loss", "mtu", "clock", "resolution", "ssh"} & {check for _, check, _ in found}


def test_two_nodes_need_a_third_vote(site: Site) -> None:
    quiet = {"measure": False, "networks": []}
    assert [each[:2] for each in look(site, NAMES[:2], **quiet)] == [("error", "count")]
    assert look(site, NAMES[:2], witness=True, **quiet) == []


FAULTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "latency to be warned of": (
        ("network", "ring1", "latency=1.5ms"),
        ("warning", "latency", "from pve1 to pve2 (link 1)"),
    ),
    "latency to be refused": (
        ("link", "pve1", "ring1", "latency=4ms"),
        ("error", "latency", "from pve1 to pve3 (link 1)"),
    ),
    "a cut cable": (("link", "pve1", "ring1", "cut"), ("error", "path", "pve1 does not reach pve2", "link 1")),
    "a switch with a smaller MTU": (
        ("link", "pve1", "ring1", "mtu=1400"),
        ("error", "mtu", "packets of 1500 bytes", "from pve1 to pve2 (link 1)"),
    ),
    "a clock to be warned of": (
        ("clock", "pve2", "+0.2s"),
        ("warning", "clock", "the clocks of pve1 and pve2 are 2"),
    ),
    "a clock to be refused": (("clock", "pve2", "-30s"), ("error", "clock", "the clocks of pve1 and pve2")),
}


@pytest.mark.long
@pytest.mark.parametrize("what", FAULTS)
def test_planted(site: Site, what: str) -> None:
    fault, wanted = FAULTS[what]
    site.stack.fault(*fault)
    try:
        assert has(look(site), *wanted)
    finally:
        site.stack.clear_faults()


@pytest.mark.long
@pytest.mark.parametrize("setting", ["jitter=20ms", "loss=20%"])
def test_planted_by_chance(site: Site, setting: str) -> None:
    """Which of the packets are hit differs; that some are does not."""
    site.stack.fault("link", "pve1", "ring1", setting)
    try:
        found = look(site, packets=40)
    finally:
        site.stack.clear_faults()
    check = setting.partition("=")[0]
    assert has(found, "error", check) or has(found, "warning", check)


@pytest.mark.long
def test_clocks_under_ceph(site: Site) -> None:
    site.stack.fault("clock", "pve2", "+0.2s")
    try:
        assert has(look(site, ceph=True), "error", "clock", "the clocks of pve1 and pve2")
    finally:
        site.stack.clear_faults()


@pytest.mark.long
def test_names_both_ways(site: Site) -> None:
    two = site.address("pve2")
    with site.shell("pve2") as shell:
        before = shell.read("/etc/hosts") or ""
        shell.write("/etc/hosts", before.replace(f"{two} ", "192.0.2.1 "))
        try:
            found = look(site)
        finally:
            shell.write("/etc/hosts", before)
    assert has(found, "error", "resolution", "pve2 resolves pve2 to 192.0.2.1")
    assert has(found, "warning", "resolution", f"pve2 cannot resolve {two}, its own address")
