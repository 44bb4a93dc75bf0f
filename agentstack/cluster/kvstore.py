# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts tell each other without keeping it: status values by node and key, and the cluster log."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from agentstack.api.endpoint import Json

MAX_LOG = 500
"""Entries of the cluster log that a host remembers."""


@dataclass(frozen=True)
class Value:
    """A status value and how often it has been set since this host knows of it."""

    value: Json
    version: int


class KvStore:
    """The last value of every key of every member. Values of a node are gone when the node is."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Value]] = {}
        self.addresses: dict[str, str] = {}
        """Management address of every node that was seen online since this host started."""

    def set(self, node: str, key: str, value: Json) -> None:
        keys = self.nodes.setdefault(node, {})
        keys[key] = Value(value, keys[key].version + 1 if key in keys else 0)
        if key == "nodeip":
            self.addresses[node] = str(value)

    def get(self, node: str, key: str) -> Json:
        """The value, or None."""
        found = self.nodes.get(node, {}).get(key)
        return None if found is None else found.value

    def keep(self, nodes: Collection[str]) -> None:
        """Forget all other nodes."""
        self.nodes = {node: keys for node, keys in self.nodes.items() if node in nodes}


class ClusterLog:
    """The newest entries of all members, as `/cluster/log` and `.clusterlog` show them."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=MAX_LOG)
        self._uid = 0

    def add(self, entry: dict[str, Any]) -> None:
        """`entry`: time, pri (0-7), tag, pid, node, user, msg."""
        self._uid += 1
        self._entries.appendleft({"uid": self._uid, **entry})

    def newest(self, count: int = MAX_LOG) -> list[dict[str, Any]]:
        return list(self._entries)[:count]
