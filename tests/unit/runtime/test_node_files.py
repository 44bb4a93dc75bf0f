# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files behind a node's settings: network interfaces, package sources, lists of packages; and its figures."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from agentstack.interfaces import format_interfaces, parse_interfaces
from agentstack.packages import catalogue, dpkg, sources
from agentstack.rrd import ROWS, History
from agentstack.stack import RELEASES

INTERFACES = """\
auto lo
iface lo inet loopback

iface nic0 inet manual

auto bond0
iface bond0 inet manual
	bond-slaves nic0 nic1
	bond-miimon 100
	bond-mode 802.3ad
	bond-xmit-hash-policy layer3+4

auto vmbr0
iface vmbr0 inet static
	address 10.0.0.2
	netmask 255.255.255.0
	gateway 10.0.0.1
	bridge-ports bond0
	bridge-stp off
	bridge-fd 0
	bridge-vlan-aware yes
	bridge-vids 2-4094
	up ip route add 10.9.0.0/16 via 10.0.0.9
#the way out
#for all

iface vmbr0 inet6 static
	address fd00::2/64

iface vmbr0.7 inet manual
"""


def test_what_is_read_is_written_again() -> None:
    found = parse_interfaces(INTERFACES)
    assert list(found) == ["nic0", "bond0", "vmbr0", "vmbr0.7"]
    bridge = found["vmbr0"]
    assert (bridge["cidr"], bridge["cidr6"], bridge["comments"]) == (
        "10.0.0.2/24",
        "fd00::2/64",
        "the way out\nfor all\n",
    )
    assert bridge["options"] == ["up ip route add 10.9.0.0/16 via 10.0.0.9"]
    assert (found["bond0"]["type"], found["bond0"]["slaves"]) == ("bond", "nic0 nic1")
    assert (found["vmbr0.7"]["vlan-id"], found["vmbr0.7"]["vlan-raw-device"]) == ("7", "vmbr0")
    text = format_interfaces(found.values())
    assert parse_interfaces(text) == found
    assert format_interfaces(parse_interfaces(text).values()) == text
    assert text.count("bond-miimon 100") == 1


@pytest.mark.parametrize("release", ["9.2", "8.4"])
def test_repositories_in_both_forms(tmp_path: Path, release: str) -> None:
    suite = catalogue.suite_of(release)
    for file in sources.installed(release, suite):
        sources.write(tmp_path, file)
    found = sources.read(tmp_path)
    assert {file.path: file.repositories for file in found} == {
        file.path: file.repositories for file in sources.installed(release, suite)
    }
    before = sources.digest(found)
    sources.add(tmp_path, release, suite, "no-subscription")
    assert sources.digest(sources.read(tmp_path)) != before
    customers = next(file for file in found if "pve-enterprise" in file.path)
    sources.switch(tmp_path, customers.path, 0, False)
    entries = [entry for file in sources.read(tmp_path) for entry in file.repositories]
    asked = {uri for entry in entries if entry.enabled for uri in entry.uris}
    assert "http://download.proxmox.com/debian/pve" in asked
    assert "https://enterprise.proxmox.com/debian/pve" not in asked
    sources.add(tmp_path, release, suite, "enterprise")
    assert len([entry for file in sources.read(tmp_path) for entry in file.repositories]) == len(entries)


@pytest.mark.parametrize("release", list(RELEASES["pve"]))
def test_points_of_a_release(tmp_path: Path, release: str) -> None:
    versions = catalogue.points(release)
    assert versions[-1] == RELEASES["pve"][release].version
    for version in versions:
        installed = catalogue.at(version)
        dpkg.write(tmp_path, installed)
        assert dpkg.manager_version(tmp_path) == version
        assert set(dpkg.read(tmp_path)) == {package.name for package in installed}
        point = next(p for p in (RELEASES["pve"][release], *RELEASES["pve"][release].earlier) if p.version == version)
        assert dpkg.newest_kernel(tmp_path) == point.kernel


def test_versions_in_debian_order() -> None:
    order = ["9.0.0~16", "9.0.0", "9.0.10", "9.1.2-1", "9.1.2-1+b1", "10.0"]
    for older, newer in itertools.pairwise(order):
        assert catalogue.is_newer(newer, older)
        assert not catalogue.is_newer(older, newer)


def test_figures_over_time() -> None:
    history = History()
    start = 1_800_000_000
    for second in range(0, 120, 10):
        history.add("node/pve1", start + second, {"cpu": second / 100, "name": "pve1"})
    rows = history.rows("node/pve1", "hour", start + 130)
    assert len(rows) == ROWS
    known = [row for row in rows if "cpu" in row]
    assert [row["time"] for row in known] == [start, start + 60]
    assert known[0]["cpu"] == pytest.approx(0.25)
    peaks = history.rows("node/pve1", "hour", start + 130, "MAX")
    assert [row["cpu"] for row in peaks if "cpu" in row] == [0.5, 1.1]
    assert history.rows("node/other", "hour", start)[0].keys() == {"time"}
