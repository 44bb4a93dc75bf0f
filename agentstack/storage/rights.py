# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may see a volume, and who may remove one.

From the API's documentation of volumes and the manual's table of privileges: `Datastore.Allocate` on the storage is
enough by itself. Otherwise guests' disks are for those who may change the guest's disks, backups for those who may
back the guest up (`agentstack.backup.rights`), images and templates for everybody who may use the storage. Lists
leave out what somebody may not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.backup.rights import check_read, may_read

if TYPE_CHECKING:
    from agentstack.access import Identity
    from agentstack.host import Host
    from agentstack.storage.volumes import Volume

_DISKS = ("images", "rootdir")
_MEDIA = ("iso", "vztmpl", "import")
_USE = ("Datastore.Audit", "Datastore.AllocateSpace")


def _needed(volume: Volume) -> tuple[str, tuple[str, ...]]:
    """The path on which any of the privileges gives access to a volume that is no backup."""
    if volume.content in _DISKS and volume.vmid is not None:
        return f"/vms/{volume.vmid}", ("VM.Config.Disk",)
    return _storage(volume), _USE if volume.content in _MEDIA else ("Datastore.Allocate",)


def _storage(volume: Volume) -> str:
    return f"/storage/{volume.volid.partition(':')[0]}"


def may_see(host: Host, identity: Identity, volume: Volume) -> bool:
    """Whether a volume is listed for somebody."""
    if host.access.may(identity, _storage(volume), ["Datastore.Allocate"]):
        return True
    if volume.content == "backup":
        return may_read(host, identity, volume.volid)
    path, privileges = _needed(volume)
    return host.access.may(identity, path, privileges, any=True)


def check_see(host: Host, identity: Identity, volume: Volume) -> None:
    """Raise the 403 of facts §1.3 if `may_see` says no."""
    if may_see(host, identity, volume):
        return
    if volume.content == "backup":
        check_read(host, identity, volume.volid)
    path, privileges = _needed(volume)
    host.access.check(identity, path, privileges, any=True)


def check_remove(host: Host, identity: Identity, volume: Volume) -> None:
    """Raise the 403 of facts §1.3 unless somebody may remove a volume: of those seen, one's own guests' backups."""
    check_see(host, identity, volume)
    if volume.content != "backup":
        host.access.check(identity, _storage(volume), ["Datastore.Allocate"])
