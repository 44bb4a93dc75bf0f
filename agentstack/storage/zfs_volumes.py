# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes in a local ZFS pool (`zfspool`): zvols for virtual machines, file systems for containers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.sections import Entry
from agentstack.storage import sparse
from agentstack.storage.volumes import TEXTS as VOLUME_TEXTS
from agentstack.storage.volumes import Usage, Volume, base_name, check_name, free_name

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "name": "unable to parse zfs volume name '{name}'",
    "no_pool": "could not activate storage '{id}', zfs error: cannot import '{pool}': no such pool available\n",
    "error": "zfs error: {text}\n",
}

_ZVOL = re.compile(r"((vm|base|subvol|basevol)-(\d+)-[\w.-]+)", re.ASCII)
_LINKED = re.compile(r"(base(?:vol)?-\d+-[\w.-]+)/(.+)", re.ASCII)
"""Volumes that are clones of a base volume are named with it: `base-100-disk-0/vm-101-disk-0`."""

BASE = "__base__"
"""The snapshot of a base volume that clones are made from."""


class ZfsPool:
    """Volumes and file systems of a local ZFS pool (`zfspool`)."""

    shared_files = False

    def __init__(self, host: Host) -> None:
        self.host = host

    def _dataset(self, entry: Entry, name: str) -> str:
        if linked := _LINKED.fullmatch(name):
            name = linked[2]
        if not _ZVOL.fullmatch(name):
            raise AgentError(TEXTS["name"].format(name=name))
        return f"{entry.values['pool']}/{name}"

    async def activate(self, entry: Entry) -> None:
        pool = entry.values["pool"].partition("/")[0]
        self.host.zfs.import_all()
        if pool not in self.host.zfs.pools:
            raise AgentError(TEXTS["no_pool"].format(id=entry.id, pool=pool))

    def usage(self, entry: Entry) -> Usage | None:
        zfs = self.host.zfs
        name = entry.values["pool"]
        if not zfs.exists(name):
            return None
        pool = zfs.pools[name.partition("/")[0]]
        if zfs.health(pool) == "SUSPENDED":
            return None
        used, available = zfs.used(pool, name), zfs.available(pool)
        return Usage(used + available, used, available)

    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str:
        zfs, base = self.host.zfs, entry.values["pool"]
        try:
            if name is None:
                name = free_name({child.rpartition("/")[2] for child, _ in zfs.children(base)}, vmid, form)
            check_name(name, vmid, form)
            if form == "subvol":
                zfs.create_filesystem(f"{base}/{name}", {"refquota": str(size), "acltype": "posixacl", "xattr": "sa"})
            else:
                zfs.create_volume(f"{base}/{name}", size, thin=bool(entry.values.get("sparse")))
        except AgentError as error:
            if error.message.startswith("cannot "):
                raise AgentError(TEXTS["error"].format(text=error.message)) from error
            raise
        return name

    def free(self, entry: Entry, name: str) -> None:
        zfs, full = self.host.zfs, self._dataset(entry, name)
        if zfs.clones(full):
            raise AgentError(VOLUME_TEXTS["used"].format(volid=f"{entry.id}:{name}"))
        try:
            zfs.destroy(full)
        except AgentError as error:
            raise AgentError(TEXTS["error"].format(text=error.message)) from error

    def path(self, entry: Entry, name: str) -> Path:
        dataset = self._dataset(entry, name)
        if not self.host.zfs.exists(dataset):
            raise AgentError(VOLUME_TEXTS["missing"].format(volid=f"{entry.id}:{name}"))
        return self.host.zfs.path(dataset)

    def device(self, entry: Entry, name: str) -> str:
        directory = "/dev/zvol" if not name.startswith(("subvol-", "basevol-")) else ""
        return f"{directory}/{self._dataset(entry, name)}"

    def list(self, entry: Entry) -> Iterator[Volume]:
        zfs = self.host.zfs
        if not zfs.exists(entry.values["pool"]):
            return
        pool = zfs.pools[entry.values["pool"].partition("/")[0]]
        for full, dataset in list(zfs.children(entry.values["pool"])):
            name = full.rpartition("/")[2]
            if match := _ZVOL.fullmatch(name):
                form = "subvol" if dataset.kind == "filesystem" else "raw"
                size = dataset.volsize or int(dataset.properties.get("refquota", 0))
                content = "rootdir" if form == "subvol" else "images"
                used = zfs.used(pool, full)
                if origin := dataset.properties.get("origin"):
                    name = f"{origin.partition('@')[0].rpartition('/')[2]}/{name}"
                yield Volume(f"{entry.id}:{name}", content, form, size, used, int(dataset.created), int(match[3]))

    def resize(self, entry: Entry, name: str, size: int) -> None:
        dataset = self._dataset(entry, name)
        if name.startswith("subvol-"):
            pool, found = self.host.zfs.dataset(dataset)
            found.properties["refquota"] = str(size)
            pool.save()
        else:
            self.host.zfs.resize(dataset, size)

    def can_snapshot(self, entry: Entry, name: str) -> bool:
        return True

    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self.host.zfs.snapshot(self._dataset(entry, name), snapshot)

    def rollback(self, entry: Entry, name: str, snapshot: str) -> None:
        self.host.zfs.rollback(self._dataset(entry, name), snapshot)

    def newer(self, entry: Entry, name: str, snapshot: str) -> Sequence[str]:
        """The snapshots of a volume that were made after one of them."""
        names = [*self.host.zfs.dataset(self._dataset(entry, name))[1].snapshots]
        return names[names.index(snapshot) + 1 :] if snapshot in names else []

    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        self.host.zfs.destroy_snapshot(self._dataset(entry, name), snapshot)

    def snapshot_path(self, entry: Entry, name: str, snapshot: str) -> Path:
        dataset = self._dataset(entry, name)
        return self.host.zfs.dataset(dataset)[0].path(dataset, snapshot)

    def make_base(self, entry: Entry, name: str) -> str:
        old, new = self._dataset(entry, name), base_name(name.rpartition("/")[2])
        pool, dataset = self.host.zfs.dataset(old)
        path = pool.path(old)
        del pool.datasets[old]
        pool.datasets[f"{entry.values['pool']}/{new}"] = dataset
        path.rename(pool.path(f"{entry.values['pool']}/{new}"))
        pool.save()
        self.host.zfs.snapshot(f"{entry.values['pool']}/{new}", BASE)
        return new

    def clone(self, entry: Entry, name: str, vmid: int) -> str:
        zfs, base = self.host.zfs, entry.values["pool"]
        pool, dataset = zfs.dataset(self._dataset(entry, name))
        form = "subvol" if dataset.kind == "filesystem" else "raw"
        own = free_name({child.rpartition("/")[2] for child, _ in zfs.children(base)}, vmid, form)
        properties = dict(dataset.properties) | {"origin": f"{self._dataset(entry, name)}@{BASE}"}
        source = self.snapshot_path(entry, name, BASE)
        if form == "subvol":
            target = zfs.create_filesystem(f"{base}/{own}", properties)
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            target = zfs.create_volume(f"{base}/{own}", dataset.volsize or 0, thin=True)
            pool.datasets[f"{base}/{own}"].properties |= properties
            sparse.copy(source, target)
            pool.save()
        return f"{name.rpartition('/')[2]}/{own}"
