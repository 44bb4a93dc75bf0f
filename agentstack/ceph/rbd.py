# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests' disks in a pool (storages of type `rbd`): images whose objects lie on the OSDs.

A running guest works on its image through a device (`device`). Whoever wants a file gets a copy of the image's
content below the host's `rbd` directory, made when its path is asked for, and says `commit` after writing into it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentstack.ceph import device
from agentstack.ceph.images import Image, Images
from agentstack.ceph.maps import ClusterMap, Pool
from agentstack.ceph.peering import placement_groups
from agentstack.errors import AgentError
from agentstack.storage.volumes import TEXTS as VOLUME_TEXTS
from agentstack.storage.volumes import Usage, Volume, base_name, check_name, free_name

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.sections import Entry

T = TypeVar("T")

TEXTS = {
    "connect": "rbd error: rbd: couldn't connect to the cluster!",
    "no_pool": "rbd error: rbd: error opening pool '{pool}': (2) No such file or directory",
    "no_image": "rbd error: rbd: error opening image {name}: (2) No such file or directory",
    "exists": "rbd create '{name}' error: rbd: create error: (17) File exists",
    "name": "unable to parse rbd volume name '{name}'",
    "blocked": "rbd error: got timeout",
}

_NAME = re.compile(r"(?:vm|base)-(\d+)-[^\s/]+")
_LINKED = re.compile(r"(base-\d+-[^\s/]+)/(.+)")
"""Volumes that are clones of a base volume are named with it: `base-100-disk-0/vm-101-disk-0`."""

BASE = "__base__"
"""The protected snapshot of a base volume that clones are made from."""
TIMEOUT = 10.0
"""Real seconds that whoever manages images waits for the OSDs; guests wait as long as it takes."""
FULL = 0.95
"""mon_osd_full_ratio: the part of the raw space that can be used."""


class RbdPool:
    """Images of replicated pools."""

    shared_files = True

    def __init__(self, host: Host) -> None:
        self.host = host
        self._places: dict[Path, tuple[Entry, str]] = {}

    async def activate(self, entry: Entry) -> None:
        """Nothing is opened before an image is (krbd or not)."""

    def _reach(self, entry: Entry) -> tuple[ClusterMap, Pool]:
        """The maps and the pool behind a storage; AgentError when Ceph does not answer here."""
        group = self.host.ceph.group
        if self.host.ceph.installed is None or not group.quorum() or group.cluster is None:
            raise AgentError(TEXTS["connect"])
        name = entry.values.get("pool", "rbd")
        pool = group.cluster.pool(name)
        if pool is None:
            raise AgentError(TEXTS["no_pool"].format(pool=name))
        return group.cluster, pool

    def _images(self, entry: Entry) -> Images:
        """The images of a storage, when its pool can be read at this moment."""
        cluster, pool = self._reach(entry)
        plane = self.host.ceph.plane
        if plane is None:
            raise AgentError(TEXTS["connect"])
        if not all(group.writable for group in placement_groups(cluster, pool)):
            raise AgentError(TEXTS["blocked"])
        return Images(plane.client, pool.id)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        plane = self.host.ceph.plane
        assert plane is not None
        try:
            return plane.wait(work, TIMEOUT)
        except TimeoutError:
            raise AgentError(TEXTS["blocked"]) from None

    def _open(self, entry: Entry, name: str) -> tuple[Images, Image]:
        name = _own(name)
        images = self._images(entry)
        try:
            return images, self._do(images.open(name))
        except AgentError as error:
            if "No such file" not in error.message:
                raise
            raise AgentError(TEXTS["no_image"].format(name=name)) from error

    def usage(self, entry: Entry) -> Usage | None:
        try:
            cluster, pool = self._reach(entry)
        except AgentError:
            return None
        stats = self.host.ceph.stats()
        raw = sum(osd.size for osd in cluster.osds.values() if osd.up and osd.included)
        used = sum(size for name, (_, size) in stats.items() if name.startswith(f"{pool.id}."))
        # a pool can take what its share of the raw space leaves after the full ratio
        available = max(int(raw * FULL) // pool.size - used, 0)
        return Usage(used + available, used, available)

    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str:
        images = self._images(entry)
        taken = set(self._do(images.names()))
        name = name or free_name(taken, vmid, "raw")
        check_name(name, vmid, "raw")
        if name in taken:
            raise AgentError(TEXTS["exists"].format(name=name))
        self._do(images.create(name, size, int(self.host.clock.now())))
        return name

    def free(self, entry: Entry, name: str) -> None:
        images, image = self._open(entry, name)
        if self._do(images.children(image.name)):
            raise AgentError(VOLUME_TEXTS["used"].format(volid=f"{entry.id}:{name}"))
        if BASE in image.snapshots:
            self._do(images.protect(image.name, BASE, protected=False))
        self._do(images.purge(image.name))
        self._do(images.remove(image.name))
        self._file(images, image.name).unlink(missing_ok=True)

    def make_base(self, entry: Entry, name: str) -> str:
        images, image = self._open(entry, name)
        new = base_name(image.name)
        self._do(images.rename(image.name, new))
        self._do(images.snapshot(new, BASE))
        self._do(images.protect(new, BASE, protected=True))
        return new

    def clone(self, entry: Entry, name: str, vmid: int) -> str:
        images, image = self._open(entry, name)
        own = free_name(set(self._do(images.names())), vmid, "raw")
        self._do(images.clone(image.name, BASE, own, int(self.host.clock.now())))
        return f"{image.name}/{own}"

    def _file(self, images: Images, name: str) -> Path:
        return self.host.state / "rbd" / str(images.pool) / f"{name}.raw"

    def place(self, entry: Entry, name: str) -> Path:
        """The path by which an image is known on this host, without anything being copied there."""
        images, image = self._open(entry, name)
        place = self._file(images, image.name)
        self._places[place] = (entry, name)
        return place

    def path(self, entry: Entry, name: str) -> Path:
        images, image = self._open(entry, name)
        target = self._file(images, image.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._do(images.export(image, target))
        return target

    def commit(self, entry: Entry, name: str) -> None:
        """Give the image the content that was written into the file at its path."""
        images, image = self._open(entry, name)
        self._do(images.take(image, self._file(images, image.name)))

    def attach(self, place: Path) -> tuple[socket.socket, int] | None:
        """A guest's end of a device on the image at a place, and its size; None where there is none."""
        if place not in self._places:
            return None
        images, image = self._open(*self._places[place])
        plane = self.host.ceph.plane
        assert plane is not None
        guest, own = socket.socketpair()
        own.setblocking(False)
        plane.spawn(device.serve(images, image, own))
        return guest, image.size

    def device(self, entry: Entry, name: str) -> str:
        pool, name = entry.values.get("pool", "rbd"), _own(name)
        return f"/dev/rbd-pve/{pool}/{name}" if entry.values.get("krbd") else f"rbd:{pool}/{name}"

    def list(self, entry: Entry) -> Iterator[Volume]:
        images = self._images(entry)
        for image, used in self._do(images.all()):
            if match := _NAME.fullmatch(image.name):
                parent = f"{image.parent['image']}/" if image.parent else ""
                volid = f"{entry.id}:{parent}{image.name}"
                yield Volume(volid, "images", "raw", image.size, used, image.created, int(match[1]))

    def resize(self, entry: Entry, name: str, size: int) -> None:
        self._do(self._open(entry, name)[0].resize(_own(name), size))

    def can_snapshot(self, entry: Entry, name: str) -> bool:
        return True

    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self._do(self._open(entry, name)[0].snapshot(_own(name), snapshot))

    def snapshot_path(self, entry: Entry, name: str, snapshot: str) -> Path:
        images, image = self._open(entry, name)
        target = self._file(images, f"{image.name}@{snapshot}")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._do(images.export(images.at(image, snapshot), target))
        return target

    def rollback(self, entry: Entry, name: str, snapshot: str) -> None:
        self._do(self._open(entry, name)[0].rollback(_own(name), snapshot))

    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self._do(self._open(entry, name)[0].delete_snapshot(_own(name), snapshot))


def _own(name: str) -> str:
    """The image's own name in that of a volume. Raises AgentError for one that is no volume's."""
    linked = _LINKED.fullmatch(name)
    own = linked[2] if linked else name
    if _NAME.fullmatch(own) is None:
        raise AgentError(TEXTS["name"].format(name=name))
    return own
