# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a node out of a cluster for good, and what it leaves behind. Private to this collection.

The server's own call takes it out of corosync.conf and touches nothing else (facts §6.4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._api import Api, Result, refuse
from ._ceph import HERE, absent, osds_of
from ._errors import ApiError, ConnectError, QuorateError
from ._hosts import Hosts
from ._maintenance import MANAGER_STATUS
from ._membership import Membership, read_links, read_membership
from ._mentions import REPLICATION, Mention, Reader, addresses_elsewhere, addresses_in_firewall, mentions
from ._plan import DELETE, UPDATE, Change, raise_all, simple_change
from ._shell import Login, Shell
from ._trust import forget_trust, shown_fingerprint
from ._wait import PASSING, wait_until

PROBE_TIMEOUT = 5.0
GUESTS, CEPH, WITNESS = "guests", "ceph", "witness"
ASSUMED = (GUESTS, REPLICATION, CEPH, WITNESS)
"""What steps before this one may take away: in check mode they have not."""

METADATA = "metadata servers"

KNOWN_HOSTS, AUTHORIZED = "/etc/pve/priv/known_hosts", "/etc/pve/priv/authorized_keys"


@dataclass(frozen=True)
class Leftover:
    """Something that names the node: how to see whether it is there, and how to remove it."""

    what: str
    there: Callable[[Shell], bool]
    remove: Callable[[Shell], Any]


class Departure:
    """One node that leaves."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api = api
        self.params = params
        self.node: str = params["node"]
        self.timeout = float(params["timeout"])
        self.dead = False

    def see_off(self) -> Result:
        """Take it out of the cluster and clean up after it, or find that there is nothing to do."""
        membership = read_membership(self.api.client)
        if membership.cluster is None:
            self.api.warn(f"{self.api.client.host} is not in a cluster")
            return self.api.result([], cluster=None, nodes=list(membership.members), online=False)
        known = self.node in membership.members
        addresses = list(read_links(self.api.client).get(self.node, {}).values()) if known else []
        self.dead = not (known and membership.online(self.node))
        if known:
            self._wait_for_removals()
            self._examine(membership)
        with Hosts(self.params["members"], Login.from_params(self.params)) as hosts:
            helper = next((name for name in hosts.names if name != self.node and membership.online(name)), None)
            leftovers = list(self._leftovers([*addresses, self.params["address"] or ""])) if helper else []
            there = [each for each in leftovers if helper and hosts.do(helper, each.there)]
            read = Reader(self.api.client)
            found = list(self._mentions(read, {*addresses, self.params["address"] or ""} - {""}))
            for text in read.unread:
                self.api.warn(f"whether anything there still names {self.node} cannot be told: {text}")
            trimmed = [each for each in found if self._trims(each)]
            for mention in found:
                if mention not in trimmed and not self._foreseen(mention):
                    self.api.warn(f"{mention.name} still names {self.node} ({mention.before})")
            on = known and self._is_on(membership)
            changes = self._changes(known, there, trimmed)
            if on:
                changes.insert(0, simple_change(UPDATE, "node", self.node, {"power": "off"}, {"power": "on"}))
            self.api.approve(changes)
            if not self.api.check_mode:
                if on:
                    self._shut_down()
                for mention in trimmed:
                    mention.remove(self.api.client)
                if known:
                    if helper:
                        self._end_maintenance(hosts, helper)
                    self._remove(membership)
                for each in there:
                    hosts.do(str(helper), each.remove)
                if self.params["address"]:
                    forget_trust(self.api.client.connection.trust_file, self.params["address"])
        names = [name for name in membership.members if name != self.node]
        return self.api.result(changes, cluster=membership.cluster, nodes=names, online=False)

    def _changes(self, known: bool, there: Sequence[Leftover], trimmed: Sequence[Mention]) -> list[Change]:
        changes = [each.change() for each in trimmed]
        if known:
            changes.append(simple_change(DELETE, "member", self.node, {}, {"name": self.node}))
        if there:
            before = {"leftovers": [each.what for each in there]}
            changes.append(simple_change(DELETE, "leftovers of", self.node, {}, before))
        return changes

    # before

    def _examine(self, membership: Membership) -> None:
        """Refuse, with all reasons, before anything is changed."""
        assumed = self.params["assume"] if self.api.check_mode else ()
        reasons = [*self._of_membership(membership), *self._of_what_it_has(set(ASSUMED) - set(assumed))]
        errors: list[QuorateError] = [refuse(text, where="node", hint=hint) for text, hint in reasons]
        raise_all(errors)

    def _of_membership(self, membership: Membership) -> Iterator[tuple[str, str]]:
        if not membership.quorate:
            yield f"{membership.cluster} is not quorate", "Bring more of its nodes back first."
        if membership.local == self.node:
            yield f"{self.node} is the node that was asked", "Give another member in api_hosts."
        elif self._is_on(membership) and not self.params["shutdown"]:
            yield (
                f"{self.node} is on",
                "Switch it off for good, or say shutdown: true; it must not come back with the disks as they are.",
            )
        elif self.dead and self._answers():
            yield (
                f"{self.node} is on, and the cluster does not see it",
                "Switch it off for good: it takes itself for a member still.",
            )
        if self.params["shutdown"] and (short := self._too_few(membership)):
            yield short, "Add a witness or another node first, or lower the votes that are expected (pvecm expected)."

    def _of_what_it_has(self, looked_at: Collection[str]) -> Iterator[tuple[str, str]]:
        guests = [str(each["vmid"]) for each in self.api.client.get("/cluster/resources", type="vm") if self._is(each)]
        if guests and GUESTS in looked_at:
            hint = "Move them, or restore them elsewhere, first."
            if self.dead:
                hint += f" Those with disks on shared storage: move their files from /etc/pve/nodes/{self.node}."
            yield f"{self.node} has guests ({', '.join(sorted(guests))})", hint
        jobs = sorted(str(each["id"]) for each in self._jobs() if self._in_the_way(each))
        if jobs and REPLICATION in looked_at:
            yield (
                f"replication jobs use {self.node} ({', '.join(jobs)})",
                "Remove them, or give them new targets; trim: [replication] drops those to a node that is gone.",
            )
        for kind, names in self._ceph().items():
            # no step before this one takes metadata servers away
            if names and (CEPH in looked_at or kind == METADATA):
                yield f"{self.node} has Ceph {kind} ({', '.join(names)})", "Remove them from Ceph first."
        if WITNESS in looked_at and self.api.client.get("/cluster/config/qdevice"):
            yield "the cluster has a witness", "Remove it first, and set it up again afterwards (witness)."

    def _in_the_way(self, job: Mapping[str, Any]) -> bool:
        """A living node's jobs end with their removal, which is waited for. Those to a dead one can only be dropped."""
        if self.dead and job.get("target") == self.node:
            return REPLICATION not in self.params["trim"]
        return not job.get("remove_job")

    def _jobs(self) -> list[Mapping[str, Any]]:
        return [each for each in self.api.client.get("/cluster/replication") if self._replicates(each)]

    def _wait_for_removals(self) -> None:
        """Jobs that are marked for removal take their replicas away first, which needs the node (facts §9.3)."""
        left: list[str] = []

        def gone() -> bool | None:
            left[:] = [str(each["id"]) for each in self._jobs() if each.get("remove_job")]
            return None if left else True

        if not self.api.check_mode and not self.dead:
            wait_until(
                gone,
                timeout=self.timeout,
                what=f"the removal of replication jobs that use {self.node}",
                clock=self.api.client.clock,
                describe=lambda: ", ".join(left),
            )

    def _too_few(self, membership: Membership) -> str:
        """Why the others would lose quorum when the node goes, or an empty text."""
        votes = {
            str(each["name"]): int(each.get("quorum_votes") or 1)
            for each in self.api.client.get("/cluster/config/nodes")
        }
        rest = sum(number for name, number in votes.items() if name != self.node and membership.online(name))
        needed = sum(votes.values()) // 2 + 1
        return f"without {self.node} there are {rest} votes of the {needed} needed" if rest < needed else ""

    def _is_on(self, membership: Membership) -> bool:
        return membership.online(self.node) or self._answers()

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
        for kind, path in (("monitors", "mon"), ("managers", "mgr"), (METADATA, "mds")):
            found[kind] = sorted(str(each["name"]) for each in self._ask(path) or [] if each.get("host") == self.node)
        tree = self._ask("osd") or {}
        found["OSDs"] = sorted(osds_of(tree.get("root") or {}, self.node))
        return found

    def _ask(self, path: str) -> Any:
        try:
            return self.api.client.get(f"{HERE}/{path}")
        except ApiError as error:
            if absent(error):
                return None
            raise

    # during

    def _shut_down(self) -> None:
        """Through its API; it is off when neither the cluster nor its own address knows of it any more."""
        self.api.client.post(f"/nodes/{self.node}/status", {"command": "shutdown"})
        wait_until(
            lambda: None if self._is_on(read_membership(self.api.client)) else True,
            timeout=self.timeout,
            what=f"{self.node}'s going down",
            clock=self.api.client.clock,
            passing=PASSING,
            hint="Switch it off by hand, and run again.",
        )

    def _end_maintenance(self, hosts: Hosts, helper: str) -> None:
        """The manager keeps the request, for the next machine of that name as well (facts §7.5, §7.7)."""
        status = self.api.client.get(MANAGER_STATUS).get("manager_status") or {}
        if ((status.get("node_request") or {}).get(self.node) or {}).get("maintenance"):
            words = ["ha-manager", "crm-command", "node-maintenance", "disable", self.node]
            hosts.do(helper, lambda shell: shell.run(words))

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

    def _mentions(self, read: Reader, addresses: Collection[str]) -> Iterator[Mention]:
        yield from mentions(read, lambda name: name == self.node)
        yield from addresses_in_firewall(read, self.node, addresses)
        yield from addresses_elsewhere(read, self.node, addresses)

    def _trims(self, mention: Mention) -> bool:
        """Of a living node, jobs are removed with their replicas, before this."""
        wanted = mention.kind in self.params["trim"] and mention.removable
        return wanted and (self.dead or mention.kind != REPLICATION)

    def _foreseen(self, mention: Mention) -> bool:
        return self.api.check_mode and mention.kind in self.params["assume"]


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
