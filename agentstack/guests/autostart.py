# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All guests of a node at once: started at boot (`onboot`), stopped on request; HA's guests are HA's business."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentstack._shared.lists import split_list
from agentstack.access.identity import ROOT, Identity
from agentstack.cluster.provision import cluster_of
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests import operations
from agentstack.guests.config import GuestConfig, Place
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

_ORDER = re.compile(r"(?:^|,)(?:order=)?(\d+)(?:,|$)")
_LAST = 1 << 30


def startup_order(config: GuestConfig) -> int:
    """Place in the order of starts; guests without one come last."""
    match = _ORDER.search(config.values.get("startup", ""))
    return int(match[1]) if match else _LAST


def here(host: Host, vmids: str | None) -> Iterable[tuple[Place, GuestConfig]]:
    """The guests of this node, or those of them that are named."""
    wanted = set(split_list(vmids))
    for place in configs.places(host).values():
        if place.node == host.name and (not wanted or str(place.vmid) in wanted):
            yield place, configs.load(host, place.kind, place.vmid)


def unmanaged(host: Host, vmids: str | None) -> Iterable[tuple[Place, GuestConfig]]:
    """Those of them that are not HA's business."""
    return (
        found for found in here(host, vmids) if not host.manager.manages(f"{found[0].kind.service}:{found[0].vmid}")
    )


def start_all(host: Host, identity: Identity, *, force: bool = False, vmids: str | None = None) -> str:
    """Start the guests with `onboot` (`force`: all) as a task `startall`; its UPID."""

    async def work(task: Task) -> None:
        chosen = [
            (place, config)
            for place, config in unmanaged(host, vmids)
            if (force or config.values.get("onboot") == "1") and config.values.get("template") != "1"
        ]
        for place, _ in sorted(chosen, key=lambda found: (startup_order(found[1]), found[0].vmid)):
            if host.guests.is_running(place.vmid):
                continue
            task.log(f"Starting {place.kind.label} {place.vmid}")
            try:
                await operations.start(host, place.kind, place.vmid)
            except AgentError as error:
                task.log(f"Starting {place.kind.label} {place.vmid} failed: {error.message}")

    return host.tasks.start(identity, "startall", "", work)


def stop_all(host: Host, identity: Identity, *, vmids: str | None = None) -> str:
    """Shut the running guests down as a task `stopall`, the last started first; its UPID."""

    async def work(task: Task) -> None:
        chosen = [found for found in unmanaged(host, vmids) if host.guests.is_running(found[0].vmid)]
        for place, _ in sorted(chosen, key=lambda found: (-startup_order(found[1]), -found[0].vmid)):
            task.log(
                f"Stopping {place.kind.label} {place.vmid} (timeout = {operations.DEFAULT_SHUTDOWN_TIMEOUT} seconds)"
            )
            timeout = operations.DEFAULT_SHUTDOWN_TIMEOUT
            await operations.shutdown(host, place.kind, place.vmid, timeout, force=True)

    return host.tasks.start(identity, "stopall", "", work)


class Autostart:
    """Starts the `onboot` guests once after boot, as soon as the cluster is quorate."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to wait for quorum."""
        self._work = asyncio.create_task(self._when_quorate())

    async def stop(self) -> None:
        """Start nothing any more."""
        if self._work is not None:
            self._work.cancel()

    async def _when_quorate(self) -> None:
        host = self.host
        await host.files.wait_until(lambda: host.files.quorate and (cluster_of(host) is None or host.files.has_content))
        if any(config.values.get("onboot") == "1" for _, config in unmanaged(host, None)):
            start_all(host, Identity(ROOT))
