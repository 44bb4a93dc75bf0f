# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a drill, against what was promised. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._client import Client
from ._drill_checks import Before
from ._drill_plan import Plan
from ._drill_watch import NODE, SERVICE, Times, Watch
from ._ha import read_status
from ._pure.ha_placement import Preference, select_node
from ._pure.ha_usage import BasicUsage


def against_promises(
    found: Times, promises: Mapping[str, float], lost_manager: str = "", returned: Mapping[str, float] | None = None
) -> list[str]:
    """After a loss: who did not start elsewhere in time. ``promises``: seconds to ``recovery`` and ``service``.

    ``lost_manager``: the lost node that ran the HA manager; its lock of 120 s has to run out before another takes over.
    ``returned``: lost nodes that were back by themselves before they were fenced, and since when.
    """
    texts = []
    early = [
        f"{node} was back by itself after {second:.0f} s, before it was fenced"
        for node, second in (returned or {}).items()
    ]
    why = f"; {lost_manager} ran the HA manager itself: another node had to take over first" if lost_manager else ""
    for name, limit in promises.items():
        taken = getattr(found, name)
        if taken is None:
            texts.append("; ".join([f"{name} did not come about", *early]))
        elif taken > limit:
            texts.append(f"{name} took {taken:.0f} s, promised are {limit:g} s{why}")
    return texts


def against_expectation(
    watch: Watch, wanted: Plan, before: Before, promises: Mapping[str, float], mended: float
) -> list[str]:
    """What must not have happened. ``mended``: the second in which everything was put back."""
    expected, texts = wanted.expected, []
    own = {each.sid.partition(":")[2] for each in before.picture.tenants if each.node in wanted.lost}
    if expected.failover:
        spared = sorted({gap.vmid for gap in watch.gaps if str(gap.vmid) not in own and gap.since < mended})
        if spared:
            texts.append(f"guests that it should have left alone were gone: {', '.join(map(str, spared))}")
    elif expected.still:
        late = [gap for gap in watch.gaps if gap.until is not None and gap.until > mended + promises["service"]]
        texts += [
            f"guest {gap.vmid} was there again {(gap.until or 0.0) - mended:.0f} s after the end only" for gap in late
        ]
    elif watch.gaps:
        gone = sorted({gap.vmid for gap in watch.gaps})
        texts.append(f"guests were gone, and none should have been: {', '.join(map(str, gone))}")
    if not expected.moves:
        lost = sorted({event.name for event in watch.changes(NODE) if event.state != "online"})
        moved = sorted({event.name for event in watch.changes(SERVICE)})
        texts += [f"taken for lost: {', '.join(lost)}"] if lost else []
        texts += [f"stopped or moved: {', '.join(moved)}"] if moved else []
    if still := watch.gone():
        texts.append(f"guests are still gone: {', '.join(map(str, still))}")
    return texts


def misplaced(client: Client, before: Before) -> list[str]:
    """Services that are not where their rules have them now that all nodes are back."""
    picture = before.picture
    affinities, names = picture.affinities(), sorted(room.name for room in picture.rooms)
    services = read_status(client).services
    status: dict[str, Any] = {sid: {"state": each.state, "node": each.node} for sid, each in services.items()}
    entries = client.get("/cluster/ha/resources")
    failback = {str(each["sid"]): bool(int(each.get("failback", 1))) for each in entries}
    usage = BasicUsage(names, identity=picture.release >= 9)
    texts = []
    for sid, each in services.items():
        if each.state != "started":
            continue
        where = select_node(
            sid, status, affinities, usage, names, failback=failback.get(sid, True), preference=Preference.STAY
        )
        if where is not None and where != each.node:
            texts.append(f"{sid} is on {each.node}, and its rules want it on {where}")
    return texts


def data_of(affected: Sequence[str], where: Mapping[str, str], before: Before, moment: float) -> list[dict[str, Any]]:
    """Of each guest that started elsewhere, how old the state was that it started from: 0 on shared storage.

    ``where``: the node that it started on; ``moment``: that of the fault (epoch seconds).
    """
    found = []
    for sid in affected:
        vmid = int(sid.partition(":")[2])
        jobs = [job for job in before.replication if int(job["guest"]) == vmid and not job["disabled"]]
        mine = [job for job in jobs if job["target"] == where.get(sid)] or jobs
        lags = [int(job["lag"]) for job in mine if job["lag"] is not None]
        age = round(min(lags) + max(0.0, moment - before.moment), 1) if lags else (None if jobs else 0)
        found.append({"vmid": vmid, "replicated": bool(jobs), "age": age})
    return found
