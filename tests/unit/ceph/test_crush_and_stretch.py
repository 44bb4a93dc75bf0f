# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hierarchy and its text, and what stretch mode does when a site is lost."""

from __future__ import annotations

from collections import Counter

import pytest

from agentstack.ceph import crush_text, stretch
from agentstack.ceph.commands import apply
from agentstack.ceph.crush import hash_name
from agentstack.ceph.health import Situation, checks
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.peering import states
from agentstack.ceph.placement import mapping
from agentstack.ceph.safety import ok_to_stop, safe_to_destroy
from agentstack.errors import AgentError

from .test_peering import copied, down, up
from .test_placement import cluster

SITES = {"pve1": "dc1", "pve2": "dc1", "pve3": "dc2", "pve4": "dc2", "pve5": "office"}
RULE = """
rule stretch_rule {
    id 7
    type replicated
    step take default
    step choose firstn 0 type datacenter
    step chooseleaf firstn 2 type host
    step emit
}
"""


def stretched(pg_num: int = 16) -> ClusterMap:
    """Two sites with two hosts each, a tiebreaker, stretch mode."""
    ceph = cluster(4, 2, pg_num=pg_num)
    for site in ("dc1", "dc2"):
        apply(ceph, "crush_add_bucket", {"name": site, "type": "datacenter", "location": {"root": "default"}})
    for host in list(SITES)[:4]:
        apply(ceph, "crush_move", {"name": host, "location": {"datacenter": SITES[host]}})
    copied(ceph)
    apply(ceph, "crush_set_map", {"text": crush_text.render(ceph).replace("# end crush map", RULE)})
    apply(ceph, "monitor_add", {"name": "pve5", "host": "pve5", "address": "10.0.0.15"})
    for name, site in SITES.items():
        apply(ceph, "monitor_location", {"name": name, "location": {"datacenter": site}})
    apply(ceph, "election_strategy", {"strategy": "connectivity"})
    apply(ceph, "stretch_enable", {"tiebreaker": "pve5", "rule": "stretch_rule", "type": "datacenter"})
    copied(ceph)
    return ceph


def test_a_map_is_the_same_after_its_text() -> None:
    ceph = stretched()
    buckets, rules, weights = ceph.buckets, ceph.rules, [osd.bucket for osd in ceph.osds.values()]
    apply(ceph, "crush_set_map", {"text": crush_text.render(ceph)})
    assert (ceph.buckets, ceph.rules, [osd.bucket for osd in ceph.osds.values()]) == (buckets, rules, weights)
    with pytest.raises(AgentError, match="parse error"):
        apply(ceph, "crush_set_map", {"text": "type 0 osd\nrubbish here\n"})


def test_two_copies_in_each_site_on_hosts_of_their_own() -> None:
    ceph = stretched(64)
    for chosen in mapping(ceph, ceph.pools[1]):
        hosts = [ceph.osds[osd].host for osd in chosen]
        assert len(set(hosts)) == 4
        assert Counter(SITES[host] for host in hosts) == {"dc1": 2, "dc2": 2}


def test_a_site_is_lost_and_comes_back() -> None:
    ceph = stretched()
    pool = ceph.pools[1]
    assert (pool.size, pool.min_size, states(ceph)) == (4, 2, {"active+clean": 16})
    gone = [osd.id for osd in ceph.osds.values() if SITES[osd.host] == "dc1"]
    down(ceph, *gone)
    assert not any(state.startswith("active") for state in states(ceph)), "a copy in each site is demanded"
    left = [ceph.monitors[name] for name in ("pve3", "pve4", "pve5")]
    assert stretch.next_step(ceph, left) == "degraded"
    apply(ceph, "stretch_step", {"step": "degraded"})
    assert (pool.min_size, states(ceph)) == (1, {"active+undersized": 16})
    situation = Situation(frozenset({"pve3", "pve4", "pve5"}), frozenset(ceph.managers))
    raised = {check.code for check in checks(ceph, situation)}
    assert raised >= {"DEGRADED_STRETCH_MODE", "OSD_DATACENTER_DOWN", "OSD_HOST_DOWN", "MON_DOWN", "PG_DEGRADED"}
    assert stretch.next_step(ceph, left) is None
    up(ceph, *gone)
    everyone = list(ceph.monitors.values())
    assert stretch.next_step(ceph, everyone) == "recovering"
    apply(ceph, "stretch_step", {"step": "recovering"})
    assert stretch.next_step(ceph, everyone) is None, "not before all data is back"
    copied(ceph)
    assert stretch.next_step(ceph, everyone) == "healthy"
    apply(ceph, "stretch_step", {"step": "healthy"})
    assert (pool.min_size, states(ceph)) == (2, {"active+clean": 16})


def test_stretch_mode_demands_a_third_place() -> None:
    ceph = cluster(4, 1)
    apply(ceph, "election_strategy", {"strategy": "connectivity"})
    for name in ceph.monitors:
        apply(ceph, "monitor_location", {"name": name, "location": {"datacenter": SITES[name]}})
    with pytest.raises(AgentError, match="has monitors of its own"):
        apply(ceph, "stretch_enable", {"tiebreaker": "pve4", "rule": "replicated_rule", "type": "datacenter"})
    assert ceph.stretch is None


def test_buckets_are_moved_and_only_empty_ones_removed() -> None:
    ceph = cluster(2, 1)
    apply(ceph, "crush_move", {"name": "pve2", "location": {"rack": "r1", "root": "default"}})
    assert ceph.location(ceph.osds[1].bucket) == {"root": "default", "rack": "r1", "host": "pve2"}
    with pytest.raises(AgentError, match="not empty"):
        apply(ceph, "crush_remove", {"name": "r1"})
    with pytest.raises(AgentError, match="does not exist"):
        apply(ceph, "crush_move", {"name": "pve9", "location": {"root": "default"}})
    apply(ceph, "crush_move", {"name": "pve2", "location": {"root": "default"}})
    apply(ceph, "crush_remove", {"name": "r1"})


def test_a_rule_for_a_class_takes_only_its_devices() -> None:
    ceph = cluster(3, 2, size=2, pg_num=32)
    for number in (0, 2, 4):
        apply(ceph, "osd_class", {"number": number, "device_class": "hdd"})
    apply(ceph, "rule_create", {"name": "slow", "domain": "host", "device_class": "hdd"})
    apply(ceph, "pool_set", {"name": "vm", "crush_rule": "slow"})
    assert {osd for chosen in mapping(ceph, ceph.pools[1]) for osd in chosen} == {0, 2, 4}
    with pytest.raises(AgentError, match="in use"):
        apply(ceph, "rule_remove", {"name": "slow"})


def test_what_can_be_stopped_and_destroyed() -> None:
    ceph = cluster(4, 1, pg_num=32)
    seen = Situation(frozenset(ceph.monitors), frozenset(ceph.managers))
    assert ok_to_stop(ceph, seen, [0]) == ""
    assert "would become offline" in ok_to_stop(ceph, seen, [0, 1])
    assert "currently mapped" in safe_to_destroy(ceph, seen, [0])
    apply(ceph, "osd_out", {"number": 0})
    assert "currently mapped" in safe_to_destroy(ceph, seen, [0])
    copied(ceph)
    assert safe_to_destroy(ceph, seen, [0]) == ""


def test_names_hash_as_in_the_field() -> None:
    """Evenly, and the same for the same name."""
    groups = Counter(hash_name(f"rbd_data.abc.{number:016x}") % 8 for number in range(800))
    assert set(groups) == set(range(8))
    assert min(groups.values()) > 60
    assert hash_name("foo") == 0x7FC1F406
