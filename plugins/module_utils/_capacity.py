# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is left can carry what is lost, and how many copies and placement groups that takes. Pure.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._pure.ha_forecast import Picture, Room, Tenant, forecast

# Ceph's advice: about a hundred placement groups an OSD, at most 250 (mon_max_pg_per_osd)
PGS_PER_OSD = 100
MOST_PGS_PER_OSD = 250


def spare_capacity(
    resources: Sequence[Mapping[str, Any]],
    load_max: float = 100,
    reserve: int = 2**30,
    voters: Sequence[str] = (),
    only_ha: bool = False,
) -> dict[str, Any]:
    """What the loss of each node would mean for memory, from the answer of ``GET /cluster/resources``.

    ``load_max`` is the share (percent) of a node's memory, without ``reserve`` bytes for itself, that guests may take.
    Rules of HA are not known here; they are to the module failure_forecast.
    """
    if not 0 < load_max <= 100:
        raise ValueError(f"load_max is {load_max}: a percentage above 0, at most 100, is wanted")
    rooms = [
        Room(str(each["node"]), int(max(int(each.get("maxmem") or 0) - reserve, 0) * load_max / 100))
        for each in resources
        if each.get("type") == "node" and each.get("status") == "online" and each["node"] not in voters
    ]
    names = {room.name for room in rooms}
    guests = [
        Tenant(str(each["vmid"]), str(each["node"]), int(each.get("maxmem") or 0), requested=_requested(each, only_ha))
        for each in resources
        if each.get("type") in ("qemu", "lxc") and each.get("status") == "running" and each.get("node") in names
    ]
    losses = [
        {
            "node": loss.node,
            "fits": loss.fits,
            "homeless": sorted(int(landing.sid) for landing in loss.stranded),
            "fullest": loss.fullest[0],
            "percent": round(loss.fullest[1] * load_max),
        }
        for loss in forecast(Picture(rooms, guests))
    ]
    worst = max(losses, key=lambda loss: (not loss["fits"], loss["percent"]), default=None)
    return {"fits": len(rooms) > 1 and all(loss["fits"] for loss in losses), "tightest": worst, "losses": losses}


def _requested(guest: Mapping[str, Any], only_ha: bool) -> str | None:
    return "started" if not only_ha or guest.get("hastate") not in (None, "", "ignored") else None


def pg_count(osds: int, size: int = 3, share: float = 1.0, target: int = PGS_PER_OSD) -> int:
    """The number of placement groups of a pool that holds ``share`` (0 to 1) of all data: a power of two.

    Ceph's rule: target x OSDs x share / copies, to the next power of two, to the one below if that is off by less than
    a quarter.
    """
    if osds < 1 or size < 1 or not 0 < share <= 1 or target < 1:
        raise ValueError("OSDs, size and target must be 1 or more, and the share above 0 and at most 1")
    ideal = target * osds * share / size
    power = 1
    while power * 2 <= ideal:
        power *= 2
    if ideal > power * 1.25:
        power *= 2
    most = MOST_PGS_PER_OSD * osds // size
    while power > max(most, 1):
        power //= 2
    return power


def copies_advice(
    hosts: int, survive: str = "host", size: int | None = None, min_size: int | None = None
) -> dict[str, Any]:
    """How many copies a pool needs to lose no acknowledged write and to go on when a host, two, or a site is lost.

    ``hosts`` are those with OSDs. With ``size`` and ``min_size`` of a pool, ``problem`` says what is wrong with them.
    """
    wanted = {"host": (3, 2, 3), "two_hosts": (5, 3, 5), "site": (4, 2, 4)}
    if survive not in wanted:
        raise ValueError(f"survive is {survive!r}: one of {', '.join(wanted)} is wanted")
    copies, least, needed = wanted[survive]
    problem = ""
    if hosts < needed:
        problem = f"{copies} copies need {needed} hosts with OSDs, there are {hosts}"
    elif size is not None:
        given = min_size if min_size is not None else size - size // 2
        if size == 1:
            problem = "size 1 keeps a single copy: one failed disk loses data"
        elif given == 1:
            problem = f"size {size} with min_size 1 means that one failed disk can lose acknowledged writes"
        elif size <= given:
            problem = f"size {size} with min_size {given} stops all writes when one host is down"
        elif size < copies:
            problem = f"size {size} does not survive the loss of {survive.replace('_', ' ')}: {copies} copies do"
        elif size > hosts:
            problem = f"size {size} needs {size} hosts with OSDs, there are {hosts}"
    return {"size": copies, "min_size": least, "hosts": needed, "ok": not problem, "problem": problem}
