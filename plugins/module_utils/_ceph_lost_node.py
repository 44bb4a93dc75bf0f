# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking out of Ceph what was on a node that will not come back. Private to this collection.

The API's calls for that are carried out by the node itself; Ceph's own commands work from any other node. The keys of
its daemons are seen by them alone (docs.ceph.com, "User Management").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ._api import Api, Result, refuse
from ._ceph import HERE, inactive_groups, read
from ._ceph_osd_removal import osds_in
from ._ceph_shell import on_a_node
from ._errors import ApplyError, QuorateError, VerifyError
from ._plan import DELETE, Change, raise_all, simple_change
from ._shell import Shell

CONF = "/etc/pve/ceph.conf"
BUCKET_FLAGS = ("noup", "nodown", "noin", "noout")
DAEMONS = {"mgr": f"{HERE}/mgr", "mds": f"{HERE}/mds"}
"""Daemons with a key that outlives them, and where they are listed; they are called like their node."""
KEYS = (*DAEMONS, "mon", "client.crash")
"""Whose key a node may have, under its own name. ``ceph osd purge`` takes those of OSDs along."""


@dataclass(frozen=True)
class Left:
    """What Ceph still has of a node."""

    osds: tuple[int, ...]
    up: tuple[int, ...]
    monitors: Mapping[str, str]
    """Name -> address."""
    bucket: bool
    keys: tuple[str, ...] = ()
    """Entities (``mgr.pve3``) that no daemon uses any more."""

    def __bool__(self) -> bool:
        return bool(self.osds or self.monitors or self.bucket or self.keys)


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        return _manage(api, params)


def _manage(api: Api, params: Mapping[str, Any]) -> Result:
    node = str(params["node"])
    left = _left(api, node)
    if left is None:
        return api.result([])
    emptied = api.check_mode and params["assume_empty"]
    if emptied:
        left = replace(left, osds=(), up=(), monitors={})
    _check(api, params, left)
    with on_a_node(api, params) as shell:
        left = replace(left, keys=_keys(api, shell, node, in_use=not emptied))
        steps = _steps(node, left)
        changes = [change for change, _work in steps]
        api.approve(changes)
        if changes and not api.check_mode:
            _carry_out(shell, left, steps)
            now = _left(api, node)
            still = now and replace(now, keys=_keys(api, shell, node))
            if still:
                raise VerifyError(f"the commands said yes, and Ceph still has something of {node}: {still}")
    return api.result(changes)


def _carry_out(shell: Shell, left: Left, steps: Sequence[tuple[Change, list[list[str]]]]) -> None:
    done: list[Change] = []
    try:
        # first: a run that breaks off here is taken up by the next one, which still sees the monitors
        if left.monitors:
            _forget_monitors(shell, left.monitors)
        for change, commands in steps:
            for words in commands:
                shell.run(words)
            done.append(change)
    except QuorateError as error:
        not_done = [change.describe() for change, _work in steps if change not in done]
        raise ApplyError([error], [change.describe() for change in done], not_done) from error


def _left(api: Api, node: str) -> Left | None:
    """What the API knows of; None if there is no Ceph."""
    tree = read(api, f"{HERE}/osd", "node")
    monitors = read(api, f"{HERE}/mon", "node") or ()
    if not tree:
        return None
    osds = [osd for osd in osds_in(tree["root"]) if osd.get("host") == node]
    return Left(
        osds=tuple(sorted(int(osd["id"]) for osd in osds)),
        up=tuple(sorted(int(osd["id"]) for osd in osds if osd.get("status") == "up")),
        monitors={
            str(each["name"]): re.sub(r"(:\d+)?/\d+$", "", str(each.get("addr") or "")).strip("[]")
            for each in monitors
            # one that is not in the monitors' map any more has no rank
            if each.get("host") == node and each.get("rank") is not None
        },
        bucket=_has_bucket(tree["root"], node),
    )


def _keys(api: Api, shell: Shell, node: str, *, in_use: bool = True) -> tuple[str, ...]:
    """The keys that the node's daemons have left. ``in_use``: not those of daemons that are on it, or on another."""
    listed = json.loads(shell.run(["ceph", "auth", "ls", "--format", "json"]))["auth_dump"]
    found = {str(each["entity"]) for each in listed} & {f"{kind}.{node}" for kind in KEYS}
    if in_use:
        for kind, path in DAEMONS.items():
            if f"{kind}.{node}" in found and any(
                each.get("name") == node and _lives(api, str(each.get("host") or ""))
                for each in read(api, path, "node") or ()
            ):
                found.remove(f"{kind}.{node}")
    return tuple(sorted(found))


def _lives(api: Api, host: str) -> bool:
    return host in api.nodes and api.online(host)


def _has_bucket(tree: Mapping[str, Any], node: str) -> bool:
    if tree.get("type") == "host" and tree.get("name") == node:
        return True
    return any(_has_bucket(child, node) for child in tree.get("children") or ())


def _check(api: Api, params: Mapping[str, Any], left: Left) -> None:
    """Refuse, with all reasons, before anything is changed."""
    node = str(params["node"])
    if not left.osds and not left.monitors:
        # an empty bucket, or the key of a daemon that is gone, is no data and no vote, wherever its node is
        return
    errors: list[QuorateError] = []
    if not params["lost"]:
        hint = "Say lost: true if its disks will never come back."
        errors.append(refuse("this forgets every copy of data that is on the node", where="node", hint=hint))
    if (node in api.nodes and api.online(node)) or left.up:
        hint = "Remove its OSDs with ceph_osds and its monitor with ceph_monitors."
        errors.append(refuse(f"{node} is on", where="node", hint=hint))
    status: Mapping[str, Any] = read(api, "/cluster/ceph/status", "node") or {}
    if waiting := sum(inactive_groups(status).values()):
        hint = "Bring it, or another node that is away, back."
        errors.append(
            refuse(f"{waiting} placement groups are not active: {node} may have the last copy", where="node", hint=hint)
        )
    if left.monitors and len(status.get("monmap", {}).get("mons", ())) <= len(left.monitors):
        errors.append(refuse(f"{node} has the last monitor", where="node", hint="Make another one first."))
    raise_all(errors)


def _steps(node: str, left: Left) -> list[tuple[Change, list[list[str]]]]:
    """What is removed, in this order, each with its commands."""
    steps = [
        (
            simple_change(DELETE, "OSD", f"osd.{number} of {node}", {}, {"status": "down"}),
            [["ceph", "osd", "purge", str(number), "--yes-i-really-mean-it"]],
        )
        for number in left.osds
    ]
    if left.bucket:
        # flags of the bucket, such as a maintenance sets, would outlive it and wait for the next node of that name
        commands = [["ceph", "osd", "unset-group", ",".join(BUCKET_FLAGS), node], ["ceph", "osd", "crush", "rm", node]]
        steps.append((simple_change(DELETE, "CRUSH bucket", node, {}, {"type": "host"}), commands))
    for name, address in left.monitors.items():
        change = simple_change(DELETE, "monitor", name, {}, {"node": node, "address": address})
        steps.append((change, [["ceph", "mon", "remove", name]]))
    for entity in left.keys:
        change = simple_change(DELETE, "key", entity, {}, {"node": node})
        steps.append((change, [["ceph", "auth", "del", entity]]))
    return steps


def _forget_monitors(shell: Shell, monitors: Mapping[str, str]) -> None:
    """Strike monitors out of ceph.conf: clients ask the addresses that stand there."""
    before = shell.read(CONF) or ""
    after = without_monitors(before, monitors)
    if after != before:
        shell.write(CONF, after)


def without_monitors(text: str, monitors: Mapping[str, str]) -> str:
    """A ceph.conf without the sections of these monitors and without their addresses in ``mon_host``.

    All other lines stay as they are, comments too.
    """
    gone = {f"[mon.{name}]" for name in monitors}
    lines: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = line.strip() in gone
        if inside:
            continue
        found = re.match(r"(\s*mon[ _]host\s*=\s*)(.*?)(\s*)$", line, re.DOTALL)
        if found:
            kept = [each for each in re.split(r"[\s,]+", found[2]) if each.strip("[]") not in {"", *monitors.values()}]
            line = f"{found[1]}{' '.join(kept)}{found[3]}"
        lines.append(line)
    return "".join(lines)
