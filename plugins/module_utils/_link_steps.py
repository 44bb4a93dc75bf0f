# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the links that a cluster has to those that it shall have, one link at a time. Pure. Private to this collection.

A step leaves every other link as it is, so that the members go on hearing each other on it while corosync takes the
step over (facts §6.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ._errors import InputError, QuorateError, StateError
from ._membership import links_of
from ._plan import CREATE, DELETE, UPDATE, Change, raise_all
from ._pure.corosync_change import add_link, problems, remove_link, set_link_priority
from ._pure.corosync_conf import CorosyncConf, CorosyncConfError

FIRST = 0
"""The link that corosync knows a node by; it may have other addresses, but has to be there."""

_LINK = re.compile(r"LINK ID (\d+)\b")
_ADDRESS = re.compile(r"addr\s*=\s*(\S+)")
_PEER = re.compile(r"nodeid:\s*(\d+):\s*(\S+)")


@dataclass(frozen=True)
class Link:
    """A link: every node's address on it, and its priority (None: not set, or left as it is)."""

    addresses: Mapping[str, str]
    priority: int | None = None


Links = Mapping[int, Link]


@dataclass(frozen=True)
class Step:
    """One change of corosync.conf, which concerns one link."""

    action: str
    number: int
    link: Link
    before: Link | None = None
    where: str = ""

    def apply(self, conf: CorosyncConf) -> CorosyncConf:
        """The file with this step made, under the next version. Raises :class:`StateError` if it does not fit."""
        try:
            new = self._applied(conf)
        except CorosyncConfError as error:
            raise StateError(str(error), where=self.where) from error
        found = problems(new).errors
        if found:
            raise StateError(f"corosync.conf would be wrong: {'; '.join(found)}", where=self.where)
        return with_version(new, conf.totem.config_version + 1)

    def _applied(self, conf: CorosyncConf) -> CorosyncConf:
        if self.action == CREATE:
            return add_link(conf, self.number, self.link.addresses, priority=self.link.priority)
        if self.action == DELETE:
            return remove_link(conf, self.number)
        nodes = tuple(
            replace(node, addresses={**node.addresses, self.number: self.link.addresses[node.name]})
            for node in conf.nodes
        )
        new = replace(conf, nodes=nodes)
        if self.link.priority is None:
            return new
        return set_link_priority(new, self.number, self.link.priority)

    def describe(self) -> Change:
        """This step as a change of the module's plan."""
        before, after = _shown(self.before), _shown(self.link) if self.action != DELETE else {}
        if self.action == UPDATE:
            same = {name for name in before if before[name] == after.get(name, before[name])}
            before = {name: value for name, value in before.items() if name not in same}
            after = {name: value for name, value in after.items() if name not in same}
        return Change(self.action, "link", str(self.number), before=before, after=after, where=self.where)


def _shown(link: Link | None) -> dict[str, Any]:
    if link is None:
        return {}
    priority = {} if link.priority is None else {"priority": link.priority}
    return {**dict(sorted(link.addresses.items())), **priority}


def with_version(conf: CorosyncConf, version: int) -> CorosyncConf:
    """The same configuration under another version."""
    return replace(conf, totem=replace(conf.totem, config_version=version))


def links_from_api(nodes: Sequence[Mapping[str, Any]], totem: Mapping[str, Any] | None) -> dict[int, Link]:
    """The same from what GET /cluster/config/nodes and /totem answer (facts §6.1: all values are text)."""
    addresses: dict[int, dict[str, str]] = {}
    for node in nodes:
        for number, address in links_of(node).items():
            addresses.setdefault(number, {})[str(node["node"])] = address
    interfaces = (totem or {}).get("interface") or {}
    priorities = {
        int(number): int(interface["knet_link_priority"])
        for number, interface in interfaces.items()
        if interface.get("knet_link_priority") is not None
    }
    return {number: Link(each, priorities.get(number)) for number, each in sorted(addresses.items())}


@dataclass
class Desired:
    """What is wanted of a cluster's links; ``where`` says for each number where the user wrote it."""

    links: dict[int, Link]
    absent: set[int] = field(default_factory=set)
    where: dict[int, str] = field(default_factory=dict)
    purge: bool = False
    allow_interruption: bool = False


def plan_steps(current: Links, wanted: Desired) -> list[Step]:
    """The steps in an order in which each can be made: links are added before others are changed or go.

    Raises :class:`InputError` or :class:`StateError`, naming everything that is wrong.
    """
    wanted = replace(
        wanted, links={number: _filled(link, current.get(number)) for number, link in wanted.links.items()}
    )
    _check(current, wanted)
    state = dict(current)
    left = [
        *(_step(CREATE, number, wanted, current) for number in sorted(wanted.links) if number not in current),
        *(
            _step(UPDATE, number, wanted, current)
            for number in sorted(wanted.links)
            if _differs(number, wanted, current)
        ),
        *(_step(DELETE, number, wanted, current) for number in sorted(_leaving(current, wanted))),
    ]
    steps: list[Step] = []
    while left:
        step = next((each for each in left if _obstacle(each, state, wanted) is None), None)
        if step is None:
            raise_all([obstacle for each in left if (obstacle := _obstacle(each, state, wanted))])
            break
        left.remove(step)
        steps.append(step)
        if step.action == DELETE:
            del state[step.number]
        else:
            state[step.number] = step.link
    return steps


def _filled(link: Link, there: Link | None) -> Link:
    """Members that are not named keep the address that they have."""
    return replace(link, addresses={**there.addresses, **link.addresses}) if there else link


def _leaving(current: Links, wanted: Desired) -> set[int]:
    return {number for number in current if number in wanted.absent or (wanted.purge and number not in wanted.links)}


def _step(action: str, number: int, wanted: Desired, current: Links) -> Step:
    there = current.get(number)
    link = there if action == DELETE and there is not None else wanted.links[number]
    return Step(action, number, link, there, wanted.where.get(number, ""))


def _differs(number: int, wanted: Desired, current: Links) -> bool:
    if number not in current:
        return False
    want, there = wanted.links[number], current[number]
    return dict(want.addresses) != dict(there.addresses) or want.priority not in (None, there.priority)


def _check(current: Links, wanted: Desired) -> None:
    """What no order of steps could make good."""
    errors: list[QuorateError] = []
    members = {name for link in current.values() for name in link.addresses}
    for number, link in wanted.links.items():
        where = wanted.where.get(number, "")
        if missing := sorted(members - set(link.addresses)):
            errors.append(InputError(f"link {number} has no address for {', '.join(missing)}", where=where))
        if foreign := sorted(set(link.addresses) - members):
            errors.append(InputError(f"link {number}: {', '.join(foreign)} is no member of the cluster", where=where))
    taken: dict[str, tuple[int, str]] = {}
    for number, link in wanted.links.items():
        for node, address in link.addresses.items():
            other = taken.setdefault(address, (number, node))
            if other != (number, node):
                text = f"{address} is that of {other[1]} on link {other[0]} and of {node} on link {number}"
                errors.append(InputError(text, where=wanted.where.get(number, "")))
    unnamed = sorted(set(current) - set(wanted.links) - wanted.absent)
    if unnamed and not wanted.purge:
        errors.append(
            StateError(
                f"the cluster has link {', '.join(map(str, unnamed))}, which is not listed",
                where="links",
                hint="List it, or list it with state: absent to have it removed.",
            )
        )
    if FIRST in _leaving(current, wanted):
        errors.append(
            StateError(
                f"link {FIRST} cannot be removed: corosync knows the nodes by it",
                where=wanted.where.get(FIRST, "links"),
                hint="Give it the addresses of another network instead.",
            )
        )
    raise_all(errors)


def _obstacle(step: Step, state: Links, wanted: Desired) -> QuorateError | None:
    """Why a step cannot be made while the links are in this state."""
    if step.action == DELETE:
        if len(state) > 1:
            return None
        return StateError(f"link {step.number} is the only one", where=step.where)
    used = {address for number, link in state.items() if number != step.number for address in link.addresses.values()}
    if common := sorted(used & set(step.link.addresses.values())):
        return StateError(
            f"link {step.number} cannot have {', '.join(common)} while another link has it",
            where=step.where,
            hint="Make the change in two runs, the first of which moves the other link out of the way.",
        )
    moved = step.number in state and dict(state[step.number].addresses) != dict(step.link.addresses)
    if moved and len(state) == 1 and not wanted.allow_interruption:
        return StateError(
            f"link {step.number} is the only one: while its addresses change, the nodes do not hear each other",
            where=step.where,
            hint="Add another link first; or set allow_interruption and do without quorum for a moment.",
        )
    return None


@dataclass
class LinkStatus:
    """A link as one node sees it: its own address there, and the state of every peer by node id."""

    address: str = ""
    peers: dict[int, str] = field(default_factory=dict)

    def unconnected(self, others: Mapping[int, str]) -> list[str]:
        """The names of those of ``others`` (by id) that are not connected."""
        return [name for nodeid, name in sorted(others.items()) if self.peers.get(nodeid) != "connected"]


def parse_link_status(text: str) -> dict[int, LinkStatus]:
    """What ``corosync-cfgtool -s`` prints, by the number of the link (observed: commands)."""
    links: dict[int, LinkStatus] = {}
    current = LinkStatus()
    for line in map(str.strip, text.splitlines()):
        if match := _LINK.match(line):
            current = links.setdefault(int(match[1]), LinkStatus())
        elif match := _ADDRESS.match(line):
            current.address = match[1]
        elif match := _PEER.match(line):
            current.peers[int(match[1])] = match[2]
    return links
