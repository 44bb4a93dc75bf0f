# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to corosync.conf: nodes, links, QDevice; and what would stop the next change.

Every function gives a new configuration with ``config_version`` raised by one, ready to be written to
``corosync.conf.new`` and renamed, and raises ``CorosyncConfError``, in the server's words where it has words for it, if
the change is not admitted. None touches its argument.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .corosync_conf import CorosyncConf, CorosyncConfError, Interface, Node, QDevice, Totem
from .lists import is_node_name

MAX_LINKS = 8
MAX_PRIORITY = 255
MAX_CLUSTER_NAME = 15


@dataclass(frozen=True)
class Problems:
    """What :func:`problems` found: ``errors`` block the next node addition, ``warnings`` do not."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_api(self) -> dict[str, str]:
        """The form in which ``500 invalid corosync.conf`` lists them: ``error0``, …, ``warning0``, … (facts §6.5)."""
        numbered = (("error", self.errors), ("warning", self.warnings))
        return {f"{kind}{number}": text for kind, texts in numbered for number, text in enumerate(texts)}


def new_cluster(
    cluster_name: str,
    node: Node,
    *,
    priorities: Mapping[int, int | None] | None = None,
    token_coefficient: int | None = 125,
) -> CorosyncConf:
    """The configuration that creating a cluster writes, ``config_version`` 1 (facts §6.2; token_coefficient from 9.2).

    ``priorities`` gives the ``knet_link_priority`` of links by number. A bad name or link raises ``CorosyncConfError``.
    """
    if not is_node_name(cluster_name) or len(cluster_name) > MAX_CLUSTER_NAME:
        raise CorosyncConfError(f"invalid cluster name '{cluster_name}'")
    options = {"ip_version": "ipv4-6", "link_mode": "passive", "secauth": "on", "version": "2"}
    if token_coefficient is not None:
        options["token_coefficient"] = str(token_coefficient)
    interfaces = {number: _interface(number, (priorities or {}).get(number)) for number in sorted(node.addresses)}
    if not interfaces:
        raise CorosyncConfError("a cluster needs at least one link")
    return CorosyncConf(
        nodes=(node,),
        totem=Totem(cluster_name, 1, interfaces, {**options}),
        quorum_other={"provider": "corosync_votequorum"},
        other={"logging": [{"debug": "off", "to_syslog": "yes"}]},
    )


def bump_version(conf: CorosyncConf) -> CorosyncConf:
    """The same configuration under the next ``config_version``."""
    return replace(conf, totem=replace(conf.totem, config_version=conf.totem.config_version + 1))


def add_node(
    conf: CorosyncConf,
    name: str,
    addresses: Mapping[int, str],
    *,
    fallback_address: str | None = None,
    nodeid: int | None = None,
    votes: int = 1,
    force: bool = False,
) -> CorosyncConf:
    """Add a node with its address on each link, with the checks of a member that is asked to (facts §6.3).

    Without ``addresses`` the ``fallback_address`` is taken, if the cluster has exactly one link. ``nodeid`` defaults to
    the lowest free one. ``force`` lets an existing node of equal id and votes come again.
    """
    if not is_node_name(name):
        raise CorosyncConfError(f"'{name}' is not a valid node name")
    if not addresses:
        if len(conf.links) != 1 or fallback_address is None:
            raise CorosyncConfError(
                "no links given but multiple links found on other nodes, "
                "fallback only supported on single-link clusters"
            )
        addresses = {conf.links[0]: fallback_address}
    for number in conf.links:
        if number not in addresses:
            raise CorosyncConfError(
                f"corosync: link {number} exists in cluster config but wasn't specified for new node"
            )
    for number in sorted(addresses):
        if number not in conf.links:
            raise CorosyncConfError(f"corosync: link {number} specified for new node doesn't exist in cluster config")
    _check_addresses_free(conf, name, addresses)
    existing = next((node for node in conf.nodes if node.name == name), None)
    if existing is not None:
        same = nodeid in (None, existing.nodeid) and votes == existing.quorum_votes
        if not (force and same):
            raise CorosyncConfError(f"can't add existing node '{name}'")
        nodeid = existing.nodeid
    for node in conf.nodes:
        if node.nodeid == nodeid and node.name != name:
            raise CorosyncConfError(f"node id {nodeid} is already used by node '{node.name}'")
    new = Node(name, conf.free_nodeid if nodeid is None else nodeid, dict(addresses), votes)
    return bump_version(replace(conf, nodes=(*(node for node in conf.nodes if node.name != name), new)))


def remove_node(conf: CorosyncConf, name: str) -> CorosyncConf:
    """Remove a node by its name or its address on link 0 or 1 (facts §6.4). The last one cannot be removed."""
    node = next(
        (node for node in conf.nodes if name in (node.name, node.addresses.get(0), node.addresses.get(1))), None
    )
    if node is None:
        raise CorosyncConfError(f"Node/IP: {name} is not a known host of the cluster.")
    if len(conf.nodes) == 1:
        raise CorosyncConfError("Cannot delete myself from cluster!")
    return bump_version(replace(conf, nodes=tuple(other for other in conf.nodes if other is not node)))


def add_link(
    conf: CorosyncConf, number: int, addresses: Mapping[str, str], *, priority: int | None = None
) -> CorosyncConf:
    """Add a link with an address for each node, ``{node name: address}``.

    All links get an ``interface`` block as soon as one has it: without, the next node addition would be refused.
    """
    _check_link_number(number)
    if number in conf.links:
        raise CorosyncConfError(f"link {number} exists already")
    names = {node.name for node in conf.nodes}
    if missing := sorted(names - set(addresses)):
        raise CorosyncConfError(f"link {number} has no address for {', '.join(missing)}")
    if unknown := sorted(set(addresses) - names):
        raise CorosyncConfError(f"link {number} has an address for {', '.join(unknown)}, not in the cluster")
    for name, address in addresses.items():
        _check_addresses_free(conf, name, {number: address})
    if repeated := [address for address, count in Counter(addresses.values()).items() if count > 1]:
        raise CorosyncConfError(f"link {number} has the address {repeated[0]} for more than one node")
    nodes = tuple(replace(node, addresses={**node.addresses, number: addresses[node.name]}) for node in conf.nodes)
    interfaces = dict(conf.totem.interfaces)
    if interfaces or priority is not None:
        for link in conf.links:
            interfaces.setdefault(link, _interface(link, None))
        interfaces[number] = _interface(number, priority)
    return bump_version(replace(conf, nodes=nodes, totem=replace(conf.totem, interfaces=interfaces)))


def remove_link(conf: CorosyncConf, number: int) -> CorosyncConf:
    """Remove a link from all nodes. The only one cannot be removed."""
    if number not in conf.links:
        raise CorosyncConfError(f"there is no link {number}")
    if len(conf.links) == 1:
        raise CorosyncConfError(f"link {number} is the only one")
    nodes = tuple(
        replace(node, addresses={link: address for link, address in node.addresses.items() if link != number})
        for node in conf.nodes
    )
    interfaces = {link: interface for link, interface in conf.totem.interfaces.items() if link != number}
    return bump_version(replace(conf, nodes=nodes, totem=replace(conf.totem, interfaces=interfaces)))


def change_address(conf: CorosyncConf, name: str, number: int, address: str) -> CorosyncConf:
    """Give a node another address on a link that it has."""
    node = conf.node(name)
    if number not in node.addresses:
        raise CorosyncConfError(f"node '{name}' has no link {number}")
    _check_addresses_free(conf, name, {number: address})
    changed = replace(node, addresses={**node.addresses, number: address})
    return bump_version(replace(conf, nodes=tuple(changed if other is node else other for other in conf.nodes)))


def set_link_priority(conf: CorosyncConf, number: int, priority: int | None) -> CorosyncConf:
    """Set (or with ``None`` unset) the ``knet_link_priority`` of a link; higher is preferred."""
    if number not in conf.links:
        raise CorosyncConfError(f"there is no link {number}")
    interfaces = {link: conf.totem.interfaces.get(link, Interface(link)) for link in conf.links}
    interfaces[number] = replace(interfaces[number], priority=_interface(number, priority).priority)
    return bump_version(replace(conf, totem=replace(conf.totem, interfaces=interfaces)))


def add_qdevice(conf: CorosyncConf, host: str, *, force: bool = False) -> CorosyncConf:
    """Add a QDevice as ``pvecm qdevice setup`` does (facts §6.6): ffsplit with one vote, lms for odd counts.

    An odd node count is refused unless ``force``.
    """
    if conf.device is not None:
        raise CorosyncConfError("QDevice already configured!")
    odd = len(conf.nodes) % 2 == 1
    if odd and not force:
        raise CorosyncConfError("Clusters with an odd node count are not officially supported!")
    device = QDevice(host, algorithm="lms", votes=None) if odd else QDevice(host)
    return bump_version(replace(conf, device=device))


def remove_qdevice(conf: CorosyncConf) -> CorosyncConf:
    """Remove the QDevice."""
    if conf.device is None:
        raise CorosyncConfError("No QDevice configured!")
    return bump_version(replace(conf, device=None))


def problems(conf: CorosyncConf) -> Problems:
    """Find what is wrong with a configuration; all of it, not the first fault only (rules: facts §6.5)."""
    found = Problems()
    if not conf.nodes:
        found.errors.append("no nodes found")
    if conf.totem.config_version < 1:
        found.errors.append("config_version must be at least 1")
    _twice(found, "node name", [node.name for node in conf.nodes])
    _twice(found, "node id", [str(node.nodeid) for node in conf.nodes])
    _twice(found, "address", [address for node in conf.nodes for address in set(node.addresses.values())])
    for node in conf.nodes:
        for number in conf.links:
            if number not in node.addresses:
                found.errors.append(f"node '{node.name}': no ring{number}_addr, but other nodes have link {number}")
        if len(set(node.addresses.values())) < len(node.addresses):
            found.warnings.append(f"node '{node.name}': the same address on more than one link")
        if not node.addresses:
            found.errors.append(f"node '{node.name}': no link")
        for number, address in sorted(node.addresses.items()):
            if not _is_address(address):
                found.warnings.append(f"node '{node.name}': ring{number}_addr '{address}' is a name, not an address")
    if conf.totem.interfaces:
        for number in sorted(set(conf.links) ^ set(conf.totem.interfaces)):
            missing = "no interface section" if number in conf.links else "an interface section but no address"
            found.errors.append(f"link {number}: {missing}")
    return found


def _twice(found: Problems, what: str, values: list[str]) -> None:
    found.errors.extend(f"{what} '{value}' is used twice" for value, count in Counter(values).items() if count > 1)


def _check_addresses_free(conf: CorosyncConf, name: str, addresses: Mapping[int, str]) -> None:
    for address in addresses.values():
        for node in conf.nodes:
            for number, taken in sorted(node.addresses.items()):
                if taken == address and node.name != name:
                    raise CorosyncConfError(
                        f"corosync: address '{address}' already used on link ring{number}_addr by node '{node.name}'"
                    )


def _check_link_number(number: int) -> None:
    if not 0 <= number < MAX_LINKS:
        raise CorosyncConfError(f"link number {number} is not in 0…{MAX_LINKS - 1}")


def _interface(number: int, priority: int | None) -> Interface:
    _check_link_number(number)
    if priority is not None and not 0 <= priority <= MAX_PRIORITY:
        raise CorosyncConfError(f"link {number}: priority {priority} is not in 0…{MAX_PRIORITY}")
    return Interface(number, priority)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
