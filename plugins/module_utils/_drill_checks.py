# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold before a drill. Private to this collection."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._api import Api
from ._drill_faults import LINK
from ._drill_links import Links
from ._drill_plan import Plan
from ._errors import ApiError
from ._forecast import Reserve, read_picture
from ._ha import SERVICES
from ._link_steps import LinkStatus
from ._membership import Membership, links_of, read_membership, witness_votes
from ._pure.ha_forecast import Loss, Picture, forecast
from ._pure.lists import split_list
from ._pure.units import format_duration
from ._replication_rows import replication_rows
from ._rest import in_words, look
from ._shell import Login

RESTLESS = ("nodes", "ha", "ceph", "replication", "tasks")
PATIENCE = 10.0
"""Seconds in which what moves may come to rest."""
CHECKS = ("other_fault", "quorum", "capacity", "replication", "backup")


@dataclass(frozen=True)
class Condition:
    """One precondition that does not hold; ``check`` is the name that overrides it."""

    check: str
    text: str
    overridden: bool = False

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        return {"check": self.check, "text": self.text, "overridden": self.overridden}


@dataclass
class Before:
    """What was known before: the ``picture`` of the cluster, and the replication jobs, read at ``moment``.

    ``moment``: seconds since the epoch. ``witness``, ``ceph``: whether there is one.
    """

    picture: Picture
    replication: Sequence[Mapping[str, Any]]
    moment: float
    loss: Loss | None
    conditions: list[Condition]
    witness: bool
    ceph: bool
    links: Links


def look_before(api: Api, wanted: Plan, params: Mapping[str, Any]) -> Before:
    """Check everything."""
    lost = wanted.lost
    picture = read_picture(api.client, Reserve(), [str(each["node"]) for each in params["nodes"] if each["voter"]])
    moment, rows = time.time(), replication_rows(api)
    # nodes that only vote take no guests: their loss strands none
    hosts = sorted({*lost} & {room.name for room in picture.rooms})
    loss = forecast(picture, [hosts])[0] if hosts else None
    membership = read_membership(api.client)
    links = Links(params["nodes"], Login.from_params(params), membership)
    if links.unasked:
        api.warn(f"links are not looked at on {', '.join(links.unasked)}: {next(iter(links.unasked.values()))}")
    moving = _moving(api, links, params["tolerate"])
    votes = _Votes.read(api, membership)
    found = [("other_fault", text) for text in moving]
    found += [("quorum", text) for text in votes.against(wanted)]
    if loss is not None and not loss.fits:
        found.append(("capacity", loss.text()))
    found += [("replication", text) for text in _replication(rows, lost, float(params["max_replica_age"]))]
    found += [("backup", text) for text in _backups(api, lost, float(params["max_backup_age"]))]
    overridden = set(params["override"])
    conditions = [Condition(check, text, check in overridden) for check, text in found]
    return Before(picture, rows, moment, loss, conditions, bool(votes.witness), has_ceph(api), links)


def _moving(api: Api, links: Links, tolerate: Sequence[str]) -> list[str]:
    """What is not at rest, and stays so for a moment: a status that came late is no fault."""
    clock = api.client.clock
    limit = clock.monotonic() + PATIENCE
    seen: Mapping[str, Mapping[int, LinkStatus]] | None = links.first
    while True:
        moving = [*in_words(look(api, RESTLESS, tolerate=tolerate)), *links.broken(seen)]
        if not moving or clock.monotonic() >= limit:
            return moving
        clock.sleep(1)
        seen = None


@dataclass(frozen=True)
class _Votes:
    """``nodes``: by name; ``online``: who gives theirs; ``witness``: its votes, and whether it gives them."""

    nodes: Mapping[str, int]
    online: Collection[str]
    witness: int
    connected: bool
    links: Mapping[str, Mapping[int, str]]

    @classmethod
    def read(cls, api: Api, membership: Membership) -> _Votes:
        entries = {str(entry["node"]): entry for entry in api.client.get("/cluster/config/nodes")}
        nodes = {name: int(entry.get("quorum_votes") or 1) for name, entry in entries.items()}
        try:
            qdevice = api.client.get("/cluster/config/qdevice") or {}
        except ApiError:
            qdevice = {}
        witness, connected = witness_votes(qdevice, sum(nodes.values()))
        online = [name for name in nodes if membership.online(name)]
        return cls(nodes, online, witness, connected, {name: links_of(entry) for name, entry in entries.items()})

    def against(self, wanted: Plan) -> list[str]:
        """Why the rest would have no majority, in words."""
        expected = sum(self.nodes.values()) + self.witness
        needed = expected // 2 + 1
        gone, texts = set(wanted.votes_of), []
        if wanted.witness and not self.connected:
            texts.append("no witness gives its vote, so that its loss would show nothing")
        for fault in wanted.faults:
            others = [number for number in self.links.get(fault.node, {}) if str(number) != fault.what]
            if fault.kind == LINK and not others:
                texts.append(f"{fault.node} has no other link: without this one it would be lost")
                gone.add(fault.node)
        left = sum(self.nodes[name] for name in self.online if name not in gone)
        left += self.witness if self.connected and not wanted.witness else 0
        if left < needed:
            texts.append(f"{left} of {expected} votes would be left, and {needed} are needed: everything would stop")
        return texts


def has_ceph(api: Api) -> bool:
    """Whether Ceph can be asked for its health."""
    try:
        api.client.get("/cluster/ceph/status")
    except ApiError:
        return False
    return True


def _replication(rows: Sequence[Mapping[str, Any]], lost: Collection[str], limit: float) -> list[str]:
    """Guests of the lost nodes, by their freshest replica."""
    texts = []
    for guest in sorted({int(row["guest"]) for row in rows if row["source"] in lost and not row["disabled"]}):
        mine = [row for row in rows if int(row["guest"]) == guest and row["target"] not in lost]
        lags = [int(row["lag"]) for row in mine if row["lag"] is not None]
        if not lags:
            texts.append(f"guest {guest} has no replica yet")
        elif min(lags) > limit:
            texts.append(f"the newest replica of guest {guest} is {format_duration(min(lags))} old")
    return texts


def _backups(api: Api, lost: Collection[str], limit: float) -> list[str]:
    """Guests of the lost nodes without a young backup; a limit of 0 asks for none."""
    rows = api.client.get("/cluster/resources")
    guests = [row for row in rows if row.get("type") in SERVICES and row["node"] in lost and row["status"] == "running"]
    if not guests or not limit:
        return []
    newest: dict[int, int] = {}
    seen: set[str] = set()
    for row in rows:
        if row.get("type") != "storage" or "backup" not in split_list(str(row.get("content") or "")):
            continue
        name = str(row["storage"])
        if row.get("status") != "available" or name in seen:
            continue
        if int(row.get("shared") or 0):
            seen.add(name)
        for volume in api.client.get(f"/nodes/{row['node']}/storage/{name}/content", content="backup"):
            vmid = int(volume.get("vmid") or 0)
            newest[vmid] = max(newest.get(vmid, 0), int(volume.get("ctime") or 0))
    texts = []
    for vmid in sorted(int(row["vmid"]) for row in guests):
        age = time.time() - newest.get(vmid, 0)
        if vmid not in newest:
            texts.append(f"guest {vmid} has no backup")
        elif age > limit:
            texts.append(f"the newest backup of guest {vmid} is {format_duration(age)} old")
    return texts
