# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dirty bitmaps: what a running VM has written since its last backup, so that only that has to be read again.

A guest works on its first disk only and writes one record behind the other, so what is dirty follows from the number of
the last record it had written then and now. A bitmap is lost with the run of the guest, as in the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack.backup.images import Image
from agentstack.guests.process import AREA, RECORD_SIZE, read_ledger
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex, Index

if TYPE_CHECKING:
    from agentstack.host import Host

_LEDGER_ENTRY = 16


@dataclass(frozen=True)
class Bitmap:
    """The state at a backup. `repository`: where that is; `time`: when it was made; `disks`: volume and size by key."""

    run: bytes
    repository: str
    time: int
    number: int
    disks: Mapping[str, tuple[str, int]]


class Bitmaps:
    """The bitmaps of a node's running guests."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._known: dict[int, Bitmap] = {}

    def get(self, vmid: int, repository: str) -> Bitmap | None:
        """The bitmap for backups in a repository; None if there is none, or the guest was restarted since."""
        bitmap, guest = self._known.get(vmid), self.host.guests.running.get(vmid)
        if bitmap is None or guest is None or (bitmap.run, bitmap.repository) != (guest.run, repository):
            return None
        return bitmap

    def take(self, vmid: int, repository: str, time: int, images: tuple[Image, ...]) -> Bitmap | None:
        """The state of a guest that is held right now."""
        guest = self.host.guests.running.get(vmid)
        if guest is None:
            return None
        disks = {image.key: (image.volume, image.size) for image in images}
        return Bitmap(guest.run, repository, time, self._written(vmid), disks)

    def keep(self, vmid: int, bitmap: Bitmap) -> None:
        """Remember the state of a backup that has succeeded."""
        self._known[vmid] = bitmap

    def _written(self, vmid: int) -> int:
        # a guest that is held has told the world of all that it wrote
        path = self.host.guests.ledger / str(vmid)
        if not path.exists() or path.stat().st_size < _LEDGER_ENTRY:
            return 0
        return max((number for number, _ in read_ledger(str(path))), default=0)


def dirty(old: Bitmap, new: Bitmap, image: Image, *, first: bool) -> frozenset[int] | None:
    """The numbers of the chunks of a disk that were written in between; None if it is not the disk it was."""
    if old.disks.get(image.key) != (image.volume, image.size):
        return None
    if not first or new.number == old.number:
        return frozenset()
    begin, end = AREA + old.number * RECORD_SIZE, AREA + new.number * RECORD_SIZE
    return frozenset(range(begin // CHUNK_SIZE, (end - 1) // CHUNK_SIZE + 1))


def fits(previous: Index | None, old: Bitmap) -> bool:
    """Whether the server's last snapshot is the one that a bitmap counts from."""
    return isinstance(previous, FixedIndex) and previous.created == old.time
