# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests of a stack that starts clustered: made once, at the first boot of the node that they are to lie on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from agentstack.cluster.provision import cluster_of
from agentstack.errors import AgentError
from agentstack.guests import create, operations
from agentstack.guests.config import BY_SERVICE, LXC
from agentstack.manager import config as ha
from agentstack.sections import Entry

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.stack import ClusterSpec, GuestSpec

log = logging.getLogger(__name__)

MARK = "var/lib/pve-manager/first-guests"
STORAGE = "local"
RETRY = 5.0
_TEMPLATE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"


class FirstGuests:
    """Makes the guests in the background: they need the cluster's quorum, which needs the other nodes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin if this is the first boot."""
        cluster, mark = cluster_of(self.host), self.host.root / MARK
        if cluster is None or mark.exists():
            return
        self._work = asyncio.create_task(self._make(cluster))

    async def stop(self) -> None:
        """What is not made yet will be at the next boot."""
        if self._work is not None:
            self._work.cancel()

    async def _make(self, cluster: ClusterSpec) -> None:
        files = self.host.files
        await files.wait_until(lambda: files.quorate and files.exists(f"nodes/{self.host.name}/lxc"))
        missing = [guest for guest in cluster.guests if guest.node == self.host.name]
        while missing:
            missing = [guest for guest in missing if not await self._made(guest)]
            await self.host.clock.sleep(RETRY if missing else 0)
        if self.host.name == cluster.nodes[0]:
            await self._put_under_ha([guest for guest in cluster.guests if guest.ha is not None])
        mark = self.host.root / MARK
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()

    async def _made(self, guest: GuestSpec) -> bool:
        """Make what is missing of a guest; False if that has to be tried again (all nodes do this at the same time)."""
        try:
            if guest.vmid not in self.host.files.guests():
                await self._create(guest)
            if guest.ha is None and guest.running and not self.host.guests.is_running(guest.vmid):
                await operations.start(self.host, BY_SERVICE[guest.type], guest.vmid)
        except AgentError as error:
            log.warning("guest %s: %s", guest.vmid, error)
            return False
        return True

    async def _put_under_ha(self, guests: list[GuestSpec]) -> None:
        """On the cluster's first node: all HA resources at once, when their guests are there."""
        files = self.host.files
        await files.wait_until(lambda: files.guests().keys() >= {guest.vmid for guest in guests})
        async with ha.RESOURCES_CFG.locked(self.host):
            entries, _ = ha.RESOURCES_CFG.read(self.host)
            for guest in guests:
                sid = f"{guest.type}:{guest.vmid}"
                entries.setdefault(sid, Entry(sid, guest.type, {"state": guest.ha}))
            await ha.RESOURCES_CFG.write(self.host, entries.values())

    async def _create(self, guest: GuestSpec) -> None:
        host, kind = self.host, BY_SERVICE[guest.type]
        params: dict[str, Any] = {"memory": guest.memory >> 20, "cores": guest.cores, **guest.config}
        sizes = [f"{STORAGE}:{size / (1 << 30)}" for size in guest.disks]
        if kind is LXC:
            params |= {"hostname": guest.name, "ostemplate": _TEMPLATE}
            keys = ["rootfs", *(f"mp{number}" for number in range(len(sizes) - 1))]
        else:
            params["name"] = guest.name
            keys = [f"scsi{number}" for number in range(len(sizes))]
        params |= dict(zip(keys, sizes, strict=False))
        if guest.tags:
            params["tags"] = ";".join(guest.tags)
        await create.create(host, kind, guest.vmid, params, operations.silent)
