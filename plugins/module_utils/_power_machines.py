# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of a cluster as the control node sees them, whatever the cluster says. Private to this collection."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ._errors import QuorateError, StateError
from ._hosts import NODES, Hosts, ssh_options
from ._parallel import all_or_error, side_by_side
from ._power import OPTIONS as POWER
from ._power import Button
from ._reboot import BOOT_ID, read_boot_id

PATIENCE = 5.0
"""Seconds that a machine has to answer."""

OPTIONS: dict[str, Any] = {
    "cluster": {"type": "str", "required": True},
    "nodes": {**NODES, "required": True, "options": {**NODES["options"], "power": {"type": "dict", "options": POWER}}},
    "note": {"type": "path", "required": True},
    "tolerate": {"type": "list", "elements": "str", "default": []},
    "command_timeout": {"type": "int", "default": 60},
    **ssh_options(60),
}
"""Options of the modules that switch a whole cluster off or on."""


class Machines:
    """Nodes by name. ``entries``: a module's list with node, address, host_key and power."""

    def __init__(self, entries: Sequence[Mapping[str, Any]], ports: Sequence[int], timeout: float) -> None:
        self.entries = {str(entry["node"]): entry for entry in entries}
        self.ports = ports
        self.buttons = {
            node: Button.of({"node": node, **entry["power"]}, timeout, f"nodes ({node}).power")
            for node, entry in self.entries.items()
            if entry.get("power")
        }

    @property
    def names(self) -> list[str]:
        """The nodes."""
        return list(self.entries)

    def answering(self) -> list[str]:
        """Those with the API or SSH at one of their ports."""
        found = side_by_side(lambda node: self._answers(node, self.ports), self.names)
        return [node for node, answers in zip(self.names, all_or_error(found), strict=True) if answers]

    def serving(self) -> list[str]:
        """Those with the API."""
        found = side_by_side(lambda node: self._answers(node, self.ports[:1]), self.names)
        return [node for node, answers in zip(self.names, all_or_error(found), strict=True) if answers]

    def _answers(self, node: str, ports: Sequence[int]) -> bool:
        for port in ports:
            try:
                socket.create_connection((str(self.entries[node]["address"]), port), PATIENCE).close()
            except OSError:
                continue
            return True
        return False

    def power(self, node: str) -> str | None:
        """``on`` or ``off`` by its power button; None if there is no way to ask."""
        button = self.buttons.get(node)
        return button.state() if button else None

    def can_be_switched_on(self, node: str) -> bool:
        """Whether there is a way to press its button."""
        button = self.buttons.get(node)
        return button is not None and ("on" in button.commands or button.ipmi is not None)

    def off(self, nodes: Collection[str]) -> list[str]:
        """Those of the nodes that are off: they do not answer, and their buttons, where they can be asked, say so."""
        there = self.answering()
        silent = [node for node in nodes if node not in there]
        states = all_or_error(side_by_side(self.power, silent))
        return [node for node, state in zip(silent, states, strict=True) if state != "on"]


def boots(hosts: Hosts, nodes: Sequence[str]) -> dict[str, str]:
    """Node -> the id of its present boot, over SSH. Raises :class:`ShellError`, :class:`StateError`."""
    answers = hosts.on_all(read_boot_id, nodes)
    for node, answer in answers.items():
        if isinstance(answer, QuorateError):
            raise answer
        if not answer:
            raise StateError(f"{node} does not tell its boot id ({BOOT_ID})", where="nodes")
    return {node: str(answer) for node, answer in answers.items()}
