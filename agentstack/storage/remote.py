# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages on external arrays: files over NFS (`nfs`) and LUNs over iSCSI (`iscsi`) (facts §12)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.sections import Entry
from agentstack.storage import sparse
from agentstack.storage.arrays import Lun
from agentstack.storage.volumes import Directory, Usage, Volume

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "offline": "storage '{id}' is not online",
    "denied": "mount error: mount.nfs: access denied by server while mounting {server}:{export}",
    "no_target": "unable to login to target {target}: no records found",
    "no_lun": "volume '{volid}' does not exist",
    "fixed": "can't {what} iscsi {thing}",
}


class Nfs(Directory):
    """Files in an array's export, the same on every node."""

    shared_files = True

    def base(self, entry: Entry) -> Path:
        """The export on the real disk. Raises AgentError when the array does not answer."""
        array = self.host.storage.arrays.find(entry.values["server"])
        if array is None or not self.host.storage.arrays.reached(array):
            raise AgentError(TEXTS["offline"].format(id=entry.id))
        found = self.host.storage.arrays.export(array, entry.values["export"])
        if found is None:
            raise AgentError(TEXTS["denied"].format(server=entry.values["server"], export=entry.values["export"]))
        return found

    async def activate(self, entry: Entry) -> None:
        self.base(entry)

    def usage(self, entry: Entry) -> Usage | None:
        try:
            directory = self.base(entry)
        except AgentError:
            return None
        array = self.host.storage.arrays.find(entry.values["server"])
        assert array is not None
        size = array.exports[entry.values["export"]]
        used = min(sparse.allocated(directory), size)
        return Usage(size, used, size - used)


class Iscsi:
    """The LUNs of a target, used whole or as the ground of a volume group (`lvm` with `base`)."""

    shared_files = True

    def __init__(self, host: Host) -> None:
        self.host = host

    def luns(self, entry: Entry) -> list[Lun]:
        """The LUNs that this host sees. Raises AgentError when the portal does not answer or has no such target."""
        portal = entry.values["portal"].partition(":")[0]
        array = self.host.storage.arrays.find(portal)
        if array is None or not self.host.storage.arrays.reached(array):
            raise AgentError(TEXTS["offline"].format(id=entry.id))
        if entry.values["target"] not in array.targets:
            raise AgentError(TEXTS["no_target"].format(target=entry.values["target"]))
        return self.host.storage.arrays.luns(array, entry.values["target"])

    def lun(self, entry: Entry, name: str) -> Lun:
        """One LUN by its volume name. Raises AgentError."""
        found = next((lun for lun in self.luns(entry) if lun.name == name), None)
        if found is None:
            raise AgentError(TEXTS["no_lun"].format(volid=f"{entry.id}:{name}"))
        return found

    async def activate(self, entry: Entry) -> None:
        self.luns(entry)

    def usage(self, entry: Entry) -> Usage | None:
        try:
            self.luns(entry)
        except AgentError:
            return None
        return Usage(0, 0, 0)

    def path(self, entry: Entry, name: str) -> Path:
        return self.lun(entry, name).directory / "disk.raw"

    def device(self, entry: Entry, name: str) -> str:
        return f"/dev/disk/by-id/{name.split('.', 3)[3]}"

    def list(self, entry: Entry) -> Iterator[Volume]:
        for lun in self.luns(entry):
            yield Volume(f"{entry.id}:{lun.name}", "images", "raw", lun.size, 0, 0, None)

    def snapshot_path(self, entry: Entry, name: str, snapshot: str) -> Path:
        raise _never("snapshot", "device")

    def allocate(self, entry: Entry, vmid: int, name: str | None, form: str, size: int) -> str:
        raise _never("allocate space in", "storage")

    def free(self, entry: Entry, name: str) -> None:
        raise _never("free space in", "storage")

    def resize(self, entry: Entry, name: str, size: int) -> None:
        raise _never("resize", "device")

    def can_snapshot(self, entry: Entry, name: str) -> bool:
        return False

    def snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        raise _never("snapshot", "device")

    def rollback(self, entry: Entry, name: str, snapshot: str) -> None:
        raise _never("rollback snapshot of", "device")

    def delete_snapshot(self, entry: Entry, name: str, snapshot: str) -> None:
        raise _never("delete snapshot of", "device")


def _never(what: str, thing: str) -> AgentError:
    return AgentError(TEXTS["fixed"].format(what=what, thing=thing))
