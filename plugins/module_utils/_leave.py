# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a node out of a cluster for good, and what it leaves behind. Private to this collection.

The server's own call takes it out of corosync.conf and touches nothing else (facts §6.4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._api import Api, Result, refuse
from ._ceph import HERE, absent
from ._errors import GROUPS_MIGRATED, ApiError, ConnectError, QuorateError
from ._hosts import Hosts
from ._membership import Membership, read_links, read_membership
from ._plan import DELETE, UPDATE, Change, raise_all, simple_change
from ._shell import Login, Shell
from ._trust import forget_trust, shown_fingerprint
from ._wait import PASSING, wait_until

PROBE_TIMEOUT = 5.0
STORAGES, HA = "storages", "ha"
KNOWN_HOSTS, AUTHORIZED = "/etc/pve/priv/known_hosts", "/etc/pve/priv/authorized_keys"


@dataclass(frozen=True)
class Leftover:
    """Something that names the node: how to see whether it is there, and how to remove it."""

    what: str
    there: Callable[[Shell], bool]
    remove: Callable[[Shell], Any]


@dataclass(frozen=True)
class Mention:
    """A storage, rule or group that lists the node."""

    kind: str
    name: str
    path: str
    before: str
    after: str
    more: Mapping[str, Any]


class Departure:
    """One node that leaves."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api = api
        self.params = params
        self.node: str = params["node"]
        self.timeout = float(params["timeout"])

    def see_off(self) -> Result:
        """Take it out of the cluster and clean up after it, or find that there is nothing to do."""
        membership = read_membership(self.api.client)
        if membership.cluster is None:
            self.api.warn(f"{self.api.client.host} is not in a cluster")
            return self.api.result([], cluster=None, nodes=list(membership.members), online=False)
        known = self.node in membership.members
        addresses = list(read_links(self.api.client).get(self.node, {}).values()) if known else []
        if known:
            self._examine(membership)
        with Hosts(self.params["members"], Login.from_params(self.params)) as hosts:
            helper = next((name for name in hosts.names if name != self.node and membership.online(name)), None)
            leftovers = list(self._leftovers([*addresses, self.params["address"] or ""])) if helper else []
            there = [each for each in leftovers if helper and hosts.do(helper, each.there)]
            mentions = list(self._mentions())
            trimmed = [each for each in mentions if each.kind in self.params["trim"] and each.after]
            for mention in mentions:
                if mention not in trimmed:
                    self.api.warn(f"{mention.name} still names {self.node} ({mention.before})")
            changes = self._changes(known, there, trimmed)
            if not self.api.check_mode:
                for mention in trimmed:
                    self.api.client.put(mention.path, {"nodes": mention.after, **mention.more})
                if known:
                    self._remove(membership)
                for each in there:
                    hosts.do(str(helper), each.remove)
                if self.params["address"]:
                    forget_trust(self.api.client.connection.trust_file, self.params["address"])
        names = [name for name in membership.members if name != self.node]
        return self.api.result(changes, cluster=membership.cluster, nodes=names, online=False)

    def _changes(self, known: bool, there: Sequence[Leftover], trimmed: Sequence[Mention]) -> list[Change]:
        changes = [
            simple_change(UPDATE, "nodes of", each.name, {"nodes": each.after}, {"nodes": each.before})
            for each in trimmed
        ]
        if known:
            changes.append(simple_change(DELETE, "member", self.node, {}, {"name": self.node}))
        if there:
            before = {"leftovers": [each.what for each in there]}
            changes.append(simple_change(DELETE, "leftovers of", self.node, {}, before))
        return changes

    # before

    def _examine(self, membership: Membership) -> None:
        """Refuse, with all reasons, before anything is changed."""
        errors: list[QuorateError] = [refuse(text, where="node", hint=hint) for text, hint in self._reasons(membership)]
        raise_all(errors)

    def _reasons(self, membership: Membership) -> Iterator[tuple[str, str]]:
        if not membership.quorate:
            yield f"{membership.cluster} is not quorate", "Bring more of its nodes back first."
        if membership.local == self.node:
            yield f"{self.node} is the node that was asked", "Give another member in api_hosts."
        elif membership.online(self.node) or self._answers():
            yield f"{self.node} is on", "Switch it off for good; it must not come back with the disks as they are."
        guests = [str(each["vmid"]) for each in self.api.client.get("/cluster/resources", type="vm") if self._is(each)]
        if guests:
            yield (
                f"{self.node} has guests ({', '.join(sorted(guests))})",
                "Move them, or restore them elsewhere, first.",
            )
        jobs = [str(each["id"]) for each in self.api.client.get("/cluster/replication") if self._replicates(each)]
        if jobs:
            yield (
                f"replication jobs use {self.node} ({', '.join(sorted(jobs))})",
                "Remove them, or give them new targets.",
            )
        for kind, names in self._ceph().items():
            if names:
                yield f"{self.node} has Ceph {kind} ({', '.join(names)})", "Remove them from Ceph first."
        if self.api.client.get("/cluster/config/qdevice"):
            yield "the cluster has a witness", "Remove it first, and set it up again afterwards (witness)."

    def _answers(self) -> bool:
        if not self.params["address"]:
            return False
        connection = self.api.client.connection
        try:
            shown_fingerprint(self.params["address"], connection.port, min(PROBE_TIMEOUT, connection.timeout))
        except ConnectError:
            return False
        return True

    def _is(self, entry: Mapping[str, Any]) -> bool:
        return entry.get("node") == self.node

    def _replicates(self, job: Mapping[str, Any]) -> bool:
        return self.node in (job.get("target"), job.get("source"))

    def _ceph(self) -> dict[str, list[str]]:
        """Ceph's daemons on the node by their kind; none where Ceph is not."""
        found: dict[str, list[str]] = {}
        for kind, path in (("monitors", "mon"), ("managers", "mgr"), ("metadata servers", "mds")):
            found[kind] = sorted(str(each["name"]) for each in self._ask(path) or [] if each.get("host") == self.node)
        tree = self._ask("osd") or {}
        found["OSDs"] = sorted(_osds_of(tree.get("root") or {}, self.node))
        return found

    def _ask(self, path: str) -> Any:
        try:
            return self.api.client.get(f"{HERE}/{path}")
        except ApiError as error:
            if absent(error):
                return None
            raise

    # during

    def _remove(self, membership: Membership) -> None:
        self.api.client.delete(f"/cluster/config/nodes/{self.node}")

        def look() -> bool | None:
            now = read_membership(self.api.client)
            return True if self.node not in now.members and now.quorate else None

        wait_until(
            look,
            timeout=self.timeout,
            what=f"{membership.cluster}'s being quorate without {self.node}",
            clock=self.api.client.clock,
            passing=PASSING,
        )

    # after

    def _leftovers(self, addresses: Sequence[str]) -> Iterator[Leftover]:
        """Files of the node, and lines about it in files of all (facts §6.4)."""
        for path in (f"/etc/pve/nodes/{self.node}", f"/etc/pve/priv/lock/ha_agent_{self.node}_lock"):
            yield Leftover(path, _exists(path), _remover(path))
        names = {self.node, *filter(None, addresses)}
        yield _lines(KNOWN_HOSTS, lambda line: bool(names & set(line.partition(" ")[0].split(","))))
        yield _lines(AUTHORIZED, lambda line: line.rstrip().endswith(f" root@{self.node}"))

    def _mentions(self) -> Iterator[Mention]:
        for storage in self.api.client.get("/storage"):
            if storage.get("nodes"):
                name = str(storage["storage"])
                yield from self._mention(STORAGES, f"storage {name}", f"/storage/{name}", storage["nodes"], {})
        try:
            for rule in self.api.client.get("/cluster/ha/rules"):
                if rule.get("nodes"):
                    name, more = str(rule["rule"]), {"type": rule["type"]}
                    yield from self._mention(HA, f"HA rule {name}", f"/cluster/ha/rules/{name}", rule["nodes"], more)
        except ApiError as error:
            if not error.unknown_path:
                raise
        try:
            for group in self.api.client.get("/cluster/ha/groups"):
                name = str(group["group"])
                yield from self._mention(HA, f"HA group {name}", f"/cluster/ha/groups/{name}", group["nodes"], {})
        except ApiError as error:
            if not error.says(GROUPS_MIGRATED):
                raise

    def _mention(self, kind: str, name: str, path: str, nodes: str, more: Mapping[str, Any]) -> Iterator[Mention]:
        listed = sorted(nodes.split(","))
        kept = [each for each in listed if each.partition(":")[0] != self.node]
        if kept != listed:
            yield Mention(kind, name, path, ",".join(listed), ",".join(kept), more)


def _osds_of(tree: Mapping[str, Any], node: str) -> Iterator[str]:
    if tree.get("type") == "host" and tree.get("name") == node:
        yield from (str(each.get("name")) for each in tree.get("children") or [])
        return
    for child in tree.get("children") or []:
        yield from _osds_of(child, node)


def _exists(path: str) -> Callable[[Shell], bool]:
    return lambda shell: not shell.attempt(["test", "-e", path]).status


def _remover(path: str) -> Callable[[Shell], Any]:
    return lambda shell: shell.remove(path)


def _lines(path: str, about: Callable[[str], bool]) -> Leftover:
    def there(shell: Shell) -> bool:
        return any(map(about, (shell.read(path) or "").splitlines()))

    def remove(shell: Shell) -> None:
        lines = (shell.read(path) or "").splitlines()
        shell.write(path, "".join(f"{line}\n" for line in lines if not about(line)))

    return Leftover(re.sub(r"^/etc/pve/priv/", "lines in ", path), there, remove)
