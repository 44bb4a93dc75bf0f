# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about Ceph. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._ceph_pools import unsafe
from ._ceph_stretch import problem_of_sites
from ._site_nodes import Node


def ceph_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Nodes that do not exist, monitors in an even number, pools that can lose data."""
    known = {node["name"] for node in nodes}
    for name in ("pve_ceph_nodes", "pve_ceph_monitors", "pve_ceph_managers"):
        for index, node in enumerate(variables.get(name) or []):
            if node not in known:
                yield f"{name}[{index}]: {node} is no node of this cluster ({', '.join(sorted(known))})."
    if variables.get("pve_ceph") is None:
        return
    monitors = list(variables.get("pve_ceph_monitors") or [])
    if len(monitors) % 2 == 0:
        yield (
            f"pve_ceph_monitors: {len(monitors)} monitors are "
            + (
                "none at all"
                if not monitors
                else f"an even number: they survive no more losses than {len(monitors) - 1}"
            )
            + ". Name an odd number of nodes, at best 3 or 5."
        )
    yield from _site_problems(variables["pve_ceph"], [str(name) for name in monitors], nodes)
    yield from _pools(variables, len({*known}))


def _site_problems(ceph: Mapping[str, Any], monitors: list[str], nodes: list[Node]) -> Iterator[str]:
    """Sites of which one cannot be lost."""
    stretch = ceph.get("stretch")
    sites = {node["name"]: node["site"] for node in nodes if "site" in node}
    known = {name: sites[name] for name in monitors if name in sites}
    if stretch:
        missing = [name for name in monitors if name not in sites]
        if missing:
            yield f"pve_ceph.stretch: say where {', '.join(missing)} stands (pve_site of the host)."
        elif problem := problem_of_sites(known, str(stretch.get("tiebreaker"))):
            yield (
                f"pve_ceph.stretch: {problem}. Put a monitor in a third place, and name its node as "
                "pve_ceph.stretch.tiebreaker."
            )
        return
    counts = {site: list(known.values()).count(site) for site in {*sites.values()}}
    if len(counts) == 2 and len({*known}) == len(monitors) and not ceph.get("accept_site_loss"):
        one, other = sorted(counts)
        yield (
            f"pve_ceph_monitors: the nodes stand in {one} and {other}, with {counts[one]} and {counts[other]} "
            "monitors: the loss of the site with more of them, or of either if they are as many, stops Ceph. Put a "
            "monitor in a third place (pve_ceph.stretch), or say pve_ceph.accept_site_loss: true."
        )


def _pools(variables: Mapping[str, Any], hosts: int) -> Iterator[str]:
    for index, pool in enumerate(variables.get("pve_ceph_pools") or []):
        if pool.get("state") in ("absent", "ignore"):
            continue
        where = f"pve_ceph_pools[{index}] ({pool['name']})"
        why = "" if pool.get("allow_data_loss") else unsafe(pool)
        if why:
            yield (
                f"{where}: {why}. Set size: 3, min_size: 2 (needs 3 hosts with OSDs: you have {hosts}), "
                "or say allow_data_loss: true on the pool."
            )
        size = int(pool.get("size") or 3)
        if size > hosts:
            yield f"{where}: size {size} needs {size} hosts with OSDs, this cluster has {hosts} nodes."
