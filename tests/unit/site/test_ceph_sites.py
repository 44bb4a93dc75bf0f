# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sites mean for Ceph: what is derived from them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._ceph_crush import _elsewhere
from ansible_collections.quorate.pve.plugins.module_utils._ceph_pools import too_few_domains
from ansible_collections.quorate.pve.plugins.module_utils._ceph_sites import ceph_layout
from ansible_collections.quorate.pve.plugins.module_utils._ceph_stretch import problem_of_sites
from ansible_collections.quorate.pve.plugins.module_utils._pure.crush_map import TYPES, parse
from ansible_collections.quorate.pve.plugins.module_utils._site_ceph import ceph_problems
from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import Node, node_table

SITES = {"pve1": "dc1", "pve2": "dc1", "pve3": "dc2", "pve4": "dc2", "pve5": "office"}
MAP = "\n".join(
    [
        *(f"device {number} osd.{number} class {'hdd' if number else 'nvme'}" for number in range(3)),
        *(f"type {number} {name}" for name, number in TYPES.items()),
        *(f"host pve{n} {{\n id -{n + 2}\n alg straw2\n item osd.{n} weight 1.0\n}}" for n in range(3)),
        "datacenter dc1 {\n id -20\n item pve0 weight 1.0\n item pve1 weight 1.0\n}",
        "root default {\n id -1\n item dc1 weight 2.0\n item pve2 weight 1.0\n}",
        "rule replicated_rule {\n id 0\n step take default\n step chooseleaf firstn 0 type host\n step emit\n}",
        "rule slow {\n id 1\n step take default class hdd\n step chooseleaf firstn 0 type host\n step emit\n}",
        "rule sites {\n id 2\n step take default\n step chooseleaf firstn 0 type datacenter\n step emit\n}",
    ]
)


def nodes(**sites: str) -> list[Node]:
    hosts: dict[str, dict[str, Any]] = {
        name: {"pve_address": f"10.0.0.{number}", "pve_site": site} for number, (name, site) in enumerate(sites.items())
    }
    return node_table(hosts, hosts)


def problems(monitors: list[str], table: list[Node], **ceph: Any) -> list[str]:
    variables = {"pve_ceph": {"release": "squid", "network": "10.0.0.0/24", **ceph}, "pve_ceph_monitors": monitors}
    return list(ceph_problems(variables, table))


def test_buckets_and_the_rule_follow_from_the_sites() -> None:
    layout = ceph_layout(nodes(**SITES), {"tiebreaker": "pve5"})
    names = {bucket["name"]: bucket["location"] for bucket in layout["buckets"]}
    assert names["dc1"] == {"root": "default"}
    assert names["pve3"] == {"datacenter": "dc2", "root": "default"}
    assert not {"pve5", "office"} & set(names), "the third place holds no data"
    assert layout["rules"] == [
        {"name": "stretch_rule", "across": "datacenter", "copies_in_each": 2, "failure_domain": "host"}
    ]


@pytest.mark.parametrize(
    ("sites", "tiebreaker", "said"),
    [
        (SITES, "pve5", ""),
        (SITES, "pve9", "none of the monitors"),
        ({**SITES, "pve5": "dc2"}, "pve5", "has monitors of its own"),
        ({"pve1": "dc1", "pve5": "office"}, "pve5", "in 1 sites"),
        ({**SITES, "pve6": "dc2"}, "pve5", "unlike numbers"),
    ],
)
def test_what_survives_the_loss_of_a_site(sites: dict[str, str], tiebreaker: str, said: str) -> None:
    problem = problem_of_sites(sites, tiebreaker)
    assert (said in problem) if said else not problem


def test_two_sites_without_a_third_place_are_refused() -> None:
    two = nodes(pve1="dc1", pve2="dc1", pve3="dc2", pve4="dc2")
    [found] = problems(["pve1", "pve2", "pve3"], two)
    assert "third place" in found
    assert problems(["pve1", "pve2", "pve3"], two, accept_site_loss=True) == []
    [found] = problems(["pve1", "pve2", "pve3"], two, stretch={"tiebreaker": "pve3"})
    assert "pve_ceph.stretch" in found
    assert problems(list(SITES), nodes(**SITES), stretch={"tiebreaker": "pve5"}) == []
    assert problems(["pve1", "pve2", "pve3"], nodes(pve1="dc1", pve2="dc1", pve3="dc1")) == []


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        ({"size": 3}, ""),
        ({"size": 4}, "size 4 needs 4 hosts with OSDs, there are 3"),
        ({"size": 3, "crush_rule": "slow"}, "size 3 needs 3 hosts with OSDs of class hdd, there are 2"),
        ({"size": 2, "crush_rule": "sites"}, "size 2 needs 2 datacenters with OSDs, there are 1"),
    ],
)
def test_copies_need_places(pool: dict[str, Any], said: str) -> None:
    assert too_few_domains(pool, parse(MAP)) == said


def test_a_bucket_stands_right_below_the_lowest_one_that_is_named() -> None:
    present = parse(MAP)
    assert _elsewhere(present, "pve0", {"datacenter": "dc1", "root": "default"}) is None
    assert _elsewhere(present, "pve0", {"root": "default"}) == {"datacenter": "dc1", "root": "default"}
    assert _elsewhere(present, "pve2", {"root": "default"}) is None


def test_a_map_is_the_same_after_its_text() -> None:
    assert parse(parse(MAP).render()) == parse(MAP)
    for text in (
        "nonsense here",
        "type 1 host\nhost a {\n item b weight 1.0\n}",
        "rule r {\n step take x\n step emit\n}",
    ):
        with pytest.raises(ValueError, match=r"parse error|not defined"):
            parse(text)
