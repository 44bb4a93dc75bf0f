# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at nodes before a cluster is made of them. Private to this collection.

Everything is read from all nodes side by side, then judged; what is found is returned at once and never raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ._api import Result
from ._client import Client, Connection
from ._errors import ApiError, ConnectError, LoginError, QuorateError, TrustError
from ._hosts import Hosts
from ._machine import Machine, read_machine
from ._membership import Membership, read_membership
from ._mentions import LISTS, Mention, Reader, mentions
from ._parallel import side_by_side
from ._paths import Measured, measure, paths_between
from ._preflight_checks import judge
from ._preflight_look import Look, Site, Wishes
from ._preflight_promised import links_there, pending
from ._shell import Login
from ._trust import shown_fingerprint


@dataclass
class _Known:
    """What members of the cluster know of the others: certificates, and who is online."""

    fingerprints: dict[str, str] = field(default_factory=dict)
    membership: Membership | None = None
    resources: Sequence[Mapping[str, Any]] = ()
    strays: Sequence[Mention] = ()
    unread: Sequence[str] = ()
    calls: int = 0


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``preflight``."""
    connection = Connection.from_params(params)
    nodes = [
        {**node, "where": node.get("where") or f"nodes[{i}] ({node['name']})"} for i, node in enumerate(params["nodes"])
    ]
    calls = 0
    looks: list[Look] = []
    for node, result in zip(nodes, side_by_side(lambda node: _look(connection, node, params), nodes), strict=True):
        look = result if isinstance(result, Look) else Look(node, error=result)
        calls += look.calls
        looks.append(look)
    known = _ask_member(connection, looks, params)
    calls += known.calls
    for index, look in enumerate(looks):
        if look.error is not None and look.name in known.fingerprints:
            looks[index] = _look_again(connection, look, params, known)
            calls += looks[index].calls
    measured = _measure(params, looks) if params["measure"] else None
    site = Site(
        params["cluster"],
        looks,
        known.membership,
        _wishes(params),
        measured,
        known.resources,
        known.strays,
        known.unread,
    )
    findings = judge(site, params["severity"] or {})
    return {
        "changed": False,
        "findings": [finding.describe() for finding in findings],
        "errors": sum(finding.severity == "error" for finding in findings),
        "text": "\n".join(str(finding) for finding in findings if finding.severity != "info"),
        "pending": pending(site),
        "members": list(known.membership.members) if known.membership else [],
        "nodes": [look.summary() for look in looks if look.error is None],
        "measured": [_shown(each) for each in measured or ()],
        "calls": calls,
    }


def _wishes(params: Mapping[str, Any]) -> Wishes:
    names = ("zfs_pools", "ceph_osds", "networks", "guests", "storages", "replication_jobs", "interfaces")
    lists = {name: params[name] or [] for name in names}
    return Wishes(**lists, ceph=params["ceph"], witness=params["witness"], load_max=params["load_max"])


def _measure(params: Mapping[str, Any], looks: list[Look]) -> list[Measured]:
    """Ask the hosts themselves, over SSH, side by side; then measure between them."""
    # one that does not answer has been found already
    nodes = [look.node for look in looks if not isinstance(look.error, ConnectError)]
    names, addresses = [node["name"] for node in nodes], [node["address"] for node in nodes]
    entries = [{"node": node["name"], "address": node["address"], "host_key": node["host_key"]} for node in nodes]
    with Hosts(entries, Login.from_params(params)) as hosts:
        answers = hosts.on_all(lambda shell: read_machine(shell, names, addresses))
        for look in looks:
            answer = answers.get(look.name)
            if isinstance(answer, Machine):
                look.machine = answer
            else:
                look.shell_error = answer
        machines = {look.name: look.machine for look in looks if look.machine is not None}
        there = [links_there(look, params["interfaces"]) for look in looks if look.node in nodes]
        return measure(hosts, paths_between(there, params["networks"] or [], machines), params["packets"])


def _shown(measured: Measured) -> dict[str, Any]:
    path = measured.path
    return {
        "on": path.name,
        "source": path.source,
        "target": path.target,
        "milliseconds": measured.average,
        "deviation": measured.deviation,
        "loss": measured.loss,
        "mtu": path.mtu if measured.full_size else None,
    }


def _connection(connection: Connection, node: Mapping[str, Any], fingerprint: str | None) -> Connection:
    if connection.password or node.get("password"):
        return connection.to(
            node["address"], fingerprint=fingerprint, user=node.get("user"), password=node.get("password")
        )
    return replace(connection, hosts=(node["address"],), fingerprints=(fingerprint,) if fingerprint else ())


def _look(
    connection: Connection, node: Mapping[str, Any], params: Mapping[str, Any], fingerprint: str | None = None
) -> Look:
    """Read everything that is to be judged from one node."""
    own = _connection(connection, node, fingerprint or node.get("fingerprint"))
    client = Client(own)
    look = Look(node)
    try:
        look.version = str(client.get("/version")["version"])
        look.membership = read_membership(client)
        name = look.membership.local
        if look.membership.cluster is None:
            look.guests = sorted(int(guest["vmid"]) for guest in client.get("/cluster/resources", type="vm"))
        if node.get("links"):
            look.networks = list(client.get(f"/nodes/{name}/network"))
        with_disks = [*(params["zfs_pools"] or []), *(params["ceph_osds"] or [])]
        if any(element.get("node") in ("*", node["name"]) for element in with_disks):
            look.disks = list(client.get(f"/nodes/{name}/disks/list", skipsmart=1))
            look.pools = [str(pool["name"]) for pool in client.get(f"/nodes/{name}/disks/zfs")]
        if params["measure"]:
            look.subscription = _optional(client, f"/nodes/{name}/subscription")
            look.repositories = _optional(client, f"/nodes/{name}/apt/repositories")
    except QuorateError as error:
        look.error = error
    finally:
        look.calls = len(client.calls)
        client.close()
    return look


def _optional(client: Client, path: str) -> Any:
    """What the user may not see, or the server does not have, is not judged."""
    try:
        return client.get(path)
    except ApiError:
        return None


def _ask_member(connection: Connection, looks: Sequence[Look], params: Mapping[str, Any]) -> _Known:
    """A node that joined has another certificate than the inventory says: a member knows which."""
    members = [look for look in looks if look.membership is not None and look.membership.cluster == params["cluster"]]
    if not members:
        return _Known()
    best = next((look for look in members if look.membership and look.membership.quorate), members[0])
    known = _Known({}, best.membership)
    silent = any(look.error is not None for look in looks)
    if not silent and not params["measure"]:
        return known
    client = Client(_connection(connection, best.node, best.node.get("fingerprint")))
    try:
        if silent:
            entries = client.get("/nodes")
            known.fingerprints = {str(each["node"]): str(each.get("ssl_fingerprint") or "").upper() for each in entries}
        if params["measure"]:
            known.resources = _optional(client, "/cluster/resources") or []
            names = {look.name for look in looks} | set(best.membership.members if best.membership else ())
            read = Reader(client)
            read.ahead(LISTS)
            known.strays = list(mentions(read, lambda name: name not in names))
            known.unread = read.unread
    except (ApiError, ConnectError, LoginError, TrustError):
        return known
    finally:
        known.calls = len(client.calls)
        client.close()
    return known


def _look_again(connection: Connection, look: Look, params: Mapping[str, Any], known: _Known) -> Look:
    """A member that could not be asked at first: with its new certificate, or else as a member that is offline."""
    try:
        shown = shown_fingerprint(look.node["address"], connection.port, connection.timeout)
    except ConnectError:
        return replace(look, offline_member=True)
    if shown != known.fingerprints[look.name]:
        return look
    again = _look(connection, look.node, params, shown)
    return replace(again, new_certificate=shown, calls=again.calls)
