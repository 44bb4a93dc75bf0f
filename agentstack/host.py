# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host: what every part of it can reach, and the order in which the parts start."""

from __future__ import annotations

import asyncio
import importlib
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agentstack import install, ports, pvestatd
from agentstack.clock import Clock
from agentstack.faults import desk
from agentstack.packages import dpkg
from agentstack.reader import StackError
from agentstack.stack import HostSpec, Kind, Stack, release_name, releases
from agentstack.supervisor_client import SupervisorClient

if TYPE_CHECKING:
    from agentstack.access import Access
    from agentstack.api.server import ApiServer
    from agentstack.backup import Backups
    from agentstack.backup_jobs import BackupJobs
    from agentstack.ceph.service import Ceph
    from agentstack.certificates import Certificates
    from agentstack.cluster.files import ClusterFiles
    from agentstack.cluster.membership import Membership
    from agentstack.daily_update import DailyUpdate
    from agentstack.faults.host import Faults
    from agentstack.firewall.daemon import Firewall
    from agentstack.guests.guests import Guests
    from agentstack.guests.tunnel import TunnelServer
    from agentstack.hardware import Hardware
    from agentstack.manager import Manager
    from agentstack.network.cards import Cards
    from agentstack.notify import ClusterNotifications
    from agentstack.packages.apt import Packages
    from agentstack.pbs.server import BackupServer
    from agentstack.pvestatd import Statd
    from agentstack.replication import Replication
    from agentstack.replication.runner import Runner
    from agentstack.scheduler import Scheduler
    from agentstack.services import Services
    from agentstack.shell.server import ShellServer
    from agentstack.storage.disks import Disks
    from agentstack.storage.storages import Storages
    from agentstack.storage.zfs import Zfs
    from agentstack.tasks import Tasks, TaskService
    from agentstack.timers import Timers
    from agentstack.witness.qdevice import QDevice
    from agentstack.witness.qnetd import QNetd

log = logging.getLogger(__name__)

REPORT_PERIOD = 0.5
"""Real seconds between two looks at what the status board shows."""


class Part(Protocol):
    """A piece of a host that runs as long as the host does."""

    async def start(self) -> None:
        """Begin; returns when others may use the part."""

    async def stop(self) -> None:
        """End in an orderly way."""


@dataclass(frozen=True)
class Entry:
    """A line of the table of parts: the attribute of Host, the class behind it, the kinds of host that have it."""

    attribute: str
    module: str
    factory: str
    kinds: tuple[Kind, ...] = ("pve",)


PARTS = (
    Entry("faults", "agentstack.faults.host", "Faults", ("pve", "pbs", "witness")),
    Entry("network", "agentstack.network.cards", "Cards", ("pve", "pbs", "witness")),
    Entry("hardware", "agentstack.hardware", "Hardware", ("pve", "pbs", "witness")),
    Entry("packages", "agentstack.packages.apt", "Packages", ("pve", "pbs", "witness")),
    Entry("qnetd", "agentstack.witness.qnetd", "QNetd", ("witness",)),
    Entry("cluster", "agentstack.cluster.membership", "Membership"),
    Entry("files", "agentstack.cluster.files", "ClusterFiles"),
    Entry("qdevice", "agentstack.witness.qdevice", "QDevice"),
    Entry("certificates", "agentstack.certificates", "Certificates"),
    Entry("access", "agentstack.access", "Access"),
    Entry("task_service", "agentstack.tasks", "TaskService"),
    Entry("certificates", "agentstack.pbs.certificates", "Certificates", ("pbs",)),
    Entry("task_service", "agentstack.pbs.tasks", "TaskService", ("pbs",)),
    Entry("disks", "agentstack.storage.disks", "Disks", ("pve", "pbs")),
    Entry("zfs", "agentstack.storage.zfs", "Zfs", ("pve", "pbs")),
    Entry("ceph", "agentstack.ceph.service", "Ceph"),
    Entry("storage", "agentstack.storage.storages", "Storages"),
    Entry("guests", "agentstack.guests.guests", "Guests"),
    Entry("migration", "agentstack.guests.incoming", "make_server"),
    Entry("notifications", "agentstack.notify", "ClusterNotifications"),
    Entry("replication", "agentstack.replication", "Replication"),
    Entry("replicator", "agentstack.replication.runner", "Runner"),
    Entry("backup_jobs", "agentstack.backup_jobs", "BackupJobs"),
    Entry("backup", "agentstack.backup", "Backups"),
    Entry("scheduler", "agentstack.scheduler", "Scheduler"),
    Entry("daily_update", "agentstack.daily_update", "DailyUpdate"),
    Entry("pvestatd", "agentstack.pvestatd", "Statd"),
    Entry("api", "agentstack.api.server", "ApiServer"),
    Entry("pbs", "agentstack.pbs.server", "BackupServer", ("pbs",)),
    Entry("shell", "agentstack.shell.server", "ShellServer", ("pve", "pbs", "witness")),
    Entry("timers", "agentstack.timers", "Timers"),
    Entry("firewall", "agentstack.firewall.daemon", "Firewall"),
    Entry("manager", "agentstack.manager", "Manager"),
    Entry("services", "agentstack.services", "Services"),
    Entry("autostart", "agentstack.guests.autostart", "Autostart"),
    Entry("first_guests", "agentstack.guests.provision", "FirstGuests"),
)
"""Every part in the order of its start; the end goes the other way round."""


class Host:
    """A running host, created in its own process and handed to everything that belongs to it.

    `root` is the host's root file system, `state` what the stack keeps about it (STATE/hosts/NAME); `boot_time` is
    wall clock.
    """

    access: Access
    api: ApiServer
    ceph: Ceph
    backup: Backups
    backup_jobs: BackupJobs
    certificates: Certificates
    cluster: Membership
    daily_update: DailyUpdate
    disks: Disks
    faults: Faults
    files: ClusterFiles
    firewall: Firewall
    hardware: Hardware
    guests: Guests
    manager: Manager
    migration: TunnelServer
    network: Cards
    notifications: ClusterNotifications
    packages: Packages
    pbs: BackupServer
    qdevice: QDevice
    qnetd: QNetd
    replication: Replication
    replicator: Runner
    pvestatd: Statd
    scheduler: Scheduler
    services: Services
    shell: ShellServer
    storage: Storages
    task_service: TaskService
    tasks: Tasks
    timers: Timers
    zfs: Zfs

    def __init__(self, stack: Stack, spec: HostSpec, state: Path, supervisor: SupervisorClient) -> None:
        self.stack = stack
        self.spec = spec
        self.name = spec.name
        self.kind = spec.kind
        self.addresses = spec.addresses
        self.address = spec.address
        self.state = state / "hosts" / spec.name
        self.root = self.state / "root"
        self.disk_images = self.state / "disks"
        self._set_version(dpkg.manager_version(self.root) or spec.version)
        self.kernel = dpkg.newest_kernel(self.root) or releases(spec.kind)[self.version].kernel
        self.supervisor = supervisor
        self.clock = Clock(scale=stack.scale, offset=spec.clock_offset + desk.advanced(state))
        self.fqdn = f"{spec.name}.{stack.name}.test"
        self.boot_time = self.clock.now()
        self._shutdown: asyncio.Task[None] | None = None
        self.parts: list[tuple[str, Part]] = []
        for entry in PARTS:
            if spec.kind in entry.kinds:
                # by name: every one of these modules needs this one for its types
                factory: Callable[[Host], Part] = getattr(importlib.import_module(entry.module), entry.factory)
                part = factory(self)
                setattr(self, entry.attribute, part)
                self.parts.append((entry.attribute, part))

    def _set_version(self, version: str) -> None:
        self.version = version
        self.release = release_name(self.kind, version)
        self.repoid = releases(self.kind)[version].repoid

    async def adopt(self, version: str) -> None:
        """Go on as another version of the product, whose packages have been installed: its daemons start anew."""
        self._set_version(version)
        self.api.renew()
        await self.manager.announce()
        await self.pvestatd.tell()

    async def start(self) -> None:
        """Start all parts in order."""
        for name, part in self.parts:
            await part.start()
            # what a part listens on hangs on the same cables
            self.network.guard()
            log.info("%s started", name)

    async def stop(self) -> None:
        """Stop all parts, the last one first."""
        for name, part in reversed(self.parts):
            await part.stop()
            log.info("%s stopped", name)

    def shut_down(self, *, reboot: bool) -> None:
        """Begin an orderly shutdown, as `systemctl poweroff` and `reboot` do: HA services go by their policy, then
        everything else ends, then the power is off or comes back."""

        async def go_down() -> None:
            if self.kind == "pve":
                await self.manager.leave(rebooting=reboot)
            await (self.supervisor.reset() if reboot else self.supervisor.power_off())

        if self._shutdown is None:
            self._shutdown = asyncio.create_task(go_down())

    def facts(self) -> dict[str, Any]:
        """What makes this host recognisable to clients that have not talked to it yet (`STATE/secrets.yml`)."""
        facts = install.public_facts(self.root)
        return {"fingerprint": self.certificates.fingerprint, **facts} if self.kind in ("pve", "pbs") else facts

    def report(self) -> dict[str, Any]:
        """What the status board shows: the host's place in its cluster, as the host itself sees it."""
        if self.kind != "pve":
            return {"version": self.version, "cluster": None, "guests": None}
        # as the status daemon last counted: guests are many, and looking at each takes its time
        rows = self.cluster.kv(self.name, pvestatd.GUESTS) or []
        running = sum(row["status"] == "running" for row in rows)
        guests = {"running": running, "stopped": len(rows) - running}
        if not self.cluster.in_cluster:
            return {"version": self.version, "cluster": None, "guests": guests}
        votes = self.cluster.votes
        links = [
            {
                "number": link.number,
                "address": link.address,
                "connected": sum(link.connected.values()),
                "peers": len(link.connected),
            }
            for link in self.cluster.links()
        ]
        return {
            "version": self.version,
            "guests": guests,
            "cluster": {
                "name": self.cluster.cluster_name,
                "quorate": self.cluster.quorate,
                "votes": votes.total,
                "expected": votes.highest_expected,
                "online": sorted(self.cluster.members()),
                "links": links,
            },
        }

    async def run(self) -> None:
        """Start, live until SIGTERM, stop."""
        end = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
        await self.start()
        self.supervisor.ready(self.facts())
        shown: dict[str, Any] = {}
        while not end.is_set():
            if (report := self.report()) != shown:
                self.supervisor.report(shown := report)
            try:
                await asyncio.wait_for(end.wait(), REPORT_PERIOD)
            except TimeoutError:
                continue
        await self.stop()


def main(stack: Stack, spec: HostSpec, state: Path, wire: socket.socket) -> int:
    """A host's process, from power on to its end; returns its exit status."""
    supervisor = SupervisorClient(wire)
    install.install(stack, spec, state)
    try:
        asyncio.run(Host(stack, spec, state, supervisor).run())
    except OSError:
        # all of its sockets are closed again: what is taken now is taken by another program
        try:
            ports.check(spec)
        except StackError as taken:
            supervisor.failed(str(taken))
            return 1
        raise
    return 0
