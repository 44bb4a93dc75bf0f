# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a node into a cluster, and seeing it through. Private to this collection.

What happens (observed: join): the joining node takes the request, asks the member, throws its /etc/pve away and
restarts. For some ten seconds it refuses every login; then it has another certificate and other ticket keys, and for a
few seconds more its workers answer with the old and the new ones in turn. So the member is asked what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._api import Api, Result, refuse
from ._errors import ConnectError, InputError, QuorateError, StateError, TaskError
from ._joiner import ByApi, BySsh, Joiner, joiner
from ._leave import Departure
from ._membership import Membership, given_links, link_parameters, links_of, read_links, read_membership
from ._plan import CREATE, Change, simple_change
from ._progress import Follower
from ._tasks import follow_task
from ._trust import record_trust, shown_fingerprint
from ._wait import PASSING, wait_until

# So often in a row must the new certificate and an answer through the member be seen: old workers linger
SETTLED = 3
PROBE_TIMEOUT = 5.0


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``cluster_member``."""
    api = Api.open(params, check_mode, by_password=True)
    if params["state"] == "absent":
        return Departure(api, params).see_off()
    if not params["address"]:
        raise InputError("the address of the joining node is missing", where="address")
    return Join(api, params).bring_in()


class Join:
    """One node and the cluster that it is to be in."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api = api
        self.member = api.client
        self.params = params
        self.node: str = params["node"]
        self.address: str = params["address"]
        self.links = given_links(params["links"])
        self._end = self.member.clock.monotonic() + float(params["timeout"])

    def bring_in(self) -> Result:
        """Join, take up a join that was begun, or find that there is nothing to do."""
        membership = read_membership(self.member)
        if membership.cluster is None:
            if not self.api.check_mode:
                raise refuse(
                    f"{self.member.host} is not in a cluster that {self.node} could join",
                    where="api_hosts",
                    hint="Create it first (cluster), or address a member.",
                )
            self.api.unknown.append(f"{self.node}: the cluster does not exist yet")
            return self._result([self._change()], membership)
        if self.node in membership.members:
            return self._known(membership)
        return self._new(membership)

    # a node that the cluster knows

    def _known(self, membership: Membership) -> Result:
        """At rest in the usual case; else a join that nobody saw to its end, or a member that is switched off."""
        shown = self._shown()
        if not membership.online(self.node) and shown is None:
            self.api.warn(f"{self.node} is a member of {membership.cluster} and offline")
            return self._result([], membership)
        self._check_links()
        fingerprint = self._fingerprint()
        if membership.online(self.node) and membership.quorate and shown in (None, fingerprint):
            return self._result([], membership, fingerprint)
        if self.api.check_mode:
            self.api.warn(f"{self.node} is on its way into {membership.cluster}; that would be waited for")
            return self._result([], membership)
        membership = self._wait_until_online(lambda: None)
        self._settle()
        return self._result([], membership)

    # a node that it does not know

    def _new(self, membership: Membership) -> Result:
        try:
            node = joiner(self.params, self.member, membership.local)
        except QuorateError as error:
            raise _explained(error, self.node, membership.cluster or "") from error
        try:
            self._examine(node, membership)
            node.require()
            payload = self._payload(membership)
            if self.api.check_mode:
                return self._result([self._change()], membership)
            self.api.approve([self._change()])
            if not membership.quorate:
                self._wait_until_quorate()
            upid = node.join(payload)
            membership = self._follow(node, upid)
        except QuorateError as error:
            raise _explained(error, self.node, membership.cluster or "") from error
        finally:
            if isinstance(node, ByApi):
                self.member.calls += node.client.calls
            node.close()
        self._settle()
        return self._result([self._change()], membership)

    def _examine(self, node: Joiner, membership: Membership) -> None:
        """Refuse a node that must not join, before anything is sent to it."""
        own = node.membership()
        if own.local and own.local != self.node:
            raise refuse(f"the machine at {self.address} is called {own.local}, not {self.node}", where="address")
        if own.cluster == membership.cluster:
            raise refuse(
                f"{self.node} believes to be in {own.cluster}, which does not list it: it was removed from it",
                where="node",
                hint="Install it anew before it joins again.",
            )
        if own.cluster is not None:
            raise refuse(
                f"{self.node} is a member of the cluster {own.cluster} already",
                where="node",
                hint="A node leaves a cluster by being installed anew.",
            )
        guests = node.guests()
        if guests:
            raise refuse(
                f"{self.node} has guests ({', '.join(map(str, guests))}), and a joining node must have none",
                where="node",
                hint="Back them up, remove them, and restore them after the join.",
            )

    def _payload(self, membership: Membership) -> dict[str, Any]:
        """Parameters of POST /cluster/config/join. The peer is the member that answers us."""
        info = self.member.get("/cluster/config/join")
        self._compare_with(info["nodelist"], str(membership.cluster))
        peers = {str(peer["name"]): peer for peer in info["nodelist"]}
        peer = peers.get(membership.local) or peers[str(info["preferred_node"])]
        return {
            "hostname": peer["pve_addr"],
            "fingerprint": peer["pve_fp"],
            "nodeid": self.params["nodeid"],
            "votes": self.params["votes"],
            **link_parameters(self.links),
        }

    def _compare_with(self, nodelist: list[Mapping[str, Any]], cluster: str) -> None:
        """The new node needs an address on every link, and on no other (facts §6.3)."""
        numbers = sorted({number for peer in nodelist for number in links_of(peer)})
        words = f"{cluster} has {'link' if len(numbers) == 1 else 'links'} {' and '.join(map(str, numbers))}"
        if not self.links and len(numbers) == 1:
            return
        missing = [number for number in numbers if number not in self.links]
        if missing:
            raise InputError(
                f"{words}; {self.node} has no address on link {', '.join(map(str, missing))}",
                where="links",
            )
        foreign = [number for number in self.links if number not in numbers]
        if foreign:
            raise InputError(f"{words}, and no link {', '.join(map(str, foreign))}", where="links")
        for peer in nodelist:
            for number, address in links_of(peer).items():
                for own, link in self.links.items():
                    if link["address"] == address:
                        raise InputError(
                            f"{address} is the address of {peer['name']} on link {number}", where=f"links (link {own})"
                        )

    # seeing it through

    def _follow(self, node: ByApi | BySsh, upid: str | None) -> Membership:
        if upid is None or not isinstance(node, ByApi):
            return self._wait_until_online(lambda: None)
        readable = True
        follower = Follower(upid, self.member.clock.monotonic())

        def ask_joiner() -> None:
            # most failures show only in the task, within its first seconds
            nonlocal readable
            if readable:
                try:
                    follow_task(node.client, upid, follower)
                except TaskError:
                    raise
                except QuorateError:
                    readable = False

        membership = self._wait_until_online(ask_joiner)
        wait_until(
            lambda: follow_task(self.member, upid, follower),
            timeout=self._left(),
            what=f"the end of the join of {self.node}",
            clock=self.member.clock,
            passing=PASSING,
        )
        return membership

    def _wait_until_online(self, beside: Any) -> Membership:
        seen: list[str] = []

        def look() -> Membership | None:
            beside()
            membership = read_membership(self.member)
            seen[:] = [
                f"{self.node} is {'online' if membership.online(self.node) else 'not online'}, "
                f"{membership.cluster} is {'quorate' if membership.quorate else 'not quorate'}"
            ]
            if not (membership.online(self.node) and membership.quorate):
                return None
            return membership if self.node in read_links(self.member) else None

        return wait_until(
            look,
            timeout=self._left(),
            what=f"{self.node}'s becoming an online member of a quorate cluster",
            clock=self.member.clock,
            passing=PASSING,
            describe=lambda: "; ".join(seen),
            hint="Look at corosync and pve-cluster on that node; do its links reach the other members?",
        )

    def _wait_until_quorate(self) -> None:
        wait_until(
            lambda: True if read_membership(self.member).quorate else None,
            timeout=self._left(),
            what="the cluster's becoming quorate before the join",
            clock=self.member.clock,
            passing=PASSING,
        )

    def _settle(self) -> None:
        """Until the node shows the certificate the cluster knows and answers through the member, again and again."""
        in_row = 0

        def look() -> bool | None:
            nonlocal in_row
            good = False
            try:
                self.member.get(f"/nodes/{self.node}/version")
                good = self._shown() == self._fingerprint()
            finally:
                in_row = in_row + 1 if good else 0
            return True if in_row >= SETTLED else None

        wait_until(
            look,
            timeout=self._left(),
            what=f"{self.node}'s answering with its new certificate",
            clock=self.member.clock,
            passing=PASSING,
        )

    def _left(self) -> float:
        return max(self._end - self.member.clock.monotonic(), 0.0)

    # what the result says

    def _change(self) -> Change:
        after = {
            "address": self.address,
            "nodeid": self.params["nodeid"],
            "votes": self.params["votes"],
            **link_parameters(self.links),
        }
        return simple_change(CREATE, "member", self.node, after)

    def _check_links(self) -> None:
        there = read_links(self.member).get(self.node, {})
        differing = [
            f"link {number} is {there.get(number) or 'not there'} instead of {link['address']}"
            for number, link in self.links.items()
            if there.get(number) != link["address"]
        ]
        if differing:
            raise StateError(
                f"{', '.join(differing)} on {self.node}",
                where="links",
                hint="Links of a member are changed in the cluster's corosync.conf; take over what is there.",
            )

    def _shown(self) -> str | None:
        """The certificate that the node shows at its address; None if nothing answers there."""
        connection = self.member.connection
        try:
            return shown_fingerprint(self.address, connection.port, min(PROBE_TIMEOUT, connection.timeout))
        except ConnectError:
            return None

    def _fingerprint(self) -> str | None:
        """The certificate that the cluster knows."""
        for entry in self.member.get("/nodes"):
            if entry["node"] == self.node and entry.get("ssl_fingerprint"):
                return str(entry["ssl_fingerprint"]).upper()
        return None

    def _result(self, changes: list[Change], membership: Membership, fingerprint: str | None = None) -> Result:
        more: dict[str, Any] = {"online": membership.online(self.node)}
        fingerprint = fingerprint or (self._fingerprint() if self.node in membership.members else None)
        if fingerprint:
            more["fingerprint"] = fingerprint
            if not self.api.check_mode:
                record_trust(self.member.connection.trust_file, self.address, self.node, fingerprint)
        return self.api.result(changes, cluster=membership.cluster, nodes=list(membership.members), **more)


def _explained(error: QuorateError, node: str, cluster: str) -> QuorateError:
    """Say at what the error came about."""
    error.message = f"{node} cannot join {cluster}: {error.message}"
    return error
