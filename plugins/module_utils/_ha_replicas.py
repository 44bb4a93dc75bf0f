# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where replicated guests may run: HA does not know where their replicas are (facts §9.4). Private to this collection.

A guest that HA starts on a node without its replica does not start at all. So the affinity of each replicated guest is
made of its replication jobs, unless it is written down; what is written down must not lead elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Element = Mapping[str, Any]

NODE_AFFINITY, RESOURCE_AFFINITY = "node-affinity", "resource-affinity"
_PREFIX = "replicas"


def replica_nodes(jobs: Iterable[Element], guests: Iterable[Element]) -> dict[int, tuple[str | None, list[str]]]:
    """By replicated guest: the node that it is put on, None if that is not said, and its replicas' nodes."""
    homes = {int(guest["vmid"]): guest.get("node") for guest in guests}
    found: dict[int, tuple[str | None, list[str]]] = {}
    for job in jobs:
        if job.get("state") in (None, "present") and not job.get("disable"):
            vmid = int(job["guest"])
            found.setdefault(vmid, (homes.get(vmid), []))[1].append(str(job["target"]))
    return found


def _numbers(resources: Iterable[Element]) -> dict[str, int]:
    """Guests' numbers by the sid of what is under HA."""
    sids = (str(one["sid"]) for one in resources if one.get("state") not in ("absent", "ignore", "ignored"))
    return {sid: int(match[1]) for sid in sids if (match := re.fullmatch(r"(?:vm|ct):(\d+)", sid))}


def in_force(affinity: Iterable[Element], kind: str = NODE_AFFINITY) -> Iterator[Element]:
    """Those of a kind that are to be there and are not switched off: only they are binding (facts §7.1)."""
    for one in affinity:
        if one.get("state") != "absent" and not one.get("disabled") and (one.get("type") or NODE_AFFINITY) == kind:
            yield one


def _named(affinity: Iterable[Element]) -> dict[str, Element]:
    """The affinity that each resource stands in."""
    return {str(sid): one for one in in_force(affinity) if one.get("nodes") for sid in one.get("resources") or []}


def with_replica_affinity(
    affinity: Iterable[Element] | None,
    resources: Iterable[Element] | None,
    jobs: Iterable[Element] | None,
    guests: Iterable[Element] | None,
) -> list[Element]:
    """The affinities, and one for each replicated guest under HA without: its own node first, then its replicas."""
    given = list(affinity or [])
    placed = replica_nodes(jobs or [], guests or [])
    named = _named(given)
    # who stays with others or away from them may not prefer one node to another (facts §7.1)
    tied = {str(sid) for one in in_force(given, RESOURCE_AFFINITY) for sid in one.get("resources") or []}
    derived: list[Element] = []
    for sid, vmid in _numbers(resources or []).items():
        home, targets = placed.get(vmid, (None, []))
        if sid in named or not targets or home is None:
            continue
        nodes = [home, *(target for target in targets if target != home)]
        derived.append(
            {
                "name": f"{_PREFIX}-{vmid}",
                "nodes": {node: 1 if sid in tied else len(nodes) - index for index, node in enumerate(nodes)},
                "strict": True,
                "failback": False,
                "resources": [sid],
                "comment": f"where the replicas of guest {vmid} are",
            }
        )
    return given + derived


def replica_problems(
    affinity: Iterable[Element],
    resources: Iterable[Element],
    jobs: Iterable[Element],
    guests: Iterable[Element],
) -> Iterator[str]:
    """What would let HA start a replicated guest where it has no replica."""
    placed = replica_nodes(jobs, guests)
    named = _named(affinity)
    for sid, vmid in _numbers(resources).items():
        if vmid not in placed:
            continue
        home, targets = placed[vmid]
        one = named.get(sid)
        if one is None:
            if home is None:
                yield (
                    f"pve_ha_resources ({sid}): the guest is replicated, and HA does not know where to. "
                    "Say its node in pve_guests, or where it may run in pve_ha_affinity (strict: true)."
                )
            continue
        where = f"pve_ha_affinity ({one['name']})"
        if not one.get("strict"):
            yield (
                f"{where}: {sid} is replicated to {', '.join(targets)}, and would be started on any node when those "
                "are away. Set strict: true."
            )
        elsewhere = sorted(set(one["nodes"]) - {*targets, home})
        # the node of a guest that is not ours may be one of them
        if len(elsewhere) > (1 if home is None else 0):
            yield (
                f"{where}: {sid} has no replica on {', '.join(elsewhere)}, so it cannot start there. "
                "Add a job to pve_replication_jobs, or take the node out."
            )
