# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which copies count as complete, through losses, returns and changes of the hierarchy."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentstack.ceph.commands import apply
from agentstack.ceph.datamap import excerpt
from agentstack.ceph.judge import filling
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.peering import placement_groups, states
from agentstack.ceph.placement import mapping

from .test_placement import KEY, cluster


def down(ceph: ClusterMap, *osds: int) -> None:
    for osd in osds:
        apply(ceph, "osd_down", {"number": osd, "now": 0.0})


def up(ceph: ClusterMap, *osds: int) -> None:
    for osd in osds:
        apply(ceph, "osd_up", {"number": osd, "boot": f"again{ceph.epoch}"})


def copied(ceph: ClusterMap) -> None:
    """All primaries have copied everything to where it is missing."""
    missing = {
        group.name: list(group.missing)
        for pool in ceph.pools.values()
        for group in placement_groups(ceph, pool)
        if group.missing and group.acting
    }
    apply(ceph, "groups_complete", {"epoch": ceph.group_epoch, "groups": missing})


def one_group(*, size: int = 3, min_size: int = 2) -> ClusterMap:
    """Three hosts with an OSD each, one pool of one group on all three."""
    return cluster(3, 1, size=size, min_size=min_size, pg_num=1)


def test_who_missed_writes_cannot_serve_them() -> None:
    ceph = one_group()
    down(ceph, 2)
    assert states(ceph) == {"active+undersized": 1}
    down(ceph, 0, 1)
    up(ceph, 2)
    assert states(ceph) == {"down": 1}, "osd.2 lives, but others may have taken writes without it"
    up(ceph, 0)
    assert states(ceph) == {"undersized+recovering+peered": 1}
    up(ceph, 1)
    assert list(states(ceph)) == ["active+undersized+recovering"]
    copied(ceph)
    assert states(ceph) == {"active+clean": 1}
    assert ceph.groups == {}


def test_nobody_misses_writes_that_could_not_be_made() -> None:
    ceph = one_group(min_size=3)
    down(ceph, 0, 1)
    assert states(ceph) == {"undersized+peered": 1}
    up(ceph, 1, 0)
    assert states(ceph) == {"active+clean": 1}


def test_a_daemon_that_was_started_anew_has_to_catch_up() -> None:
    ceph = one_group()
    epoch = ceph.group_epoch
    up(ceph, 1)
    assert list(states(ceph)) == ["active+undersized+recovering"]
    assert ceph.group_epoch > epoch
    copied(ceph)
    assert states(ceph) == {"active+clean": 1}


def test_a_destroyed_copy_stays_lost_whoever_gets_its_number() -> None:
    ceph = cluster(1, 1, size=1, min_size=1, pg_num=1)
    down(ceph, 0)
    apply(ceph, "osd_purge", {"number": 0})
    new = {"uuid": "other", "host": "pve1", "device": "/dev/sdb", "size": 2**40, "device_class": "nvme", "key": KEY}
    assert apply(ceph, "osd_new", new) == 0
    up(ceph, 0)
    assert states(ceph) == {"incomplete": 1}


def test_data_that_is_to_be_elsewhere_stays_until_it_is_copied() -> None:
    ceph = cluster(4, 1, pg_num=16)
    before = mapping(ceph, ceph.pools[1])
    apply(ceph, "osd_out", {"number": 0})
    groups = placement_groups(ceph, ceph.pools[1])
    assert all(set(group.complete) == set(old) for group, old in zip(groups, before, strict=True))
    assert {group.state for group in groups if 0 in group.complete} == {"active+remapped+backfilling"}
    copied(ceph)
    assert states(ceph) == {"active+clean": 16}
    assert all(0 not in group.acting for group in placement_groups(ceph, ceph.pools[1]))


def test_more_groups_begin_where_they_are_split_from_and_fewer_end_there() -> None:
    ceph = cluster(3, 2, pg_num=8)
    before = mapping(ceph, ceph.pools[1])
    apply(ceph, "pool_set", {"name": "vm", "pg_num": 32})
    for group in placement_groups(ceph, ceph.pools[1]):
        assert set(group.complete) == set(before[group.seed % 8])
    copied(ceph)
    assert states(ceph) == {"active+clean": 32}
    apply(ceph, "pool_set", {"name": "vm", "pg_num": 8})
    copied(ceph)
    assert ceph.pools[1].pg_num == 8
    assert states(ceph) == {"active+clean": 8}


@given(st.lists(st.tuples(st.sampled_from(["down", "up", "copied"]), st.integers(0, 5)), max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_history_lets_an_acknowledged_write_be_forgotten(history: list[tuple[str, int]]) -> None:
    """A write is kept by the OSDs that were complete when it was made; whoever is complete later must have it."""
    ceph = cluster(3, 2, pg_num=4)
    written: dict[str, int] = {}
    held: dict[tuple[str, int], int] = {}
    for what, osd in history:
        if what == "down" and ceph.osds[osd].up:
            down(ceph, osd)
        elif what == "up" and not ceph.osds[osd].up:
            up(ceph, osd)
        elif what == "copied":
            for group in placement_groups(ceph, ceph.pools[1]):
                for target in group.missing if group.acting else ():
                    held[group.name, target] = held.get((group.name, group.acting[0]), 0)
            copied(ceph)
        for group in placement_groups(ceph, ceph.pools[1]):
            assert all(held.get((group.name, member), 0) == written.get(group.name, 0) for member in group.complete)
            if group.writable:
                assert set(group.acting) == set(group.complete)
                written[group.name] = written.get(group.name, 0) + 1
                held |= {(group.name, member): written[group.name] for member in group.acting}


def test_a_full_osd_is_noticed_once_and_holds_up_its_groups() -> None:
    ceph = cluster(3, 1)
    news = {"pve1": {"used": {"0": int(0.96 * 2**40)}}, "pve2": {"used": {"1": 5}}}
    alive = frozenset(news)
    assert filling(ceph, alive, lambda host: news[host]) == {0: True}
    epoch = ceph.group_epoch
    apply(ceph, "osd_full", {"number": 0, "full": True})
    assert excerpt(ceph, alive).full == {0}
    assert ceph.group_epoch > epoch, "everybody has to hear of it"
    assert filling(ceph, alive, lambda host: news[host]) == {}
    news["pve1"]["used"]["0"] = 7
    assert filling(ceph, alive, lambda host: news[host]) == {0: False}
