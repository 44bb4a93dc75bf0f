# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the parts of a host learn what is broken about it: `host.faults`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentstack.faults import desk
from agentstack.faults.kinds import Fault

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

Apply = Callable[[list[Fault]], None]


class Faults:
    """The stack's faults as this host has to know them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.state = host.state.parent.parent
        self._present: list[Fault] = []
        self._subscribers: list[tuple[frozenset[str], Apply, list[Fault]]] = []

    async def start(self) -> None:
        """Begin to follow the stack's list of faults."""
        self.host.supervisor.listen(self._refresh)
        self._refresh()

    async def stop(self) -> None:
        """Hear nothing more."""
        self.host.supervisor.listen(None)

    def of(self, kind: str) -> list[Fault]:
        """The faults of a kind; of those that are about a host, only this host's."""
        return [fault for fault in self._present if fault.kind == kind]

    def subscribe(self, *kinds: str, apply: Apply) -> None:
        """Have `apply` called with all faults of these kinds: now if there are any, and after every change of them."""
        found = [fault for kind in kinds for fault in self.of(kind)]
        self._subscribers.append((frozenset(kinds), apply, found))
        if found:
            apply(found)

    def _refresh(self) -> None:
        version, faults = desk.read(self.state)
        self._present = [fault for fault in faults if self._concerns(fault)]
        wrong = sum(fault.settings["offset"] for fault in self.of("clock"))
        self.host.clock.offset = self.host.spec.clock_offset + desk.advanced(self.state) + wrong
        for index, (kinds, apply, before) in enumerate(self._subscribers):
            found = [fault for fault in self._present if fault.kind in kinds]
            if found != before:
                self._subscribers[index] = (kinds, apply, found)
                apply(found)
        self.host.supervisor.took_faults(version)

    def _concerns(self, fault: Fault) -> bool:
        # every host needs to know what is wrong with the networks; of other things only its own
        return fault.kind in WIRES or not fault.target or fault.target[0] == self.host.name


WIRES = frozenset({"link", "network", "host", "partition", "array", "authority"})
