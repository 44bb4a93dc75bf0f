# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""External storage as one host reaches it: exports over NFS and LUNs over iSCSI, one file area for the whole stack.

The bytes lie in `STATE/arrays/NAME/`. A host reaches an array over the array's own network, so it can be cut off from
the cluster and still write to it, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.cluster.cabling import cabling_of
from agentstack.faults.host import WIRES

if TYPE_CHECKING:
    from agentstack.faults.kinds import Fault
    from agentstack.host import Host
    from agentstack.stack import Array


@dataclass(frozen=True)
class Lun:
    """A logical unit. `size` in bytes; `name` as volumes of `iscsi` storages are named; `directory`: what is on it."""

    name: str
    size: int
    directory: Path


class Arrays:
    """The arrays of the stack, seen from one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.cabling = cabling_of(host.stack)
        self.listeners: list[Callable[[], None]] = []
        """Each is called when an array may have come into or gone out of reach."""

    async def start(self) -> None:
        """Follow what is wrong with the networks."""
        self.host.faults.subscribe(*WIRES, apply=self._rewire)

    def _rewire(self, faults: list[Fault]) -> None:
        self.cabling.break_by(faults)
        for changed in self.listeners:
            changed()

    def find(self, server: str) -> Array | None:
        """The array of that name or address."""
        return next(
            (
                array
                for array in self.host.stack.arrays.values()
                if server in (array.name, array.address, f"{array.name}.{self.host.stack.name}.test")
            ),
            None,
        )

    def reached(self, array: Array) -> bool:
        """Tell whether the array answers this host."""
        own = self.host.addresses.get(array.network)
        return own is not None and self.cabling.open(own, array.address)

    def blocked(self, path: Path) -> bool:
        """Tell whether a write to a file on an array would wait: it is mounted hard, so it waits for ever."""
        base = self._base()
        if not path.is_relative_to(base):
            return False
        name = path.relative_to(base).parts[0]
        return not self.reached(self.host.stack.arrays[name])

    def export(self, array: Array, path: str) -> Path | None:
        """Where the bytes of an export are; None when the array has none of that path."""
        if path not in array.exports:
            return None
        directory = self._base() / array.name / "exports" / path.strip("/").replace("/", "_")
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def luns(self, array: Array, target: str) -> list[Lun]:
        """The LUNs of a target; `[]` for one that the array does not have."""
        found = []
        for number, size in enumerate(array.targets.get(target, ())):
            mark = f"{sum((array.name + target).encode()) + number:08x}"
            directory = self._base() / array.name / "luns" / f"{target.replace(':', '_')}-{number}"
            directory.mkdir(parents=True, exist_ok=True)
            found.append(Lun(f"0.0.{number}.scsi-36001405{mark}00000000000000", size, directory))
        return found

    def _base(self) -> Path:
        state: Path = self.host.state.parent.parent
        return state / "arrays"
