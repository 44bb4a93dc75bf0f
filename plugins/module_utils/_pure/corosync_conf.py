# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""corosync.conf: reading and writing it exactly as a cluster's nodes do (facts §6.5).

The file is a tree of brace sections. The writer sorts the keys of a section, indents by two blanks and puts an empty
line after each top section; nodes stand in the order of their names, interfaces in that of their link numbers.
What the model has no name for is kept in ``other`` and written back. Changes are made by :mod:`.corosync_change`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

#: one section: text for a key, a list for the subsections of a name
Tree: TypeAlias = "dict[str, str | list[Tree]]"

_SECTION = re.compile(r"([^\s:{}]+)\s*\{")
_KEY = re.compile(r"([^\s:{}]+)\s*:\s*(.*)")
_RING_ADDRESS = re.compile(r"ring([0-7])_addr")
_CONFIG_VERSION = re.compile(r"\s*config_version\s*:\s*(\d+)\s*", re.ASCII)


class CorosyncConfError(ValueError):
    """A corosync.conf that cannot be read, or a change that it does not admit."""


@dataclass(frozen=True)
class Node:
    """A ``nodelist.node``: its address on each link, by link number (``ringN_addr``)."""

    name: str
    nodeid: int
    addresses: Mapping[int, str]
    quorum_votes: int = 1
    other: Tree = field(default_factory=dict)

    def as_api(self) -> dict[str, str]:
        """The node as the API lists it, all values text: ``name``, ``nodeid``, ``quorum_votes``, ``ringN_addr``."""
        return {key: value for key, value in _node_tree(self).items() if isinstance(value, str)}


@dataclass(frozen=True)
class Interface:
    """A ``totem.interface``. Of two links corosync prefers the one with the higher priority, 0…255 (facts §6.1)."""

    linknumber: int
    priority: int | None = None
    other: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Totem:
    """The ``totem`` section; ``other`` holds version, ip_version, link_mode, secauth, token_coefficient, …"""

    cluster_name: str
    config_version: int
    interfaces: Mapping[int, Interface] = field(default_factory=dict)
    other: Tree = field(default_factory=dict)

    def as_api(self) -> dict[str, str | dict[str, dict[str, str]]]:
        """The section as the API gives it: all values text, ``interface`` a map by link number (observed: join)."""
        tree = _totem_tree(self)
        tree.pop("interface", None)
        result: dict[str, str | dict[str, dict[str, str]]] = {k: v for k, v in tree.items() if isinstance(v, str)}
        if self.interfaces:
            result["interface"] = {
                str(number): {k: v for k, v in _interface_tree(interface).items() if isinstance(v, str)}
                for number, interface in sorted(self.interfaces.items())
            }
        return result


@dataclass(frozen=True)
class QDevice:
    """The ``quorum.device`` section of a QDevice; ``votes`` is None where the device computes them (algorithm lms)."""

    host: str
    algorithm: str = "ffsplit"
    votes: int | None = 1
    tls: str = "on"
    model: str = "net"
    net_other: Tree = field(default_factory=dict)
    other: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class CorosyncConf:
    """A whole corosync.conf. ``quorum_other`` holds ``provider``, ``other`` the sections ``logging`` and the like."""

    nodes: tuple[Node, ...]
    totem: Totem
    device: QDevice | None = None
    quorum_other: Tree = field(default_factory=dict)
    other: Tree = field(default_factory=dict)

    @property
    def links(self) -> tuple[int, ...]:
        """Numbers of the links that any node has an address on, ascending."""
        return tuple(sorted({number for node in self.nodes for number in node.addresses}))

    @property
    def expected_votes(self) -> int:
        """Votes of all nodes and of the QDevice, which without fixed votes has one less than there are nodes."""
        votes = sum(node.quorum_votes for node in self.nodes)
        if self.device is None:
            return votes
        return votes + (len(self.nodes) - 1 if self.device.votes is None else self.device.votes)

    @property
    def quorum(self) -> int:
        """Votes that make a partition quorate (two_node mode is not used; facts §6.6)."""
        return self.expected_votes // 2 + 1

    @property
    def free_nodeid(self) -> int:
        """The lowest node id, from 1, that no node has."""
        taken = {node.nodeid for node in self.nodes}
        return next(number for number in range(1, len(taken) + 2) if number not in taken)

    def node(self, name: str) -> Node:
        """The node of this name; ``CorosyncConfError`` if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise CorosyncConfError(f"Node/IP: {name} is not a known host of the cluster.")

    def format(self) -> str:
        """The text of the file."""
        quorum: Tree = dict(self.quorum_other)
        if self.device is not None:
            quorum["device"] = [_device_tree(self.device)]
        nodes = [_node_tree(node) for node in sorted(self.nodes, key=lambda node: node.name)]
        return format_tree(
            {**self.other, "nodelist": [{"node": nodes}], "quorum": [quorum], "totem": [_totem_tree(self.totem)]}
        )


def parse(text: str) -> CorosyncConf:
    """Parse a corosync.conf. Raises :class:`CorosyncConfError` with the place of the fault.

    A node without ``name`` is called by its first address, as the server does; ``quorum_votes`` defaults to 1.
    """
    tree = parse_tree(text)
    nodelist = _only_section(tree, "nodelist")
    totem = _only_section(tree, "totem")
    quorum = _only_section(tree, "quorum", required=False)
    devices = _sections(quorum, "device")
    return CorosyncConf(
        nodes=tuple(_parse_node(node) for node in _sections(nodelist, "node")),
        totem=_parse_totem(totem),
        device=_parse_device(devices[0]) if devices else None,
        quorum_other=_without(quorum, "device"),
        other=_without(tree, "nodelist", "quorum", "totem"),
    )


def read_config_version(text: str) -> int:
    """Read just ``config_version``, which decides whether a node takes a new file.

    Raises ``CorosyncConfError``, ``unable to parse cluster config_version``, if it is missing or 0 (observed: log).
    """
    for line in text.splitlines():
        if (match := _CONFIG_VERSION.fullmatch(line)) and int(match[1]):
            return int(match[1])
    raise CorosyncConfError("unable to parse cluster config_version")


def parse_tree(text: str) -> Tree:
    """Parse brace sections into a tree without giving it a meaning. Raises ``CorosyncConfError`` with the line."""
    root: Tree = {}
    stack = [root]
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        current = stack[-1]
        if line == "}":
            if len(stack) == 1:
                raise CorosyncConfError(f"line {number}: closing brace without a section")
            stack.pop()
        elif match := _SECTION.fullmatch(line):
            siblings = current.setdefault(match[1], [])
            if isinstance(siblings, str):
                raise CorosyncConfError(f"line {number}: '{match[1]}' is a key already")
            siblings.append({})
            stack.append(siblings[-1])
        elif (match := _KEY.fullmatch(line)) and len(stack) > 1:
            if match[1] in current:
                raise CorosyncConfError(f"line {number}: '{match[1]}' is set twice")
            current[match[1]] = match[2]
        else:
            raise CorosyncConfError(f"line {number}: neither section nor key: '{line}'")
    if len(stack) > 1:
        raise CorosyncConfError("unexpected end of file: a section is not closed")
    return root


def format_tree(tree: Tree) -> str:
    """Write a tree as the server does: keys sorted, two blanks of indent, an empty line after each top section."""
    return "".join("}\n\n" if line == "}" else f"{line}\n" for line in _lines(tree, ""))


def _lines(tree: Tree, indent: str) -> list[str]:
    lines: list[str] = []
    for key in sorted(tree):
        value = tree[key]
        if isinstance(value, str):
            lines.append(f"{indent}{key}: {value}")
        else:
            for section in value:
                lines += [f"{indent}{key} {{", *_lines(section, indent + "  "), f"{indent}}}"]
    return lines


def _sections(tree: Tree, name: str) -> list[Tree]:
    value = tree.get(name, [])
    if isinstance(value, str):
        raise CorosyncConfError(f"'{name}' is a key where a section is wanted")
    return value


def _only_section(tree: Tree, name: str, *, required: bool = True) -> Tree:
    sections = _sections(tree, name)
    if len(sections) > 1:
        raise CorosyncConfError(f"section '{name}' is there twice")
    if not sections and required:
        raise CorosyncConfError(f"section '{name}' is missing")
    return sections[0] if sections else {}


def _without(tree: Tree, *keys: str) -> Tree:
    return {key: value for key, value in tree.items() if key not in keys}


def _text(tree: Tree, key: str, where: str, default: str | None = None) -> str:
    value = tree.get(key, default)
    if not isinstance(value, str):
        raise CorosyncConfError(f"{where}: '{key}' is missing")
    return value


def _number(tree: Tree, key: str, where: str, default: str | None = None) -> int:
    text = _text(tree, key, where, default)
    if not text.isdecimal():
        raise CorosyncConfError(f"{where}: '{key}' is no number: '{text}'")
    return int(text)


def _parse_node(tree: Tree) -> Node:
    addresses: dict[int, str] = {}
    for key in sorted(tree):
        if match := _RING_ADDRESS.fullmatch(key):
            addresses[int(match[1])] = _text(tree, key, "nodelist.node")
    name = _text(tree, "name", "nodelist.node", next(iter(addresses.values()), None))
    modelled = ("name", "nodeid", "quorum_votes", *(f"ring{number}_addr" for number in addresses))
    return Node(
        name=name,
        nodeid=_number(tree, "nodeid", f"node '{name}'"),
        addresses=addresses,
        quorum_votes=_number(tree, "quorum_votes", f"node '{name}'", "1"),
        other=_without(tree, *modelled),
    )


def _node_tree(node: Node) -> Tree:
    addresses: Tree = {f"ring{number}_addr": node.addresses[number] for number in sorted(node.addresses)}
    numbers: Tree = {"nodeid": str(node.nodeid), "quorum_votes": str(node.quorum_votes)}
    return {**node.other, "name": node.name, **numbers, **addresses}


def _parse_totem(tree: Tree) -> Totem:
    interfaces: dict[int, Interface] = {}
    for section in _sections(tree, "interface"):
        # corosync 2 called it ringnumber
        number = _number(section, "linknumber", "totem.interface", _text(section, "ringnumber", "", "0"))
        if number in interfaces:
            raise CorosyncConfError(f"totem: interface {number} is there twice")
        priority = "knet_link_priority"
        interfaces[number] = Interface(
            linknumber=number,
            priority=_number(section, priority, "totem.interface") if priority in section else None,
            other=_without(section, "linknumber", priority),
        )
    return Totem(
        cluster_name=_text(tree, "cluster_name", "totem"),
        config_version=_number(tree, "config_version", "totem"),
        interfaces=interfaces,
        other=_without(tree, "cluster_name", "config_version", "interface"),
    )


def _interface_tree(interface: Interface) -> Tree:
    tree: Tree = {**interface.other, "linknumber": str(interface.linknumber)}
    if interface.priority is not None:
        tree["knet_link_priority"] = str(interface.priority)
    return tree


def _totem_tree(totem: Totem) -> Tree:
    tree: Tree = {**totem.other, "cluster_name": totem.cluster_name, "config_version": str(totem.config_version)}
    if totem.interfaces:
        tree["interface"] = [_interface_tree(totem.interfaces[number]) for number in sorted(totem.interfaces)]
    return tree


def _parse_device(tree: Tree) -> QDevice:
    net = _only_section(tree, "net")
    return QDevice(
        host=_text(net, "host", "quorum.device.net"),
        algorithm=_text(net, "algorithm", "quorum.device.net"),
        votes=_number(tree, "votes", "quorum.device") if "votes" in tree else None,
        tls=_text(net, "tls", "quorum.device.net", "on"),
        model=_text(tree, "model", "quorum.device"),
        net_other=_without(net, "host", "algorithm", "tls"),
        other=_without(tree, "model", "votes", "net"),
    )


def _device_tree(device: QDevice) -> Tree:
    net: Tree = {**device.net_other, "algorithm": device.algorithm, "host": device.host, "tls": device.tls}
    tree: Tree = {**device.other, "model": device.model, "net": [net]}
    if device.votes is not None:
        tree["votes"] = str(device.votes)
    return tree
