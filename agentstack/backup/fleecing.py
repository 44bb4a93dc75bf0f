# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleecing: an image for each disk of a VM for as long as it is backed up (manual of vzdump, "VM Backup Fleecing").

What a guest overwrites meanwhile would go there on a real node, not to the backup's storage; here guests are held for
the instant of copying, so that the images take their room and stay empty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentstack.backup.images import Guest
from agentstack.guests import drives
from agentstack.guests.config import LXC

if TYPE_CHECKING:
    from agentstack.host import Host

_WITHOUT = ("efidisk", "tpmstate")
"""Disks so small that none is made for them."""


@asynccontextmanager
async def fleecing(host: Host, storage: str | None, guest: Guest) -> AsyncIterator[None]:
    """Keep an image for each of the guest's disks on a storage; containers and `storage` None have none.

    Raises AgentError where the storage is not there, takes no guests' disks, or has no room.
    """
    made: list[str] = []
    try:
        if storage is not None and guest.place.kind is not LXC:
            entry = host.storage.check_content(storage, "images")
            await host.storage.activate(entry)
            suffix = ".raw" if entry.type in drives.FILE_STORAGES else ""
            vmid = guest.place.vmid
            taken = {
                volume.volid.rpartition("/")[2].rpartition(":")[2] for volume in host.storage.volumes(storage, vmid)
            }
            number = 0
            for image in guest.images:
                if image.key.startswith(_WITHOUT):
                    continue
                while (name := f"vm-{vmid}-fleece-{number}{suffix}") in taken:
                    number += 1
                made.append(host.storage.allocate(storage, vmid, image.size, form="raw", name=name))
                taken.add(name)
        yield
    finally:
        for volid in made:
            if host.storage.exists(volid):
                host.storage.free(volid)
