# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster says of itself: the module ``cluster_info``. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api
from ._client import Client
from ._errors import ApiError, QuorateError
from ._ha import read_status
from ._membership import Membership, links_of, read_membership, read_votes
from ._parallel import side_by_side
from ._pure.lists import natural_sorted, split_list
from ._spec import Item

DETAILS = ("nodes", "versions", "subscriptions", "ha", "storages")
"""What is read only if it is asked for."""

_SIZES = {"uptime": "uptime", "cpus": "maxcpu", "cpu": "cpu", "memory": "maxmem", "memory_used": "mem"}
"""A node's settings by what GET /nodes calls them: seconds, processors, part of them, bytes."""


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    client = Api.open(params, check_mode).client
    details = set(params["details"])
    membership = read_membership(client)
    configured = {str(node["node"]): node for node in client.get("/cluster/config/nodes")}
    votes = read_votes(client, membership, configured.values())
    present = [name for name, member in membership.members.items() if member.online]
    rows = {str(row["node"]): row for row in client.get("/nodes")} if "nodes" in details else {}
    versions = _of_each(client, present, "version") if "versions" in details else {}
    subscriptions = _of_each(client, present, "subscription") if "subscriptions" in details else {}
    nodes = [
        {
            "name": name,
            "nodeid": member.nodeid,
            "votes": votes.of.get(name, 1),
            "address": member.address,
            "online": member.online,
            "local": member.local,
            "links": [
                {"number": number, "address": address} for number, address in links_of(configured.get(name, {})).items()
            ],
            "fingerprint": rows.get(name, {}).get("ssl_fingerprint"),
            **{own: rows.get(name, {}).get(theirs) for own, theirs in _SIZES.items()},
            "version": (versions.get(name) or {}).get("version"),
            "subscription": _subscription(subscriptions.get(name)),
        }
        for name, member in membership.members.items()
    ]
    return {
        "changed": False,
        "cluster": membership.cluster,
        "quorate": membership.quorate,
        "config_version": membership.config_version,
        "nodes": nodes,
        "links": sorted({number for node in configured.values() for number in links_of(node)}),
        "votes": {
            "expected": votes.expected,
            "present": votes.present,
            "quorum": votes.quorum,
            "witness": votes.witness,
        },
        "totem": client.get("/cluster/config/totem"),
        "version": client.get("/version"),
        **({"ha": _ha(client)} if "ha" in details else {}),
        **({"storages": _storages(client, membership)} if "storages" in details else {}),
        **({"resources": client.get("/cluster/resources")} if params["resources"] else {}),
        "calls": len(client.calls),
    }


def _of_each(client: Client, nodes: Sequence[str], what: str) -> dict[str, Mapping[str, Any]]:
    """GET /nodes/{node}/``what`` of every node. One that is away or refuses is left out."""
    answers = side_by_side(lambda node: client.get(f"/nodes/{node}/{what}"), nodes)
    found = {}
    for node, answer in zip(nodes, answers, strict=True):
        if not isinstance(answer, QuorateError):
            found[node] = answer
        elif not isinstance(answer, ApiError):
            raise answer
    return found


def _subscription(seen: Mapping[str, Any] | None) -> Item | None:
    names = {"status": "status", "level": "level", "product": "productname", "next_due": "nextduedate"}
    return {own: seen.get(theirs) for own, theirs in names.items()} if seen is not None else None


def _ha(client: Client) -> Item:
    status = read_status(client)
    return {
        "quorate": status.quorate,
        "master": (status.master or {}).get("node"),
        "fencing": status.fencing,
        "nodes": status.lrm,
        "services": [
            {name: getattr(service, name) for name in ("sid", "node", "state", "request_state")}
            for service in status.services.values()
        ],
    }


def _storages(client: Client, membership: Membership) -> list[Item]:
    """What is configured, with what each node says of it."""
    rows = client.get("/cluster/resources", type="storage")
    found = []
    for entry in sorted(client.get("/storage"), key=lambda each: str(each["storage"])):
        name = str(entry["storage"])
        own = {str(row["node"]): row for row in rows if row["storage"] == name}
        found.append(
            {
                "storage": name,
                "type": entry["type"],
                "content": natural_sorted(split_list(str(entry.get("content") or ""))),
                "shared": bool(int(next((row.get("shared", 0) for row in own.values()), entry.get("shared", 0)))),
                "enabled": not int(entry.get("disable") or 0),
                "nodes": [
                    {
                        "node": node,
                        "available": own[node].get("status") == "available" and membership.members[node].online,
                        "total": own[node].get("maxdisk"),
                        "used": own[node].get("disk"),
                    }
                    for node in natural_sorted(set(own) & set(membership.members))
                ],
            }
        )
    return found
