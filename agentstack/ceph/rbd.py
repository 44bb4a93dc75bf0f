# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests' disks in a pool (storages of type `rbd`): images that every host of the stack reaches while Ceph answers.

An image's bytes lie in one sparse file for the whole cluster, `STATE/ceph/FSID/POOL/IMAGE.raw`; that there are several
copies of it is what the maps say, not what the disk holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.ceph.health import writable
from agentstack.ceph.maps import ClusterMap, Pool
from agentstack.errors import AgentError
from agentstack.storage import sparse
from agentstack.storage.volumes import Usage, Volume, check_name, free_name

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.sections import Entry

TEXTS = {
    "connect": "rbd error: rbd: couldn't connect to the cluster!",
    "no_pool": "rbd error: rbd: error opening pool '{pool}': (2) No such file or directory",
    "no_image": "rbd error: rbd: error opening image {name}: (2) No such file or directory",
    "exists": "rbd create '{name}' error: rbd: create error: (17) File exists",
    "name": "unable to parse rbd volume name '{name}'",
    "blocked": "rbd create '{name}' error: got timeout",
}

_NAME = re.compile(r"(?:vm|base)-(\d+)-\S+")


class RbdPool:
    """Images of replicated pools."""

    shared_files = True

    def __init__(self, host: Host) -> None:
        self.host = host

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

    def _directory(self, entry: Entry) -> Path:
        cluster, pool = self._reach(entry)
        state: Path = self.host.state.parent.parent
        return state / "ceph" / cluster.fsid / str(pool.id)

    def usage(self, entry: Entry) -> Usage | None:
        try:
            cluster, pool = self._reach(entry)
        except AgentError:
            return None
        raw = sum(osd.size for osd in cluster.osds.values() if osd.up and osd.included)
        used = sum(volume.used for volume in self.list(entry))
        # a pool can take what its share of the raw space leaves after the full ratio
        available = max(int(raw * 0.95) // pool.size - used, 0)
        return Usage(used + available, used, available)

    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str:
        cluster, pool = self._reach(entry)
        directory = self._directory(entry)
        taken = {path.stem for path in directory.glob("*.raw")}
        name = name or free_name(taken, vmid, "raw")
        check_name(name, vmid, "raw")
        if name in taken:
            raise AgentError(TEXTS["exists"].format(name=name))
        if not writable(cluster, pool):
            raise AgentError(TEXTS["blocked"].format(name=name))
        sparse.create(directory / f"{name}.raw", size)
        return name

    def free(self, entry: Entry, name: str) -> None:
        path = self.path(entry, name)
        for snapshot in path.parent.glob(f"{name}@*"):
            snapshot.unlink()
        path.unlink()

    def path(self, entry: Entry, name: str) -> Path:
        if _NAME.fullmatch(name) is None or "/" in name:
            raise AgentError(TEXTS["name"].format(name=name))
        path = self._directory(entry) / f"{name}.raw"
        if not path.exists():
            raise AgentError(TEXTS["no_image"].format(name=name))
        return path

    def device(self, entry: Entry, name: str) -> str:
        pool = entry.values.get("pool", "rbd")
        return f"/dev/rbd-pve/{pool}/{name}" if entry.values.get("krbd") else f"rbd:{pool}/{name}"

    def list(self, entry: Entry) -> Iterator[Volume]:
        for path in sorted(self._directory(entry).glob("*.raw")):
            if match := _NAME.fullmatch(path.stem):
                status = path.stat()
                yield Volume(
                    *(f"{entry.id}:{path.stem}", "images", "raw", status.st_size, sparse.allocated(path)),
                    *(int(status.st_mtime), int(match[1])),
                )

    def resize(self, entry: Entry, name: str, size: int) -> None:
        os.truncate(self.path(entry, name), size)

    def can_snapshot(self, entry: Entry, name: str) -> bool:
        return True

    def _snapshot(self, entry: Entry, name: str, snapshot: str) -> Path:
        return self.path(entry, name).with_name(f"{name}@{snapshot}")

    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        sparse.copy(self.path(entry, name), self._snapshot(entry, name, snapshot))

    def rollback(self, entry: Entry, name: str, snapshot: str) -> None:
        sparse.copy(self._snapshot(entry, name, snapshot), self.path(entry, name))

    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self._snapshot(entry, name, snapshot).unlink(missing_ok=True)
