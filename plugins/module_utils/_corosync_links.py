# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing the links of a live cluster, one at a time, and back if a node loses one. Private to this collection.

The server has no call for it: the file is written whole to corosync.conf.new and renamed, under the next
config_version; pmxcfs brings it to every node (facts §6.5). A file that is wrong is taken without a word and copied
nowhere (observed: live changes), so every node is asked over SSH what came of it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

from ._api import Api, Result, refuse
from ._errors import ApplyError, QuorateError, ShellError, StateError, WaitError
from ._ha_pause import HaPause
from ._hosts import Hosts
from ._limits import limit_purge
from ._link_steps import (
    Desired,
    Link,
    LinkStatus,
    Step,
    links_from_api,
    parse_link_status,
    plan_steps,
    with_version,
)
from ._membership import LINKS, Membership, read_membership
from ._parallel import all_or_error
from ._plan import DELETE, Change
from ._pure.corosync_conf import CorosyncConf, CorosyncConfError, Node, parse, read_config_version
from ._shell import Login, Shell
from ._wait import PASSING, wait_until

BACK = 60.0
"""Seconds that the links of before are given to come back, however short a step may take."""
SHARED, LOCAL = "/etc/pve/corosync.conf", "/etc/corosync/corosync.conf"


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``corosync_links``."""
    with Api.open(params, check_mode) as api:
        membership = read_membership(api.client)
        wanted = desired(params)
        if membership.cluster is None:
            if not check_mode:
                raise refuse(
                    f"{api.client.host} is not in a cluster", where="api_hosts", hint="Create it first (cluster)."
                )
            api.unknown.append("links: the cluster does not exist yet")
            return api.result([], links=[])
        current = links_from_api(api.client.get("/cluster/config/nodes"), api.client.get("/cluster/config/totem"))
        steps = plan_steps(current, wanted)
        elsewhere = {
            name: [
                link.addresses[name] for link in [*current.values(), *wanted.links.values()] if name in link.addresses
            ]
            for name in membership.members
        }
        with Hosts(params["nodes"], Login.from_params(params), elsewhere) as hosts:
            return Changer(api, params, membership, hosts, len(current)).carry_out(steps, wanted)


def desired(params: Mapping[str, Any]) -> Desired:
    """What the module's parameters say. Raises :class:`InputError` for wrong or doubled numbers."""
    wanted = Desired({}, purge=params["purge"], allow_interruption=params["allow_interruption"])
    for index, element in enumerate(params["links"]):
        number = int(element["number"])
        where = f"links[{index}] ({number})"
        if number not in LINKS:
            raise refuse(f"{number} is not between 0 and 7", where=where)
        if number in wanted.where:
            raise refuse(f"the same link is given at {wanted.where[number]}", where=where)
        wanted.where[number] = where
        if element["state"] == "absent":
            wanted.absent.add(number)
        else:
            wanted.links[number] = Link(
                {str(node): str(address) for node, address in (element["addresses"] or {}).items()},
                element["priority"],
            )
    return wanted


class Changer:
    """One cluster whose links are changed."""

    def __init__(self, api: Api, params: Mapping[str, Any], membership: Membership, hosts: Hosts, links: int) -> None:
        self.api = api
        self.membership = membership
        self.hosts = hosts
        self.timeout = float(params["timeout"])
        self.settle = float(params["settle"])
        self.purge_limit = str(params["purge_limit"])
        self.links = links
        reachable = [name for name in membership.members if name in hosts.names]
        self.editor = membership.local if membership.local in reachable else next(iter(reachable), "")
        self.ha = HaPause(api, hosts, self.editor, float(params["ha_timeout"]))

    def carry_out(self, steps: list[Step], wanted: Desired) -> Result:
        """Make the steps, or in check mode say which they are."""
        changes = [step.describe() for step in steps]
        limit_purge("link", changes, self.links, self.purge_limit)
        self.api.approve(changes)
        if not steps:
            return self._at_rest(wanted)
        if self.api.check_mode:
            return self.api.result(changes, links=sorted(wanted.links))
        self._require_whole()
        done: list[Change] = []
        with self.ha.paused():
            for step, change in zip(steps, changes, strict=True):
                try:
                    self._make(step)
                except QuorateError as error:
                    left = changes[len(done) :]
                    raise ApplyError(
                        [error.at(step.where)], [each.describe() for each in done], [each.describe() for each in left]
                    ) from error
                done.append(change)
        return self.api.result(changes, links=sorted(wanted.links))

    def _at_rest(self, wanted: Desired) -> Result:
        """Nothing to change; but HA may have been left aside by a run that was cut off."""
        changes: list[Change] = []
        if self.editor and self.membership.quorate and self.ha.forgotten():
            changes = [self.ha.describe()]
            self.api.approve(changes)
            if not self.api.check_mode:
                self.ha.put_back()
        return self.api.result(changes, links=sorted(wanted.links))

    def _require_whole(self) -> None:
        """A node that is away would come back with the old links and find nobody."""
        if not self.membership.quorate:
            raise refuse(f"{self.membership.cluster} is not quorate", hint="Bring more of its nodes back first.")
        if missing := [name for name in self.membership.members if name not in self.hosts.names]:
            raise refuse(f"{', '.join(missing)} cannot be reached over SSH", where="nodes", hint="List every member.")
        if offline := [name for name, member in self.membership.members.items() if not member.online]:
            raise refuse(
                f"{', '.join(offline)} is offline, and would come back with the old links",
                hint="Bring it back, or remove it from the cluster.",
            )

    # one step

    def _make(self, step: Step) -> None:
        before = self._live()
        after = step.apply(before)
        self.hosts.do(self.editor, lambda shell: shell.write(SHARED, after.format()))
        try:
            self._wait_until_seen(after, [] if step.action == DELETE else [step.number], self.timeout)
        except WaitError as error:
            raise self._taken_back(step, before, after, error) from error

    def _live(self) -> CorosyncConf:
        """The file as it is, if all nodes have the same."""
        texts = self.hosts.on_all(lambda shell: shell.read(LOCAL))
        shared = self.hosts.do(self.editor, lambda shell: shell.read(SHARED)) or ""
        try:
            version = read_config_version(shared)
            for name, text in zip(texts, all_or_error(texts.values()), strict=True):
                own = read_config_version(text or "")
                if own != version:
                    raise StateError(
                        f"{name} has version {own} of corosync.conf, and /etc/pve has version {version}",
                        hint="An earlier change was not taken over everywhere; bring them together first.",
                    )
            return parse(shared)
        except CorosyncConfError as error:
            raise StateError(f"{SHARED} cannot be read: {error}") from error

    def _wait_until_seen(self, conf: CorosyncConf, numbers: Collection[int], timeout: float) -> None:
        """Until every node has the file and no other links, and goes on seeing every peer on these for a while."""
        ids = {node.nodeid: node.name for node in conf.nodes}
        version = conf.totem.config_version
        seen: list[str] = []
        good_since: list[float] = []

        def ask(shell: Shell) -> tuple[str, str]:
            return shell.read(LOCAL) or "", shell.run(["corosync-cfgtool", "-s"])

        def missing(node: Node, answer: tuple[str, str] | QuorateError) -> list[str]:
            if isinstance(answer, QuorateError):
                return [answer.message]
            text, printed = answer
            if _version(text) < version:
                return [f"{node.name} has not taken version {version} of corosync.conf over"]
            status = parse_link_status(printed)
            others = {nodeid: other for nodeid, other in ids.items() if nodeid != node.nodeid}
            found = [f"{node.name} still has link {number}" for number in status if number not in conf.links]
            for number in numbers:
                link = status.get(number, LinkStatus())
                if _is_other(link.address, node.addresses[number]):
                    found.append(f"{node.name} still has the address {link.address} on link {number}")
                elif away := link.unconnected(others):
                    found.append(f"{node.name} does not see {', '.join(away)} on link {number}")
            return found

        def look() -> bool | None:
            answers = self.hosts.on_all(ask, [node.name for node in conf.nodes])
            seen[:] = [text for node in conf.nodes for text in missing(node, answers[node.name])]
            if not seen:
                membership = read_membership(self.api.client)
                if not (membership.quorate and all(member.online for member in membership.members.values())):
                    seen[:] = ["the cluster is not quorate, or a member is not online"]
            now = self.api.client.clock.monotonic()
            if seen:
                good_since.clear()
                return None
            good_since.append(now)
            return True if now - good_since[0] >= self.settle else None

        wait_until(
            look,
            timeout=timeout,
            what=f"version {version} of corosync.conf",
            clock=self.api.client.clock,
            passing=(*PASSING, ShellError),
            describe=lambda: "; ".join(seen),
        )

    # back

    def _taken_back(self, step: Step, before: CorosyncConf, after: CorosyncConf, error: WaitError) -> QuorateError:
        back = with_version(before, after.totem.config_version + 1)
        try:
            self._put_back(back)
        except QuorateError as second:
            return WaitError(
                f"link {step.number}: {error.message}. Putting the links of before back has failed, too: {second}",
                hint="Look at corosync on every node (corosync-cfgtool -s, journalctl -u corosync).",
            )
        return WaitError(
            f"link {step.number}: {error.message}. The links of before are back, as version "
            f"{back.totem.config_version} of corosync.conf",
            hint="Do the nodes reach each other in that network (UDP 5405 to 5412)?",
        )

    def _put_back(self, back: CorosyncConf) -> None:
        """Over /etc/pve if that takes it; else through the local file of every node, then over /etc/pve."""
        text = back.format()
        try:
            if not read_membership(self.api.client).quorate:
                raise StateError("no quorum")
            self.hosts.do(self.editor, lambda shell: shell.write(SHARED, text))
        except QuorateError:
            self._put_back_locally(text)
            self._wait_until_seen(back, back.links, max(self.timeout, BACK))
            self.hosts.do(self.editor, lambda shell: shell.write(SHARED, text))
        self._wait_until_seen(back, back.links, max(self.timeout, BACK))

    def _put_back_locally(self, text: str) -> None:
        """Without quorum /etc/pve is read-only, and each node's own file counts (facts §6.5)."""

        def write(shell: Shell) -> None:
            shell.write(LOCAL, text)

        def take_over(shell: Shell) -> None:
            if shell.attempt(["corosync-cfgtool", "-R"]).status:
                shell.run(["systemctl", "restart", "corosync"])

        all_or_error(self.hosts.on_all(write).values())
        all_or_error(self.hosts.on_all(take_over).values())


def _version(text: str) -> int:
    try:
        return read_config_version(text)
    except CorosyncConfError:
        return 0


def _is_other(shown: str, configured: str) -> bool:
    """Whether a link still runs over another address than the configured one, which may be a name."""
    try:
        return ipaddress.ip_address(shown) != ipaddress.ip_address(configured)
    except ValueError:
        return False
