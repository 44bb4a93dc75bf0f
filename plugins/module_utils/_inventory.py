# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live cluster says of its nodes and guests, as hosts of an inventory. Private to this collection.

Pure but for :func:`observe`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._client import Client
from ._pure.lists import natural_sorted, split_list

NODE, GUEST = "node", "guest"
NONE = "none"


@dataclass(frozen=True)
class Host:
    """One host of the inventory: its name, its variables, and the groups of each dimension that it belongs to."""

    name: str
    variables: dict[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


def observe(client: Client) -> dict[str, Any]:
    """Two calls, whatever the cluster's size: who is in it, and what there is. Plain data without secrets.

    A dead member's guests are in the list with the status ``unknown`` (facts §5).
    """
    kinds = ("node", "qemu", "lxc")
    resources = client.get("/cluster/resources")
    return {
        "status": client.get("/cluster/status"),
        "resources": [each for each in resources if each.get("type") in kinds],
    }


def hosts_of(
    clusters: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], *, names: str = "name", templates: bool = False
) -> list[Host]:
    """The hosts of all clusters, each given as its settings and what :func:`observe` returned.

    The settings are ``name`` (for a standalone node; else the cluster's own), ``sites`` (node to site) and
    ``site_tag``. Guests whose names are not unique are called NAME-VMID, or NAME-VMID-CLUSTER if that is not either.
    """
    described: list[tuple[str, dict[str, Any]]] = []
    for settings, seen in clusters:
        name = cluster_name(seen) or str(settings.get("name") or "")
        described += [(name, each) for each in _nodes(settings, seen)]
        described += [(name, each) for each in _guests(settings, seen) if templates or not each["pve_template"]]
    called = _names(described, names)
    return [
        Host(host, {**variables, **_cluster(cluster)}, groups_of(cluster, variables))
        for host, (cluster, variables) in zip(called, described, strict=True)
    ]


def cluster_name(seen: Mapping[str, Any]) -> str:
    """What the cluster is called; empty for a standalone node."""
    return next((str(entry["name"]) for entry in seen["status"] if entry.get("type") == "cluster"), "")


def group_name(text: str) -> str:
    """A text as the name of a group: what Ansible does not take becomes an underscore."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in text)


def groups_of(cluster: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """The groups of a node or guest: one a dimension, so that they can be intersected."""
    prefix = group_name(cluster)
    groups = [f"pve_{variables['pve_kind']}s", f"pve_status_{group_name(variables['pve_status'])}"]
    if variables.get("pve_site"):
        groups.append(f"pve_site_{group_name(variables['pve_site'])}")
    if variables["pve_kind"] == NODE:
        return (*groups, prefix) if prefix else tuple(groups)
    if prefix:
        groups.append(f"{prefix}_guests")
    groups.append(f"pve_node_{group_name(variables['pve_node'])}")
    groups.append(f"pve_ha_{group_name(variables['pve_ha_state'])}")
    if variables["pve_pool"]:
        groups.append(f"pve_pool_{group_name(variables['pve_pool'])}")
    groups += [f"pve_tag_{group_name(tag)}" for tag in variables["pve_tags"]]
    return tuple(groups)


def _cluster(name: str) -> dict[str, str]:
    return {"pve_cluster_name": name, "pve_cluster_group": group_name(name)} if name else {}


def _nodes(settings: Mapping[str, Any], seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    usage = {str(each["node"]): each for each in seen["resources"] if each["type"] == "node"}
    nodes = {str(entry["name"]): entry for entry in seen["status"] if entry.get("type") == "node"}
    sites = settings.get("sites") or {}
    return [
        {
            "pve_kind": NODE,
            "pve_node": name,
            "pve_address": nodes[name].get("ip"),
            "pve_status": "online" if int(nodes[name].get("online") or 0) else "offline",
            **({"pve_site": str(sites[name])} if name in sites else {}),
            "pve_cpus": usage.get(name, {}).get("maxcpu"),
            "pve_memory": usage.get(name, {}).get("maxmem"),
        }
        for name in natural_sorted(nodes)
    ]


def _guests(settings: Mapping[str, Any], seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    sites = settings.get("sites") or {}
    guests = sorted((each for each in seen["resources"] if each["type"] != "node"), key=lambda each: int(each["vmid"]))
    found = []
    for guest in guests:
        tags = natural_sorted(split_list(guest.get("tags") or ""))
        site = _site_by_tag(tags, settings.get("site_tag")) or sites.get(guest["node"])
        found.append(
            {
                "pve_kind": GUEST,
                "pve_vmid": int(guest["vmid"]),
                "pve_type": guest["type"],
                "pve_name": str(guest.get("name") or guest["vmid"]),
                "pve_node": str(guest["node"]),
                "pve_status": str(guest.get("status") or "unknown"),
                **({"pve_site": str(site)} if site else {}),
                "pve_tags": tags,
                "pve_pool": str(guest.get("pool") or ""),
                "pve_ha_state": str(guest.get("hastate") or NONE),
                "pve_template": bool(int(guest.get("template") or 0)),
                "pve_cpus": guest.get("maxcpu"),
                "pve_memory": guest.get("maxmem"),
                "pve_disk": guest.get("maxdisk"),
            }
        )
    return found


def _site_by_tag(tags: Sequence[str], prefix: str | None) -> str:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), "") if prefix else ""


def _names(described: Sequence[tuple[str, Mapping[str, Any]]], rule: str) -> list[str]:
    def plain(entry: tuple[str, Mapping[str, Any]]) -> str:
        cluster, variables = entry
        if variables["pve_kind"] == NODE:
            return str(variables["pve_node"])
        return f"{cluster}-{variables['pve_vmid']}" if rule == "vmid" else str(variables["pve_name"])

    def longer(entry: tuple[str, Mapping[str, Any]]) -> str:
        cluster, variables = entry
        if variables["pve_kind"] == NODE:
            return f"{variables['pve_node']}-{cluster}"
        return f"{variables['pve_name']}-{variables['pve_vmid']}"

    called = [plain(entry) for entry in described]
    nodes = {name for name, (_host, variables) in zip(called, described, strict=True) if variables["pve_kind"] == NODE}
    for unique in (longer, lambda entry: f"{longer(entry)}-{entry[0]}"):
        count = Counter(called)
        only_nodes = Counter(
            name for name, (_host, each) in zip(called, described, strict=True) if each["pve_kind"] == NODE
        )
        called = [
            # a guest that is called like a node gives way to it
            unique(entry)
            if count[name] > 1 and (entry[1]["pve_kind"] != NODE or only_nodes[name] > 1 or name not in nodes)
            else name
            for name, entry in zip(called, described, strict=True)
        ]
    return called
