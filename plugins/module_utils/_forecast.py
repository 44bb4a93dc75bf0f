# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is needed to say where guests land when a node is lost, read from a cluster. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._api import Api, Result
from ._capabilities import has_ha_rules
from ._client import Client
from ._errors import ApiError, InputError
from ._ha import SERVICES
from ._pure.ha_forecast import Loss, Picture, Room, Tenant, forecast, tightest
from ._pure.units import parse_size

HOST_MEMORY = 2**30
"""Bytes that a host needs for itself."""
OSD_MEMORY = 4 * 2**30
"""Bytes that an OSD takes: Ceph's own default of osd_memory_target."""
CACHE_SHARE, CACHE_LIMIT = 0.10, 16 * 2**30
"""What the installer of Proxmox VE lets ZFS's cache take: a tenth of the memory, 16 GiB at most (since 8.1)."""


@dataclass(frozen=True)
class Reserve:
    """What is kept from guests, in bytes. ``cache``: ZFS's, where there is ZFS; None: as the installer sets it."""

    host: int = HOST_MEMORY
    osd: int = OSD_MEMORY
    cache: int | None = None

    def of(self, memory: int, osds: int, *, zfs: bool) -> int:
        """For a node with that much memory and that many OSDs."""
        cache = (int(min(memory * CACHE_SHARE, CACHE_LIMIT)) if self.cache is None else self.cache) if zfs else 0
        return self.host + osds * self.osd + cache


def read_picture(
    client: Client, reserve: Reserve, voters: Sequence[str] = (), resources: Sequence[Mapping[str, Any]] | None = None
) -> Picture:
    """Read a cluster, in six calls. ``voters``: nodes that take no guests. ``resources``: GET /cluster/resources."""
    rows = client.get("/cluster/resources") if resources is None else resources
    entries = {str(each["sid"]): each for each in client.get("/cluster/ha/resources")}
    with_rules = has_ha_rules(client)
    rules = _rules(client, entries, with_rules=with_rules)
    mode = _mode(client)
    osds = read_osds(client)
    with_zfs = {str(row["node"]) for row in rows if row.get("type") == "storage" and row.get("plugintype") == "zfspool"}
    rooms = []
    for row in sorted((row for row in rows if row.get("type") == "node"), key=lambda row: str(row["node"])):
        name, memory = str(row["node"]), int(row.get("maxmem") or 0)
        if name not in voters:
            reserved = reserve.of(memory, osds.get(name, 0), zfs=name in with_zfs)
            online = row.get("status") == "online"
            rooms.append(Room(name, memory, reserved, float(row.get("maxcpu") or 0), online))
    guests = [row for row in rows if row.get("type") in SERVICES and not int(row.get("template") or 0)]
    tenants = [_tenant(row, entries) for row in guests]
    return Picture(rooms, tenants, rules, mode, 9 if with_rules else 8)


def _tenant(row: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> Tenant:
    sid = f"{SERVICES[str(row['type'])]}:{row['vmid']}"
    requested = str(entries[sid].get("state") or "started") if sid in entries else None
    return Tenant(
        sid,
        str(row["node"]),
        int(row.get("maxmem") or 0),
        float(row.get("maxcpu") or 0),
        row.get("status") == "running",
        "started" if requested == "enabled" else requested,
    )


def _rules(
    client: Client, entries: Mapping[str, Mapping[str, Any]], *, with_rules: bool
) -> dict[str, Mapping[str, object]]:
    """Sections as in rules.cfg; groups are what a rule of the same meaning would be (facts §7.1)."""
    if with_rules:
        rows = client.get("/cluster/ha/rules")
        # a section that says `disable` at all is off
        return {
            str(row["rule"]): {key: value for key, value in row.items() if key != "disable" or int(value or 0)}
            for row in rows
        }
    found: dict[str, Mapping[str, object]] = {}
    for group in client.get("/cluster/ha/groups"):
        members = [sid for sid, each in entries.items() if each.get("group") == group["group"]]
        if members:
            section = {"type": "node-affinity", "nodes": group.get("nodes") or "", "resources": members}
            found[f"ha-group-{group['group']}"] = {**section, "strict": group.get("restricted") or 0}
    return found


def _mode(client: Client) -> str:
    """The scheduler's mode; who may not read the options gets the default."""
    try:
        crs = (client.get("/cluster/options") or {}).get("crs") or {}
    except ApiError:
        return "basic"
    return str(crs.get("ha") or "basic")


def read_osds(client: Client) -> dict[str, int]:
    """The number of OSDs on each host; {} without Ceph."""
    try:
        metadata = client.get("/cluster/ceph/metadata", scope="all")
    except ApiError:
        return {}
    found: dict[str, int] = {}
    for osd in metadata.get("osd") or []:
        name = str(osd.get("hostname") or "")
        found[name] = found.get(name, 0) + 1
    return found


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``failure_forecast``."""
    with Api.open(params, check_mode) as api:
        picture = read_picture(api.client, _reserve(params), params["voters"])
        names = {room.name for room in picture.rooms}
        for index, lost in enumerate(params["losses"] or []):
            for node in lost["nodes"]:
                if node not in names:
                    raise InputError(
                        f"there is no node {node} that takes guests ({', '.join(sorted(names))})",
                        where=f"losses[{index}].nodes",
                    )
        losses = forecast(picture, [lost["nodes"] for lost in params["losses"]] if params["losses"] else None)
        worst = tightest(losses)
        return api.result(
            [],
            losses=[loss.describe() for loss in losses],
            fits=all(loss.fits for loss in losses),
            tightest=worst.describe() if worst else None,
            scheduler=picture.mode,
            text=_text(losses, worst),
        )


def _text(losses: Sequence[Loss], worst: Loss | None) -> str:
    bad = [loss.text() for loss in losses if not loss.fits]
    if bad:
        return "\n".join(bad)
    return f"fits after any of these losses (tightest: {worst.text()})" if worst else "no node can be lost"


def _reserve(params: Mapping[str, Any]) -> Reserve:
    def size(name: str) -> int:
        try:
            return parse_size(params[name])
        except ValueError as error:
            raise InputError(str(error), where=name) from error

    return Reserve(size("host_memory"), size("osd_memory"), size("zfs_cache") if params["zfs_cache"] else None)
