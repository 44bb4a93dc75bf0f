# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables of one cluster: what can be known to be wrong without asking a server.

Every finding names the path into the variables, what is wrong there and what would be right. Private to this
collection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ._ha_replicas import RESOURCE_AFFINITY, in_force, replica_problems
from ._plain import bare
from ._site_access import access_problems
from ._site_acme import acme_problems
from ._site_backup import backup_problems, backup_server_problems
from ._site_ceph import ceph_problems
from ._site_nodes import Node
from ._site_notifications import notification_problems
from ._site_types import type_problems
from ._site_votes import severity_problems, voter_problems, witness_problems

Element = Mapping[str, Any]
Check = Callable[[Mapping[str, Any], list[Node]], Iterator[str]]


@dataclass(frozen=True)
class Elements:
    """What is common to the elements of one list variable.

    `key`: the fields that name an element, together unique. `nodes`: fields with the name of a node, a list of names,
    or a mapping from names. `every`: "*" stands for all nodes.
    """

    key: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    every: bool = False


LISTS = {
    "pve_links": Elements(key=("number",)),
    "pve_zfs_pools": Elements(key=("node", "name"), nodes=("node",), every=True),
    "pve_storages": Elements(key=("storage",), nodes=("nodes",)),
    "pve_guests": Elements(key=("vmid",), nodes=("node",)),
    "pve_replication_jobs": Elements(key=("guest", "target"), nodes=("target",)),
    "pve_ceph_pools": Elements(key=("name",)),
    "pve_ha_affinity": Elements(key=("name",), nodes=("nodes",)),
    "pve_ha_resources": Elements(key=("sid",)),
    "pve_backup_storages": Elements(key=("storage",), nodes=("nodes",)),
    "pve_backup_jobs": Elements(key=("id",), nodes=("node",)),
    "pve_users": Elements(key=("userid",)),
    "pve_groups": Elements(key=("groupid",)),
    "pve_roles": Elements(key=("roleid",)),
    "pve_realms": Elements(key=("realm",)),
    "pve_realm_sync_jobs": Elements(key=("id",)),
    "pve_api_tokens": Elements(key=("tokenid",)),
    "pve_acls": Elements(key=("path", "auth_id", "role")),
    "pve_pools": Elements(key=("poolid",)),
    "pve_notification_endpoints": Elements(key=("name",)),
    "pve_notification_matchers": Elements(key=("name",)),
    "pve_metric_servers": Elements(key=("id",)),
    "pve_backup_classes": Elements(key=("name",)),
    "pve_repositories": Elements(key=("node", "handle"), nodes=("node",), every=True),
    "pve_subscriptions": Elements(key=("node",), nodes=("node",), every=True),
    "pve_dns": Elements(key=("node",), nodes=("node",), every=True),
    "pve_hosts_entries": Elements(key=("node",), nodes=("node",), every=True),
    "pve_time_zones": Elements(key=("node",), nodes=("node",), every=True),
    "pve_systems": Elements(key=("node",), nodes=("node",), every=True),
    "pve_network_interfaces": Elements(key=("node", "name"), nodes=("node",), every=True),
    "pve_certificates": Elements(key=("node",), nodes=("node",), every=True),
    "pve_acme_accounts": Elements(key=("name",)),
    "pve_acme_plugins": Elements(key=("id",), nodes=("nodes",)),
    "pve_acme_domains": Elements(key=("node",), nodes=("node",), every=True),
    "pve_acme_certificates": Elements(key=("node",), nodes=("node",), every=True),
    "pve_security_groups": Elements(key=("name",)),
    "pbs_datastores": Elements(key=("name",)),
    "pbs_namespaces": Elements(key=("store", "ns")),
    "pbs_users": Elements(key=("userid",)),
    "pbs_tokens": Elements(key=("tokenid",)),
    "pbs_acls": Elements(key=("path", "auth_id", "role")),
    "pbs_prune_jobs": Elements(key=("id",)),
    "pbs_verify_jobs": Elements(key=("id",)),
    "pbs_remotes": Elements(key=("name",)),
    "pbs_sync_jobs": Elements(key=("id",)),
    "pbs_traffic_controls": Elements(key=("name",)),
    "pbs_notification_endpoints": Elements(key=("name",)),
    "pbs_notification_matchers": Elements(key=("name",)),
}


def problems(variables: Mapping[str, Any], nodes: list[Node]) -> list[str]:
    """Everything that is wrong with `variables` (name to value; None = left alone) for a cluster of `nodes`.

    ansible-core before 2.19 makes an empty text of the None that a template with a filter gives.
    """
    given = {name: bare(value) for name, value in variables.items() if value is not None and value != ""}
    found = [problem for name, value in given.items() for problem in type_problems(name, value)]
    if found:  # the checks below rely on the types
        return found
    node_names = {node["name"] for node in nodes}
    for name in [name for name in given if name in LISTS]:
        found += list_problems(name, given[name], node_names)
    for check in CHECKS:
        found += check(given, nodes)
    return found


def list_problems(name: str, value: list[Element], node_names: set[str]) -> list[str]:
    """Repeated keys and unknown nodes in the list variable `name`."""
    rules = LISTS[name]
    found: list[str] = []
    first_with: dict[tuple[str, ...], int] = {}
    for index, element in enumerate(value):
        key = tuple(str(element[field]) for field in rules.key)
        where = path(name, index, element)
        if key in first_with:
            found.append(
                f"{where}: the same {' and '.join(rules.key)} as {name}[{first_with[key]}]. Remove one of them."
            )
        first_with.setdefault(key, index)
        if element.get("state") == "absent":
            continue
        for field in rules.nodes:
            for node in _names(element.get(field)):
                if node not in node_names and not (rules.every and node == "*"):
                    known = ", ".join(sorted(node_names))
                    found.append(f"{where}: {field} names {node}, which is no node of this cluster ({known}).")
    return found


def path(name: str, index: int, element: Element) -> str:
    """`pve_guests[3] (104)`: where an element stands, and what it is called."""
    return f"{name}[{index}] ({' '.join(str(element[field]) for field in LISTS[name].key)})"


def _names(value: Any) -> Iterable[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _cluster_name(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    # facts: a label of at most 15 characters, no underscore
    name = variables.get("pve_cluster_name")
    if name is not None and not re.fullmatch(r"(?=.{1,15}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", str(name)):
        yield (
            f"pve_cluster_name ({name}): must be 1 to 15 letters, digits and hyphens, "
            "beginning and ending with a letter or digit."
        )


def _node_identity(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Hosts without an address, and two hosts with one node name or one address."""
    hosts_of: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        if not node["address"]:
            yield f"{node['where']}: pve_address is missing: the address of the node's API."
        for what, value in _identities(node):
            hosts_of.setdefault((what, value), []).append(node["where"])
    for (what, value), hosts in hosts_of.items():
        if len(hosts) > 1:
            yield f"{' and '.join(hosts)}: both have {what} {value}. Each host of a cluster needs its own."


def _identities(node: Node) -> set[tuple[str, str]]:
    links = {link["address"] for link in node["links"]} | {node["address"]}
    return {("the node name (pve_node)", node["name"])} | {
        ("the address (pve_address, pve_link_addresses)", address) for address in links if address
    }


def _links(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Links as corosync's knet transport allows them: numbers 0 to 7, priorities 0 to 255, an address on each."""
    for index, link in enumerate(variables.get("pve_links") or []):
        where = path("pve_links", index, link)
        if not _whole_number(link["number"], 0, 7):
            yield f"{where}: number must be 0 to 7."
        if link.get("priority") is not None and not _whole_number(link["priority"], 0, 255):
            yield f"{where}: priority must be 0 to 255, is {link['priority']}."
        if link.get("network") is not None and not _is_network(link["network"]):
            yield f"{where}: network must be like 10.0.0.0/24, is {link['network']}."
    for node in nodes:
        seen: dict[str, int] = {}
        for link in node["links"]:
            address = link["address"]
            if not address:
                yield (
                    f"{node['where']}: no address on link {link['number']}. Set pve_link_addresses: "
                    f"{{{link['number']}: ADDRESS}} for the host, or the link's network in pve_links."
                )
            elif address in seen:
                yield f"{node['where']}: links {seen[address]} and {link['number']} have the same address {address}."
            else:
                seen[address] = link["number"]


def _whole_number(value: Any, low: int, high: int) -> bool:
    return re.fullmatch(r"\d+", str(value)) is not None and low <= int(value) <= high


def _is_network(value: Any) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


def _replication_targets(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """A guest is not replicated to the node where it is."""
    home = {str(guest["vmid"]): guest.get("node") for guest in variables.get("pve_guests") or []}
    for index, job in enumerate(variables.get("pve_replication_jobs") or []):
        if job.get("state") != "absent" and home.get(str(job["guest"])) == job["target"]:
            where = path("pve_replication_jobs", index, job)
            yield f"{where}: target is the node where pve_guests puts the guest. Name another node."


def _sids(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    for index, resource in enumerate(variables.get("pve_ha_resources") or []):
        if not re.fullmatch(r"(vm|ct):[1-9]\d+", str(resource["sid"])):
            yield f"{path('pve_ha_resources', index, resource)}: sid must be like vm:101 or ct:101."


def _affinity(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """A resource stands in at most one group or node affinity, and prefers no node if others matter to it."""
    given = variables.get("pve_ha_affinity") or []
    where = {str(one["name"]): path("pve_ha_affinity", index, one) for index, one in enumerate(given)}
    first_in: dict[str, Element] = {}
    for one in in_force(given):
        for sid in one.get("resources") or []:
            if sid in first_in:
                other = where[str(first_in[sid]["name"])]
                yield f"{where[str(one['name'])]}: {sid} stands in {other} too. A resource can have one affinity only."
            first_in.setdefault(sid, one)
    for one in in_force(given, RESOURCE_AFFINITY):
        for sid in one.get("resources") or []:
            priorities = first_in.get(sid, {}).get("nodes")
            if isinstance(priorities, Mapping) and len({int(each or 0) for each in priorities.values()}) > 1:
                yield (
                    f"{where[str(one['name'])]}: {sid} stands in {where[str(first_in[sid]['name'])]} too, which "
                    "prefers some nodes to others; the server takes one or the other. Give its nodes one priority."
                )


def _replicas(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """HA leads no replicated guest to where it has no replica."""
    names = ("pve_ha_affinity", "pve_ha_resources", "pve_replication_jobs", "pve_guests")
    yield from replica_problems(*(variables.get(name) or [] for name in names))


CHECKS: tuple[Check, ...] = (
    _cluster_name,
    _node_identity,
    _links,
    _replication_targets,
    _sids,
    _affinity,
    _replicas,
    ceph_problems,
    access_problems,
    acme_problems,
    notification_problems,
    backup_problems,
    backup_server_problems,
    witness_problems,
    voter_problems,
    severity_problems,
)
