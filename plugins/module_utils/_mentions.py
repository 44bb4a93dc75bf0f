# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a cluster's configuration names a node that leaves, or is no member any more. Private to this collection.

The server keeps all of it when a node is taken out (facts §6.4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._client import Client
from ._errors import GROUPS_MIGRATED, ApiError
from ._parallel import all_or_error, side_by_side
from ._plan import DELETE, UPDATE, Change, simple_change
from ._pure.lists import split_list

STORAGES, HA, REPLICATION, FIREWALL, MAPPINGS = "storages", "ha", "replication", "firewall", "mappings"
BACKUP, SDN, ACCESS, NOTIFICATIONS, ACME, METRICS = "backup", "sdn", "access", "notifications", "acme", "metrics"
TRIMMED = (STORAGES, HA, REPLICATION, FIREWALL, MAPPINGS)
"""What can be struck out. The node of a backup job, an alias, or a network is the operator's to choose."""

SETS, ALIASES = "/cluster/firewall/ipset", "/cluster/firewall/aliases"
MATCHERS, PLUGINS = "/cluster/notifications/matchers", "/cluster/acme/plugins"
FABRIC_NODES, METRIC_SERVERS = "/cluster/sdn/fabrics/node", "/cluster/metrics/server"
RULES, GROUPS = "/cluster/firewall/rules", "/cluster/firewall/groups"
DEVICES = ("pci", "usb", "dir")
LISTS = (
    *("/storage", "/cluster/ha/rules", "/cluster/ha/groups", "/cluster/replication", "/cluster/backup"),
    *(f"/cluster/mapping/{kind}" for kind in DEVICES),
    *("/cluster/sdn/zones", "/cluster/sdn/controllers", FABRIC_NODES, MATCHERS, PLUGINS, "/access/acl"),
)
"""All that :func:`mentions` reads."""
SERVERS = ("server", "server2", "portal", "monhost")
"""Where a storage names the host that has it."""
PLAIN_NAMES = re.compile(r"\^?\(?(?:\?:)?([A-Za-z0-9-]+(?:\|[A-Za-z0-9-]+)*)\)?\$?")
"""A regular expression that is just a list of names; of others it cannot be told whom they mean."""


@dataclass(frozen=True)
class Mention:
    """Something that names nodes. ``names``: those that it should not name; ``before`` and ``after``: the list as it
    is, and without them; ``fields``: what sets it so. ``whole``: it is of no use without them, and goes as a whole.
    """

    kind: str
    name: str
    names: tuple[str, ...]
    path: str
    before: str
    after: str = ""
    whole: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def removable(self) -> bool:
        """Whether anything is left of it, or need be."""
        return self.kind in TRIMMED and (self.whole or bool(self.after))

    def change(self) -> Change:
        """Striking them out, in words."""
        if self.whole:
            return simple_change(DELETE, "entry", self.name, {}, {"names": self.before})
        return simple_change(UPDATE, "nodes of", self.name, {"nodes": self.after}, {"nodes": self.before})

    def remove(self, client: Client) -> None:
        """Strike them out. Of a replication job the entry alone goes: its scheduler would wait for its target."""
        if self.whole:
            client.delete(self.path, {"force": 1} if self.kind == REPLICATION else None)
        else:
            client.put(self.path, self.fields)


class Reader:
    """Lists of the server's, each read once. What this version does not have is empty; so is what the login may not
    see, and ``unread`` says so: what names a node there is not told.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.unread: list[str] = []
        self._read: dict[str, list[Mapping[str, Any]]] = {}

    def __call__(self, path: str) -> list[Mapping[str, Any]]:
        """The list at a path. Raises ApiError."""
        if path not in self._read:
            self._read[path] = self._get(path)
        return self._read[path]

    def ahead(self, paths: Sequence[str]) -> None:
        """Read lists that will be needed side by side. Raises ApiError."""
        for path, found in zip(paths, all_or_error(side_by_side(self._get, paths)), strict=True):
            self._read[path] = found
        self.unread.sort()

    def _get(self, path: str) -> list[Mapping[str, Any]]:
        try:
            return list(self.client.get(path) or ())
        except ApiError as error:
            if error.status == 403:
                self.unread.append(f"{path}: {error.text}")
            elif not error.unknown_path and not error.says(GROUPS_MIGRATED):
                raise
            return []


def mentions(read: Reader, gone: Callable[[str], bool]) -> Iterator[Mention]:
    """Everything that names nodes which are ``gone``."""
    for storage in read("/storage"):
        name = str(storage["storage"])
        yield from _list(STORAGES, f"storage {name}", f"/storage/{name}", storage, gone)
    for rule in read("/cluster/ha/rules"):
        name = str(rule["rule"])
        more = {"type": rule.get("type")}
        yield from _list(HA, f"HA rule {name}", f"/cluster/ha/rules/{name}", rule, gone, more)
    for group in read("/cluster/ha/groups"):
        name = str(group["group"])
        yield from _list(HA, f"HA group {name}", f"/cluster/ha/groups/{name}", group, gone)
    for job in read("/cluster/replication"):
        target, name = str(job.get("target") or ""), str(job["id"])
        if target and gone(target):
            path = f"/cluster/replication/{name}"
            yield Mention(REPLICATION, f"replication job {name}", (target,), path, target, whole=True)
    for job in read("/cluster/backup"):
        if job.get("node") and gone(str(job["node"])):
            name, node = str(job["id"]), str(job["node"])
            yield Mention(BACKUP, f"backup job {name}", (node,), f"/cluster/backup/{name}", node)
    for kind in DEVICES:
        for mapping in read(f"/cluster/mapping/{kind}"):
            yield from _devices(kind, mapping, gone)
    yield from _networks(read, gone)
    yield from _others(read, gone)
    for entry in read("/access/acl"):
        root, _slash, name = str(entry["path"]).strip("/").partition("/")
        if root == "nodes" and name and gone(name):
            who = f"{entry['ugid']} ({entry['roleid']})"
            yield Mention(ACCESS, f"the right of {who}", (name,), "/access/acl", str(entry["path"]))


def _devices(kind: str, mapping: Mapping[str, Any], gone: Callable[[str], bool]) -> Iterator[Mention]:
    """Each entry of a mapping says where one node has the device, ``node=pve3,path=…``."""
    owners = {str(text): _node_in(str(text)) for text in mapping.get("map") or ()}
    names = tuple(sorted({node for node in owners.values() if node and gone(node)}))
    if names:
        left = [text for text, node in owners.items() if node not in names]
        name, path = f"{kind} mapping {mapping['id']}", f"/cluster/mapping/{kind}/{mapping['id']}"
        yield Mention(MAPPINGS, name, names, path, "; ".join(owners), "; ".join(left), fields={"map": left})


def _networks(read: Reader, gone: Callable[[str], bool]) -> Iterator[Mention]:
    """A change of these comes into effect on all nodes at once when somebody applies it, so they are named only."""
    for kind, label, keys in (
        ("zones", "zone", ("nodes", "exitnodes", "exitnodes-primary")),
        ("controllers", "controller", ("nodes", "node")),
    ):
        for each in read(f"/cluster/sdn/{kind}"):
            name = str(each[label])
            for key in keys:
                listed = split_list(str(each.get(key) or ""))
                if strays := tuple(node for node in listed if gone(node)):
                    path = f"/cluster/sdn/{kind}/{name}"
                    yield Mention(SDN, f"{key} of SDN {label} {name}", strays, path, ",".join(listed))
    for each in read(FABRIC_NODES):
        fabric, node = str(each["fabric_id"]), str(each["node_id"])
        path = f"{FABRIC_NODES}/{fabric}/{node}"
        if gone(node):
            yield Mention(SDN, f"SDN fabric {fabric}", (node,), path, node)
        for peer in map(str, each.get("peers") or ()):
            if (other := _node_in(peer)) and gone(other):
                yield Mention(SDN, f"{node}'s peers in SDN fabric {fabric}", (other,), path, peer)


def _others(read: Reader, gone: Callable[[str], bool]) -> Iterator[Mention]:
    """What is sent in the node's name, and what proves its name to an authority."""
    for each in read(MATCHERS):
        for rule in map(str, each.get("match-field") or ()):
            if strays := tuple(filter(gone, _hosts_in(rule))):
                name = str(each["name"])
                yield Mention(NOTIFICATIONS, f"notification matcher {name}", strays, f"{MATCHERS}/{name}", rule)
    for each in read(PLUGINS):
        listed = split_list(str(each.get("nodes") or ""))
        if strays := tuple(filter(gone, listed)):
            name = str(each["plugin"])
            yield Mention(ACME, f"ACME plugin {name}", strays, f"{PLUGINS}/{name}", ",".join(listed))


def _hosts_in(rule: str) -> list[str]:
    """The hosts that a rule of a matcher is about: ``exact:hostname=pve1,pve2``, ``regex:hostname=^(pve1|pve2)$``."""
    kind, _colon, rest = rule.partition(":")
    field_, _equals, value = rest.partition("=")
    if field_ != "hostname":
        return []
    if kind == "exact":
        return split_list(value)
    plain = PLAIN_NAMES.fullmatch(value)
    return plain[1].split("|") if plain else []


def _node_in(entry: str) -> str:
    """The node of a property string with ``node=pve3``."""
    return next((part[len("node=") :] for part in entry.split(",") if part.startswith("node=")), "")


def addresses_elsewhere(read: Reader, node: str, addresses: Collection[str]) -> Iterator[Mention]:
    """What is reached at a node, by its name or one of its addresses: peers of networks, storages, metric servers."""
    for kind, label in (("zones", "zone"), ("controllers", "controller")):
        for each in read(f"/cluster/sdn/{kind}"):
            if found := set(addresses) & set(listed := split_list(str(each.get("peers") or ""))):
                name = str(each[label])
                path = f"/cluster/sdn/{kind}/{name}"
                yield Mention(
                    SDN, f"peers of SDN {label} {name}", (node,), path, ",".join(sorted(found, key=listed.index))
                )
    known = {node, *addresses}
    for each in read("/storage"):
        for key in SERVERS:
            if found := known & set(split_list(str(each.get(key) or ""))):
                name = str(each["storage"])
                yield Mention(
                    STORAGES, f"{key} of storage {name}", (node,), f"/storage/{name}", ",".join(sorted(found))
                )
    for each in read(METRIC_SERVERS):
        if str(each.get("server")) in known:
            name = str(each["id"])
            yield Mention(METRICS, f"metric server {name}", (node,), f"{METRIC_SERVERS}/{name}", str(each["server"]))


def addresses_in_firewall(read: Reader, node: str, addresses: Collection[str]) -> Iterator[Mention]:
    """Members of the cluster's IP sets, aliases and rules with addresses of a node: the firewall knows no names."""
    wanted = {form for address in addresses for form in (address, f"{address}/32", f"{address}/128")}
    for each in read(SETS):
        name = str(each["name"])
        for entry in read(f"{SETS}/{name}"):
            address = str(entry["cidr"])
            if address in wanted:
                label, path = f"{address} in IP set {name}", f"{SETS}/{name}/{address}"
                yield Mention(FIREWALL, label, (node,), path, address, whole=True)
    for each in read(ALIASES):
        if str(each["cidr"]) in wanted:
            name = str(each["name"])
            yield Mention(FIREWALL, f"alias {name}", (node,), f"{ALIASES}/{name}", str(each["cidr"]))
    groups = [str(each["group"]) for each in read(GROUPS)]
    places = [(RULES, "of the cluster"), *((f"{GROUPS}/{name}", f"of security group {name}") for name in groups)]
    for path, of in places:
        for rule in read(path):
            found = wanted & {*split_list(str(rule.get("source") or "")), *split_list(str(rule.get("dest") or ""))}
            if found:
                label = f"firewall rule {rule['pos']} {of}"
                yield Mention(FIREWALL, label, (node,), f"{path}/{rule['pos']}", ", ".join(sorted(found)))


def _list(
    kind: str,
    name: str,
    path: str,
    entry: Mapping[str, Any],
    gone: Callable[[str], bool],
    more: Mapping[str, Any] | None = None,
) -> Iterator[Mention]:
    """A comma-separated list of nodes, with priorities or without."""
    listed = sorted(filter(None, str(entry.get("nodes") or "").split(",")))
    left = [each for each in listed if not gone(each.partition(":")[0])]
    if left != listed:
        names = tuple(each.partition(":")[0] for each in listed if each not in left)
        fields = {"nodes": ",".join(left), **(more or {})}
        yield Mention(kind, name, names, path, ",".join(listed), ",".join(left), fields=fields)
