# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stack files: what they resolve to, and how their errors read."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from agentstack import stackfile
from agentstack.reader import StackError
from agentstack.stack import Stack
from agentstack.units import parse_duration, parse_size

LAB = Path(__file__).resolve().parents[3] / "inventory/lab/stack.yml"


def read(text: str, net: int | None = None) -> Stack:
    return stackfile.loads(dedent(text), "stack.yml", net)


def refusal(text: str, net: int | None = None) -> str:
    with pytest.raises(StackError) as caught:
        read(text, net)
    return str(caught.value)


def test_the_lab() -> None:
    stack = stackfile.load(LAB, 70)
    assert list(stack.hosts) == ["pve1", "pve2", "pve3", "pbs1", "pbs2"]
    assert list(stack.networks) == ["mgmt", "ring1", "ceph", "migration"]
    assert [host.address for host in stack.hosts.values()] == [
        *("127.70.0.11", "127.70.0.12", "127.70.0.13"),
        *("127.70.0.101", "127.70.0.102"),
    ]
    assert stack.hosts["pve2"].addresses["ring1"] == "127.70.1.12"
    assert [disk.name for disk in stack.hosts["pve1"].disks] == ["sda", "sdb", "sdc", "nvme0n1", "nvme1n1", "nvme2n1"]
    assert stack.hosts["pve1"].version == "9.2.11"
    assert stack.cidr("ceph") == "127.70.2.0/24"


def test_defaults() -> None:
    stack = read("hosts: {a: {}}", 70)
    host = stack.hosts["a"]
    assert (host.kind, host.release, host.memory, host.cpus, host.site) == ("pve", "9.2", 16 * 2**30, 8, "dc1")
    assert (stack.scale, stack.net, list(stack.networks), stack.clusters) == (1.0, 70, ["mgmt"], ())
    assert [disk.size for disk in host.disks] == [32 * 2**30]


def test_addresses_by_kind_and_by_hand() -> None:
    stack = read("hosts: {q: {kind: witness}, b: {kind: pbs}, a: {}, c: {address: 21}, d: {}}", 70)
    assert {host.name: host.number for host in stack.hosts.values()} == {"q": 151, "b": 101, "a": 11, "c": 21, "d": 13}
    assert stack.hosts["b"].api_url == "https://127.70.0.101:8007"
    assert stack.hosts["q"].api_url is None
    assert stack.hosts["q"].ports == [("127.70.0.151", 2222), ("127.70.0.151", 5403)]


def test_the_common_version_is_the_hypervisors() -> None:
    stack = read('defaults: {version: "8.4"}\nhosts: {a: {}, b: {kind: pbs}, c: {version: 9.2}}')
    assert [host.version for host in stack.hosts.values()] == ["8.4.21", "4.0.22", "9.2.11"]


def test_disks_of_one_entry_differ_in_what_tells_disks_apart() -> None:
    disks = read("hosts: {a: {disks: [{size: 1T, type: hdd, count: 28}]}}").hosts["a"].disks
    assert [disk.name for disk in disks][-3:] == ["sdz", "sdaa", "sdab"]
    assert len({disk.serial for disk in disks}) == len({disk.wwn for disk in disks}) == 28
    assert disks[0].rpm == 7200
    assert disks[0].wearout is None


def test_serial_numbers_survive_a_restart() -> None:
    text = "hosts: {a: {disks: [{size: 1T, count: 2}]}}"
    assert read(text).hosts["a"].disks == read(text).hosts["a"].disks


def test_a_stack_that_starts_clustered() -> None:
    stack = read(
        """
        networks: {mgmt: {}, ring1: {}}
        hosts: {a: {}, b: {}, w: {kind: witness}}
        start:
          clustered:
            name: ha
            links: [mgmt, ring1]
            guests:
              100: {node: b, name: web, ha: started, memory: 1G, disks: [2G, 4G], config: {onboot: 1}}
        """
    )
    (cluster,) = stack.clusters
    assert (cluster.name, cluster.nodes, cluster.links) == ("ha", ("a", "b"), ("mgmt", "ring1"))
    (guest,) = cluster.guests
    assert (guest.vmid, guest.node, guest.ha, guest.disks) == (100, "b", "started", (2 * 2**30, 4 * 2**30))
    assert guest.config == {"onboot": "1"}


def test_two_clusters_in_one_stack() -> None:
    stack = read(
        """
        hosts: {a: {}, b: {}, c: {}}
        start: {clustered: [{name: one, nodes: [a, b]}, {name: two, nodes: [c]}]}
        """
    )
    assert [cluster.nodes for cluster in stack.clusters] == [("a", "b"), ("c",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts:\n  a:\n    disks:\n      - {size: 3X}", "stack.yml:4: hosts.a.disks[0].size: '3X' is not a size"),
        ("hosts:\n  a: {memroy: 1G}", "stack.yml:2: hosts.a.memroy: not known; did you mean memory?"),
        ("host: {a: {}}", "stack.yml: hosts is missing"),
        ("hosts: {}", "stack.yml:1: hosts: at least one host is needed"),
        ("hosts: {a_b: {}}", "hosts.a_b: 'a_b' is not a host name"),
        ("hosts: {a: 3}", "hosts.a: a mapping is expected, not a number"),
        ("hosts: {a: {kind: vmware}}", "hosts.a.kind: 'vmware' is not one of pve, pbs, witness"),
        ("hosts: {a: {version: '7.4'}}", "hosts.a.version: '7.4' is not one of 9.2, 8.4"),
        ("hosts: {a: {}, b: {address: 11}}", "hosts.b.address: 11 is already the address of a"),
        ("hosts: {a: {networks: [ring9]}}", "hosts.a.networks[0]: 'ring9' is not one of mgmt"),
        ("networks: {m: {}, r: {}}\nhosts: {a: {networks: [r]}}", "every host needs the management network (m)"),
        ("networks: {m: {latency: slow}}\nhosts: {a: {}}", "networks.m.latency: 'slow' is not a duration"),
        ("scale: 0\nhosts: {a: {}}", "stack.yml:1: scale: a number from 0.1 to 1000 is expected"),
        ("net: 70\nhosts: {a: {}}", "stack.yml:1: net: is 70, but 71 was asked for"),
        ("hosts: {a: {disks: [{size: 1G, serial: X, count: 2}]}}", "cannot share one serial number"),
        ("hosts: {a: {}}\nstart: {clustered: {}}", "start.clustered: name is missing"),
        ("hosts: {a: {}}\nstart: {clustered: {name: a_b}}", "'a_b' is not a cluster name"),
        ("hosts: {a: {}}\nstart: {clustered: {name: x, guests: {1: {}}}}", "guests.1: a whole number from 100"),
        ("hosts: {a: {}}\nstart: {clustered: {name: x, guests: {100: {node: z}}}}", "node: 'z' is not one of a"),
        ("hosts: {a: {}}\nstart: {clustered: [{name: x}, {name: y}]}", "start.clustered[1].nodes: a is already a node"),
        ("hosts:\n  a: {}\n  a: {kind: pbs}", "stack.yml:3: a stands twice in one mapping"),
        ("[1, 2]", "a mapping with at least `hosts` is expected"),
        ("a: [", "not valid YAML"),
    ],
)
def test_refusals_name_the_place(text: str, message: str) -> None:
    assert message in refusal(text, 71)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="No such file"):
        stackfile.load(tmp_path / "none.yml")


@pytest.mark.parametrize(("text", "size"), [("32G", 32 << 30), ("1.5T", 3 << 39), ("512 MiB", 512 << 20), (4096, 4096)])
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("0.3ms", 0.0003), ("2min", 120.0), (5, 5.0), ("1h", 3600.0)])
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("nonsense", [True, None, "-1s", "1 fortnight", ""])
def test_what_is_neither(nonsense: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(nonsense)
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(nonsense)


def test_the_documented_file_can_be_read() -> None:
    text = (LAB.parents[2] / "docs/stack-file.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    assert read(example).net == 64
    clustered = example.replace("start: fresh", "#").replace("\n# ", "\n")
    assert [guest.vmid for guest in read(clustered).clusters[0].guests] == [100]


def test_cards_are_those_of_the_networks_unless_said_otherwise() -> None:
    stack = read(
        """
        networks: {mgmt: {speed: 1000}, ring0: {mtu: 9000}, ring1: {}}
        hosts:
          a: {swap: 8G, swap_used: 1G, load: 3, watchdog: {module: iTCO_wdt, device: false}, timezone: Europe/Vienna}
          b: {networks: {mgmt: {}, ring0: {nic: nic0}, ring1: {nic: eno1, speed: 100, mtu: 1400, driver: igb}}}
        """
    )
    host = stack.hosts["a"]
    cards = {name: (nic.interface, nic.speed, nic.mtu) for name, nic in host.nics.items()}
    assert cards == {"mgmt": ("nic0", 1000, 1500), "ring0": ("nic1", 10000, 9000), "ring1": ("nic2", 10000, 1500)}
    assert (host.swap, host.swap_used, host.load) == (8 * 2**30, 2**30, 3)
    assert (host.watchdog, host.watchdog_device, host.timezone) == ("iTCO_wdt", False, "Europe/Vienna")
    nics = stack.hosts["b"].nics
    assert (nics["ring0"].interface, nics["ring0"].mac) == ("nic0.10", nics["mgmt"].mac)
    assert (nics["ring1"].interface, nics["ring1"].speed, nics["ring1"].driver) == ("eno1", 100, "igb")
    with pytest.raises(StackError, match="is more than there is swap"):
        read("hosts: {a: {swap_used: 1G}}")
    with pytest.raises(StackError, match="every host needs the management network"):
        read("networks: {mgmt: {}, ring0: {}}\nhosts: {a: {networks: {ring0: {}}}}")
