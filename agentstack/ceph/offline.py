# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads images from the OSDs' files of a stack without asking anybody: what the disks hold, whatever the daemons say.

An object is read from an OSD that the newest maps name as complete for its placement group, and whose disk is there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstack.ceph import label
from agentstack.ceph.images import DIRECTORY, OBJECT, data_of, header_of, pieces
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.objects import BLOCK
from agentstack.ceph.peering import placement_groups
from agentstack.ceph.placement import seed_of

MAPS = "root/var/lib/ceph/agent/maps.json"


@dataclass
class StoredImage:
    """An image as the OSDs have it. `path`: what it is called, relative to the state directory."""

    cluster: StoredCluster
    pool: int
    name: str
    id: str
    size: int
    path: Path
    layers: list[str]
    """Where objects are that a clone has not itself (`images.Image`)."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the image, fewer at its end; zeros where no copy is to be found."""
        parts = [
            self.cluster.read(self.pool, self._source(number), start, count)
            for number, start, count in pieces(offset, min(length, max(0, self.size - offset)))
        ]
        return b"".join(parts)

    def _source(self, number: int) -> str:
        names = [data_of(ident, number) for ident in (self.id, *self.layers)]
        return next((name for name in names[:-1] if self.cluster.has(self.pool, name)), names[-1])


class StoredCluster:
    """One Ceph cluster's newest maps and the files of its OSDs."""

    def __init__(self, state: Path, maps: ClusterMap) -> None:
        self.state = state
        self.maps = maps
        self.groups = {pool.id: placement_groups(maps, pool) for pool in maps.pools.values()}

    def stores(self, pool: int, name: str) -> Iterator[Path]:
        """The files that should hold an object, living OSDs first."""
        group = self.groups[pool][seed_of(name, self.maps.pools[pool].pg_num)]
        for number in sorted(group.complete, key=lambda osd: osd not in group.acting):
            osd = self.maps.osds.get(number)
            if osd is None:
                continue
            folder = self.state / "hosts" / osd.host
            image = folder / "disks" / f"{osd.device.rpartition('/')[2]}.img"
            file = folder / "osd" / f"{osd.uuid}.db"
            if file.exists() and osd.uuid in label.read(image):
                yield file

    def copies(self, pool: int, name: str) -> dict[str, bytes]:
        """OSD uuid -> the first 4 MiB of an object, of every OSD that should have it and has a disk."""
        return {file.stem: _read(file, pool, name, 0, OBJECT) for file in self.stores(pool, name)}

    def read(self, pool: int, name: str, offset: int, length: int) -> bytes:
        """Bytes of an object; zeros where no copy is to be found."""
        file = next(self.stores(pool, name), None)
        return _read(file, pool, name, offset, length) if file else bytes(length)

    def has(self, pool: int, name: str) -> bool:
        """Tell whether there is such an object."""
        file = next(self.stores(pool, name), None)
        return file is not None and _exists(file, pool, name)

    def mapping(self, pool: int, name: str) -> dict[str, Any]:
        """The mapping that an object holds; empty if there is none."""
        data = self.read(pool, name, 0, OBJECT).rstrip(b"\0")
        document: dict[str, Any] = json.loads(data) if data else {}
        return document

    def images(self) -> Iterator[StoredImage]:
        """All images of all pools."""
        for pool in self.maps.pools.values():
            for name, ident in sorted(self.mapping(pool.id, DIRECTORY).items()):
                header = self.mapping(pool.id, header_of(str(ident)))
                if header:
                    path = Path("ceph") / self.maps.fsid / pool.name / name
                    layers = header.get("layers", [])
                    yield StoredImage(self, pool.id, name, str(ident), int(header["size"]), path, layers)


def clusters(state: Path) -> Iterator[StoredCluster]:
    """The Ceph clusters of a stack, each by its newest maps."""
    newest: dict[str, ClusterMap] = {}
    for file in sorted((state / "hosts").glob(f"*/{MAPS}")):
        maps = ClusterMap.from_json(json.loads(file.read_text()))
        if maps.fsid not in newest or maps.epoch > newest[maps.fsid].epoch:
            newest[maps.fsid] = maps
    for maps in newest.values():
        yield StoredCluster(state, maps)


def _exists(file: Path, pool: int, name: str) -> bool:
    with _opened(file) as database:
        row = database.execute("SELECT 1 FROM object WHERE pool = ? AND name = ?", (pool, name)).fetchone()
    return row is not None


def _read(file: Path, pool: int, name: str, offset: int, length: int) -> bytes:
    first, last = offset // BLOCK, (offset + length - 1) // BLOCK
    with _opened(file) as database:
        rows = database.execute(
            "SELECT number, data FROM block WHERE pool = ? AND name = ? AND number BETWEEN ? AND ?",
            (pool, name, first, last),
        ).fetchall()
    data = bytearray((last - first + 1) * BLOCK)
    for number, content in rows:
        data[(number - first) * BLOCK : (number - first + 1) * BLOCK] = content
    return bytes(data[offset - first * BLOCK :][:length])


def _opened(file: Path) -> closing[sqlite3.Connection]:
    """An OSD's file, for reading alone."""
    return closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True))
