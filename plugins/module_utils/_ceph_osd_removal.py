# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing OSDs without losing a copy: out, empty, safe to destroy, stopped, destroyed. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api
from ._ceph import HERE, read
from ._ceph_crush import crush_map
from ._ceph_pools import too_few_domains
from ._errors import ApiError, ApplyError, InputError, QuorateError, StateError
from ._plan import DELETE, Change, raise_all
from ._spec import ABSENT
from ._wait import wait_until

OSD = "OSD"
Osd = Mapping[str, Any]


def osds_in(tree: Mapping[str, Any]) -> list[Osd]:
    """The OSDs of a tree as GET …/ceph/osd answers it, whatever is between them and the root."""
    found = [tree] if tree.get("type") == "osd" else []
    for child in tree.get("children") or ():
        found += osds_in(child)
    return found


def removals(api: Api, elements: Sequence[Mapping[str, Any]], coming: Sequence[str] = ()) -> list[Change]:
    """What has to be removed. Raises an error that names every OSD that cannot be, before anything is changed.

    ``coming``: the nodes on which OSDs are made before, one entry for each.
    """
    wanted = [(f"osds[{at}] (osd.{each.get('id')})", each) for at, each in enumerate(elements) if _goes(each)]
    if not wanted:
        return []
    raise_all([InputError("say the id of the OSD", where=where) for where, each in wanted if each.get("id") is None])
    tree = read(api, f"{HERE}/osd", "osds")
    present = {int(osd["id"]): osd for osd in osds_in(tree["root"])} if tree else {}
    changes: list[Change] = []
    errors: list[QuorateError] = []
    for where, element in wanted:
        osd = present.get(int(element["id"]))
        if osd is None:
            continue
        problem = _problem(api, element, osd)
        if problem:
            errors.append(StateError(problem, where=where))
        item = {"node": str(osd["host"]), "id": int(osd["id"]), "allow": bool(element["allow_undersized"])}
        before = {"status": osd.get("status"), "in": int(osd.get("in") or 0)}
        label = f"osd.{osd['id']} of {osd['host']}"
        changes.append(Change(DELETE, OSD, label, (int(osd["id"]),), item, before=before, where=where))
    raise_all([*errors, *_room_errors(api, changes, coming)])
    return changes


def _goes(element: Mapping[str, Any]) -> bool:
    return element.get("state") == ABSENT


def _problem(api: Api, element: Mapping[str, Any], osd: Osd) -> str:
    node = str(osd["host"])
    if element["node"] != node:
        return f"osd.{osd['id']} is on {node}, not on {element['node']}"
    if node not in api.nodes or not api.online(node):
        return f"{node} is offline: bring it back, or take the node out of the cluster"
    return ""


def _room_errors(api: Api, changes: Sequence[Change], coming: Sequence[str]) -> list[QuorateError]:
    """Without these OSDs there must still be a place for every copy; otherwise they can never be emptied."""
    strict = [change for change in changes if not change.item["allow"]]
    present = crush_map(api, "osds") if strict else None
    if present is None:
        return []
    for change in strict:
        name = f"osd.{change.item['id']}"
        if change.item["node"] in coming:
            # what takes its place counts for it
            continue
        present.devices.pop(name, None)
        for bucket in present.buckets.values():
            bucket.items.pop(name, None)
    where, hint = strict[0].where, "Make others first, or say allow_undersized: true. Nothing was changed."
    pools = read(api, f"{HERE}/pool", "osds") or []
    return [
        StateError(f"pool {pool['pool_name']}: without the OSDs to be removed, {why}", where=where, hint=hint)
        for pool in pools
        if (why := too_few_domains({**pool, "crush_rule": pool.get("crush_rule_name")}, present))
    ]


def remove(api: Api, changes: Sequence[Change], timeout: float) -> None:
    """Carry it out, one OSD at a time."""
    done: list[Change] = []
    try:
        for change in changes:
            try:
                _remove(api, change, timeout)
            except QuorateError as error:
                raise error.at(change.where) from error
            done.append(change)
    except QuorateError as error:
        not_done = [change.describe() for change in changes if change not in done]
        raise ApplyError([error], [change.describe() for change in done], not_done) from error


def _remove(api: Api, change: Change, timeout: float) -> None:
    number, node = change.item["id"], change.item["node"]
    path = f"/nodes/{node}/ceph/osd/{number}"
    if change.before["in"]:
        api.client.post(f"{path}/out", {})
    if not change.item["allow"]:
        _wait_until_safe(api, node, number, timeout)
    if change.before["status"] == "up":
        api.finish_task(api.client.post(f"/nodes/{node}/ceph/stop", {"service": f"osd.{number}"}), timeout)
        wait_until(
            lambda: True if _status(api, number) != "up" else None,
            timeout=timeout,
            what=f"osd.{number}'s being down",
            clock=api.client.clock,
            passing=(ApiError,),
        )
    api.finish_task(api.client.delete(path, {"cleanup": 1}), timeout)


def _status(api: Api, number: int) -> str:
    tree = api.client.get(f"{HERE}/osd")
    return next((str(osd.get("status")) for osd in osds_in(tree["root"]) if int(osd["id"]) == number), "")


def _wait_until_safe(api: Api, node: str, number: int, timeout: float) -> None:
    said = ""

    def look() -> bool | None:
        nonlocal said
        params = {"service": "osd", "id": str(number), "action": "destroy"}
        answer = api.client.get(f"/nodes/{node}/ceph/cmd-safety", **params)
        said = str(answer.get("status") or "")
        return True if answer.get("safe") else None

    wait_until(
        look,
        timeout=timeout,
        what=f"osd.{number}'s data being elsewhere",
        clock=api.client.clock,
        passing=(ApiError,),
        describe=lambda: said,
        hint="It is out and stays so; run again when Ceph has moved its data.",
    )
