# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists as Proxmox VE writes them in one string: ids, nodes with priorities, HA service ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_SEPARATOR = re.compile(r"[\0,;\s]+")
_DIGITS = re.compile(r"(\d+)")
_NODE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?")
_NODE_PRIORITY = re.compile(rf"({_NODE.pattern})(?::(\d+))?")
_SID = re.compile(r"([a-z]+):(\S+)")


def split_list(text: str | None) -> list[str]:
    """Split a ``-list`` value at NUL, ``;``, ``,`` and white space (facts §1.1).

    Empty elements vanish, order and duplicates stay. ``None`` and ``""`` give ``[]``.
    """
    return [part for part in _SEPARATOR.split(text or "") if part]


def join_list(items: Iterable[str], *, sort: bool = False) -> str:
    """Write items as the comma list that the API takes and the configuration files hold.

    With ``sort`` they are put in natural order. Raises ``ValueError`` for an item that would not come back as
    itself (empty, or with a separator in it).
    """
    parts = natural_sorted(items) if sort else list(items)
    for part in parts:
        if split_list(part) != [part]:
            raise ValueError(f"'{part}' cannot be an element of a list")
    return ",".join(parts)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which runs of digits compare as numbers: ``vm:9`` before ``vm:10``, ``pve2`` before ``pve10``."""
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(text) if part)


def natural_sorted(items: Iterable[str]) -> list[str]:
    """Return the items in natural order (see :func:`natural_key`)."""
    return sorted(items, key=natural_key)


def is_node_name(text: str) -> bool:
    """Tell whether text is a node name: letters, digits, inner hyphens (facts §2, format ``pve-node``)."""
    return _NODE.fullmatch(text) is not None


def parse_node_list(text: str) -> dict[str, int]:
    """Parse ``pve1:2,pve2`` into ``{"pve1": 2, "pve2": 0}``, in the order written.

    A priority that is not written is 0; the higher one is preferred (facts §2, format ``pve-ha-node-list``).
    Raises ``ValueError`` for a malformed element or a node that is named twice.
    """
    nodes: dict[str, int] = {}
    for part in split_list(text):
        match = _NODE_PRIORITY.fullmatch(part)
        if match is None:
            raise ValueError(f"invalid node list element '{part}'")
        name = match[1]
        if name in nodes:
            raise ValueError(f"node '{name}' is listed twice")
        nodes[name] = int(match[2] or 0)
    return nodes


def format_node_list(nodes: Mapping[str, int]) -> str:
    """Write ``{"pve2": 0, "pve1": 2}`` as ``pve1:2,pve2``: by name, priority 0 left out (facts §7.1)."""
    return ",".join(f"{name}:{nodes[name]}" if nodes[name] else name for name in natural_sorted(nodes))


def parse_sid(sid: str) -> tuple[str, str]:
    """Split an HA service id, ``vm:100``, into ``("vm", "100")``. Raises ``ValueError`` in the server's words."""
    match = _SID.fullmatch(sid)
    if match is None:
        raise ValueError("value does not look like a valid ha resource id")
    return match[1], match[2]
