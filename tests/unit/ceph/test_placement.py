# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where CRUSH puts placement groups, and what health follows from what is there."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from agentstack.ceph.commands import apply
from agentstack.ceph.crush import Bucket, Tree, stable_mod
from agentstack.ceph.documents import osd_dump
from agentstack.ceph.health import Situation, checks, overall
from agentstack.ceph.judge import overdue
from agentstack.ceph.maps import ClusterMap, Monitor, Pool
from agentstack.ceph.peering import placement_groups, states
from agentstack.ceph.placement import mapping

TIB = 2**40
KEY = {"key": "AQ==", "caps": {"osd": "allow *"}}


def cluster(hosts: int = 3, per_host: int = 3, *, size: int = 3, min_size: int = 2, pg_num: int = 64) -> ClusterMap:
    """A cluster with a monitor a host, one manager, `per_host` OSDs each and one pool."""
    result = ClusterMap("fsid", "10.0.0.0/24", "10.0.0.0/24", 0)
    for number in range(hosts):
        name = f"pve{number + 1}"
        result.monitors[name] = Monitor(name, name, f"10.0.0.{number + 11}")
        for _ in range(per_host):
            osd = apply(result, "osd_new", {"uuid": f"uuid{len(result.osds)}", "host": name, "device": "/dev/sdb",
                                            "size": TIB, "device_class": "nvme", "key": KEY})  # fmt: skip
            apply(result, "osd_up", {"number": osd})
    result.managers = {"pve1": "pve1"}
    result.active_manager = "pve1"
    result.pools[1] = Pool(1, "vm", size, min_size, pg_num, applications=["rbd"])
    return result


def situation(ceph: ClusterMap) -> Situation:
    return Situation(frozenset(ceph.monitors), frozenset(ceph.managers))


def codes(ceph: ClusterMap, seen: Situation | None = None) -> list[str]:
    return [check.code for check in checks(ceph, seen or situation(ceph))]


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 128))
@settings(max_examples=40, deadline=None)
def test_copies_lie_on_different_hosts(hosts: int, per_host: int, size: int, pg_num: int) -> None:
    ceph = cluster(hosts, per_host, size=size, pg_num=pg_num)
    for chosen in mapping(ceph, ceph.pools[1]):
        places = [ceph.osds[osd].host for osd in chosen]
        assert len(places) == len(set(places)) == min(size, hosts)


def test_data_follows_the_weights() -> None:
    ceph = cluster(3, 2, size=1, pg_num=1024)
    for osd in ceph.osds.values():
        osd.weight = 3.0 if osd.id % 2 else 1.0
    share = Counter(chosen[0] % 2 for chosen in mapping(ceph, ceph.pools[1]))
    assert 2.4 < share[1] / share[0] < 3.8


def test_an_osd_that_is_out_moves_only_its_own_share() -> None:
    ceph = cluster(4, 3, pg_num=256)
    before = mapping(ceph, ceph.pools[1])
    ceph.osds[5].reweight = 0.0
    after = mapping(ceph, ceph.pools[1])
    assert all(5 not in chosen for chosen in after)
    moved = sum(len(set(new) - set(old)) for old, new in zip(before, after, strict=True))
    held = sum(5 in chosen for chosen in before)
    assert held <= moved <= 2 * held


def test_weightless_items_are_never_drawn() -> None:
    tree = Tree(
        [
            Bucket(-1, "default", "root", {-2: 0.0, -3: 1.0}),
            Bucket(-2, "a", "host", {0: 0.0}),
            Bucket(-3, "b", "host", {1: 1.0}),
        ]
    )
    steps = [("chooseleaf", 0, "host")]
    assert {tuple(tree.choose(tree.buckets[-1], x, 1, steps, lambda osd, x: True)) for x in range(64)} == {(1,)}


@given(st.integers(1, 200), st.integers(0, 10_000))
def test_stable_mod_stays_in_range(base: int, number: int) -> None:
    mask = (1 << (base - 1).bit_length()) - 1
    assert 0 <= stable_mod(number, base, mask) < base


def test_all_there_is_healthy() -> None:
    ceph = cluster()
    assert codes(ceph) == []
    assert overall([]) == "HEALTH_OK"
    assert states(ceph) == {"active+clean": 64}


def test_too_few_hosts_leave_groups_undersized() -> None:
    ceph = cluster(2, 3)
    assert codes(ceph) == ["PG_DEGRADED"]
    assert states(ceph) == {"active+undersized": 64}


def test_below_min_size_nothing_is_written() -> None:
    ceph = cluster()
    for osd in ceph.osds.values():
        if osd.host != "pve1":
            apply(ceph, "osd_down", {"number": osd.id, "now": 0.0})
    assert not any(group.writable for group in placement_groups(ceph, ceph.pools[1]))
    assert codes(ceph) == ["OSD_DOWN", "OSD_HOST_DOWN", "PG_AVAILABILITY", "PG_DEGRADED"]


def test_each_fault_is_named() -> None:
    ceph = cluster()
    down = Situation(frozenset({"pve1", "pve3"}), frozenset({"pve1"}))
    [check] = checks(ceph, down)
    assert (check.code, check.summary) == ("MON_DOWN", "1/3 mons down, quorum pve1,pve3")
    assert codes(ceph, Situation(frozenset(ceph.monitors), frozenset())) == ["MGR_DOWN"]
    assert codes(ceph, Situation(frozenset(ceph.monitors), frozenset({"pve1"}), {"pve2": 0.08})) == ["MON_CLOCK_SKEW"]
    ceph.flags = ["noout"]
    assert codes(ceph) == ["OSDMAP_FLAGS"]
    ceph.flags = []
    ceph.pools[1].applications = []
    assert codes(ceph) == ["POOL_APP_NOT_ENABLED"]
    ceph.pools[1].applications = ["rbd"]
    ceph.pools[1].size = ceph.pools[1].min_size = 1
    assert codes(ceph) == ["POOL_NO_REDUNDANCY"]


def test_without_osds_a_pool_is_unavailable() -> None:
    ceph = cluster(3, 0)
    assert codes(ceph) == ["PG_AVAILABILITY", "TOO_FEW_OSDS"]


def test_maps_survive_json() -> None:
    ceph = cluster()
    assert ClusterMap.from_json(ceph.to_json()) == ceph


def test_flags_of_one_host_hold_for_its_osds_alone() -> None:
    ceph = cluster(per_host=1)
    apply(ceph, "local_flags", {"places": ["pve1"], "names": ["noout"], "value": True})
    for number in (0, 1):
        apply(ceph, "osd_down", {"number": number, "now": 0.0})
    limit = {"who": "mon", "option": "mon_osd_down_out_subtree_limit", "value": "datacenter"}
    apply(ceph, "config_set", limit)
    assert overdue(ceph, 10_000.0, 1.0) == [1]
    assert osd_dump(ceph)["crush_node_flags"] == {"pve1": ["noout"]}
    assert "OSD_FLAGS" in codes(ceph)
    apply(ceph, "local_flags", {"places": ["pve1"], "names": ["noout"], "value": False})
    assert (overdue(ceph, 10_000.0, 1.0), "OSD_FLAGS" in codes(ceph)) == ([0, 1], False)
