# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether anything in a cluster is still moving, and waiting until nothing is. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._ceph import absent, group_states
from ._ceph_info import not_tolerated
from ._errors import ApiError, StateError
from ._ha import read_status
from ._ha_groups import MIGRATED
from ._parallel import all_or_error, side_by_side
from ._replication_rows import replication_rows
from ._wait import PASSING, wait_until

AREAS = ("nodes", "ha", "ceph", "replication", "backup", "tasks")
GROUPS = "groups"
"""An area that is looked at only if it is asked for."""

_BACKUPS = frozenset({"vzdump", "backup", "verify", "sync", "prune"})
_MOVES = frozenset({"qmigrate", "vzmigrate", "hamigrate", "qmrestore", "vzrestore", "imgcopy", "imgdel"})

_UNSETTLED = frozenset(
    {"activating", "backfill_wait", "backfilling", "creating", "peering", "recovering", "recovery_wait"}
)

Restless = Mapping[str, Sequence[str]]
"""By area, what is still moving, in words; an area at rest has no words."""


def look(api: Api, areas: Collection[str], *, tolerate: Sequence[str] = (), away: Collection[str] = ()) -> Restless:
    """What moves now. ``tolerate``: checks of Ceph that count as healthy; ``away``: nodes that may be offline."""
    readers: dict[str, Callable[[], list[str]]] = {
        "nodes": lambda: _nodes(api, away),
        "ha": lambda: _ha(api, away),
        "ceph": lambda: _ceph(api, tolerate),
        "replication": lambda: _replication(api, away),
        "backup": lambda: _tasks(api, _BACKUPS),
        "tasks": lambda: _tasks(api, _MOVES),
        GROUPS: lambda: _groups(api),
    }
    chosen = [area for area in (*AREAS, GROUPS) if area in areas]
    return dict(zip(chosen, all_or_error(side_by_side(lambda area: readers[area](), chosen)), strict=True))


def in_words(restless: Restless) -> list[str]:
    """All that moves, one text a thing."""
    return [f"{area}: {text}" for area, texts in restless.items() for text in texts]


def wait_for_rest(
    api: Api,
    areas: Collection[str],
    timeout: float,
    *,
    tolerate: Sequence[str] = (),
    away: Collection[str] = (),
) -> Restless:
    """Wait until nothing moves. Raises :class:`WaitError` naming what still does, :class:`StateError` for what never
    comes to rest by itself.
    """
    seen: Restless = {}

    def probe() -> Restless | None:
        nonlocal seen
        seen = look(api, areas, tolerate=tolerate, away=away)
        return None if in_words(seen) else seen

    return wait_until(
        probe,
        timeout=timeout,
        what="the cluster's coming to rest",
        clock=api.client.clock,
        passing=PASSING,
        describe=lambda: "; ".join(in_words(seen)[:6]),
    )


def _nodes(api: Api, away: Collection[str]) -> list[str]:
    texts = []
    for entry in api.client.get("/cluster/status"):
        if entry["type"] == "cluster" and not int(entry.get("quorate") or 0):
            texts.append("there is no quorum")
        elif entry["type"] == "node" and not int(entry.get("online") or 0) and entry["name"] not in away:
            texts.append(f"{entry['name']} is offline")
    return texts


def _ha(api: Api, away: Collection[str]) -> list[str]:
    texts = read_status(api.client).moving()
    managed = (api.client.get("/cluster/ha/status/manager_status") or {}).get("manager_status") or {}
    if managed.get("service_status"):
        texts += [
            f"the manager takes {node} for {state}"
            for node, state in sorted((managed.get("node_status") or {}).items())
            # the manager remembers a node that has left the cluster for an hour (facts §7.5)
            if state != "online" and node not in away and node in api.nodes
        ]
    return texts


def _groups(api: Api) -> list[str]:
    """Groups that the manager, where it has work, turns into rules once all nodes are of release 9 (facts §7.1)."""
    try:
        found = api.client.get("/cluster/ha/groups")
    except ApiError as error:
        if error.says(MIGRATED):
            return []
        raise
    if not read_status(api.client).services:
        return []
    return [f"{each['group']} is not a rule yet" for each in found]


def _ceph(api: Api, tolerate: Sequence[str]) -> list[str]:
    try:
        status = api.client.get("/cluster/ceph/status")
    except ApiError as error:
        if absent(error):
            return []
        raise
    return [*not_tolerated(status, tolerate), *_copying(status)]


def _copying(status: Mapping[str, Any]) -> list[str]:
    """Health is fine while copies that are complete are brought elsewhere (docs.ceph.com, "Placement Group States")."""
    return [
        f"{count} placement groups are {state}"
        for state, count in group_states(status).items()
        if _UNSETTLED.intersection(state.split("+"))
    ]


def _replication(api: Api, away: Collection[str]) -> list[str]:
    """Failures are told; a run that is due and has not begun is not: the schedule goes on for ever."""
    return [
        f"{row['id']} to {row['target']} failed {row['fail_count']} times in a row: {row['error'] or 'no reason given'}"
        for row in replication_rows(api)
        if row["fail_count"] and not row["disabled"] and row["target"] not in away
    ]


def _tasks(api: Api, kinds: Collection[str]) -> list[str]:
    return [
        f"{task['type']} {task.get('id') or ''} runs on {task['node']}".replace("  ", " ")
        for task in api.client.get("/cluster/tasks")
        if not task.get("endtime") and task.get("type") in kinds
    ]


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``wait_for_rest``."""
    with Api.open(params, check_mode) as api:
        areas, tolerate, away = params["areas"], params["tolerate"], params["away"]
        seen = look(api, areas, tolerate=tolerate, away=away)
        if in_words(seen) and not check_mode:
            if "ha" in areas:
                _no_errors(api)
            seen = wait_for_rest(api, areas, float(params["timeout"]), tolerate=tolerate, away=away)
        moving = in_words(seen)
        if moving and check_mode:
            api.warn(f"it would be waited until everything is at rest; now {'; '.join(moving[:6])}")
        return api.result([], rest=not moving, areas={area: list(texts) for area, texts in seen.items()}, moving=moving)


def _no_errors(api: Api) -> None:
    wrong = [service.sid for service in read_status(api.client).services.values() if service.state == "error"]
    if wrong:
        raise StateError(
            f"{', '.join(wrong)} cannot come to rest: in the state error",
            hint="Put right what ails the guest, set the resource to disabled, then to started again.",
        )
