# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about Ceph. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._ceph_pools import unsafe
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
    yield from _pools(variables, len({*known}))


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
