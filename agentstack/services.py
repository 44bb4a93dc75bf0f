# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a node: which run, and what starting and ending one does to the daemon behind it (facts §18).

Behind most names there is nothing but the name; those in `Services.daemons` are parts of the host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack.api.tables import load
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

PVE_CLUSTER_RESTART = 1.3
"""Stack seconds that the cluster file system is away (observed: create)."""

WORK_TIME = 0.5
"""Stack seconds that a service takes to end or to begin."""

ESSENTIAL = frozenset({"pveproxy", "pvedaemon", "pve-cluster"})
"""Without these there is no API: a restart over it is a reload, a stop is refused [inferred]."""

TEXTS = {"essential": "can't stop essential service '{name}'"}

UNITS = {"8": {"postfix": "postfix@-"}}
"""Services that a major release runs as an instance of a template unit: that is their description (observed: calls)."""

_ALIASES = {"ssh": "sshd", "rsyslog": "syslog"}
_UNSEEN = frozenset({"watchdog-mux", "qmeventd"})
"""Units that `systemctl` knows and the API of some releases does not."""

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Daemon:
    """How a part of the host is started and ended as a service; `restart` where that is not one after the other."""

    start: Step
    stop: Step
    restart: Step | None = None
    reload: Step | None = None


class Services:
    """The services of one node. What was stopped runs again after the next boot."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._stopped: set[str] = set()
        self.daemons: dict[str, Daemon] = {}

    async def start(self) -> None:
        """Everything that is enabled runs."""
        host = self.host
        self.daemons = {
            "corosync": Daemon(host.cluster.start, host.cluster.stop_corosync, host.cluster.restart_corosync),
            "pve-cluster": Daemon(self._mount, self._unmount, self._remount),
            "pve-firewall": Daemon(host.firewall.start, host.firewall.stop),
            "pve-ha-crm": Daemon(host.manager.start_crm, host.manager.stop_crm),
            "pve-ha-lrm": Daemon(host.manager.start_lrm, host.manager.stop_lrm, host.manager.restart_lrm),
            "pveproxy": Daemon(host.api.open, host.api.close, self._reload_proxy, self._reload_proxy),
            "pvescheduler": Daemon(self._start_scheduler, self._stop_scheduler),
            "pvestatd": Daemon(host.pvestatd.start, host.pvestatd.stop),
        }

    async def stop(self) -> None:
        """The parts behind the services end by themselves."""

    # ---- what there is ----------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The services that the API of the host's release knows, in its order."""
        declared = load(f"pve{self.host.release.partition('.')[0]}")["/nodes/{node}/services/{service}/state"]["GET"]
        return list(declared.params["service"]["enum"])

    def exists(self, unit: str) -> bool:
        """Whether there is a unit of that name."""
        return self._name(unit) in {*self.names(), *_UNSEEN}

    def is_active(self, unit: str) -> bool:
        """Whether a service runs; corosync does only in a cluster, and not after it had to end."""
        name = self._name(unit)
        if name == "corosync":
            return self.host.cluster.corosync.running
        return self.exists(name) and name not in self._stopped

    def describe(self, name: str) -> dict[str, str]:
        """A service as the API shows it."""
        active = self.is_active(name)
        return {
            "service": name,
            "name": name,
            "desc": UNITS.get(self.host.release.partition(".")[0], {}).get(name, name),
            "state": "running" if active else "dead",
            "active-state": "active" if active else "inactive",
            "unit-state": "enabled",
        }

    # ---- what can be done -------------------------------------------------------------------------------------------

    async def begin(self, unit: str) -> None:
        """Start a service; nothing happens if it runs."""
        name = self._name(unit)
        if self.is_active(name):
            return
        self._stopped.discard(name)
        if daemon := self.daemons.get(name):
            await daemon.start()
            # what it listens on hangs on the same cables as before
            self.host.network.guard()
        await self.host.clock.sleep(WORK_TIME)

    async def end(self, unit: str) -> None:
        """Stop a service; nothing happens if it does not run."""
        name = self._name(unit)
        if not self.is_active(name):
            return
        self._stopped.add(name)
        if daemon := self.daemons.get(name):
            await daemon.stop()
        await self.host.clock.sleep(WORK_TIME)

    async def restart(self, unit: str) -> None:
        """Stop and start a service; one that does not run is started."""
        daemon = self.daemons.get(self._name(unit))
        if daemon is not None and daemon.restart is not None and self.is_active(unit):
            await daemon.restart()
            return
        await self.end(unit)
        await self.begin(unit)

    async def reload(self, unit: str) -> None:
        """Have a service read its configuration again."""
        daemon = self.daemons.get(self._name(unit))
        if daemon is not None and daemon.reload is not None:
            await daemon.reload()
        await self.host.clock.sleep(WORK_TIME)

    def check_end(self, name: str) -> None:
        """Raise AgentError for a service that the API does not stop."""
        if name in ESSENTIAL:
            raise AgentError(TEXTS["essential"].format(name=name))

    def _name(self, unit: str) -> str:
        name = unit.removesuffix(".service")
        return _ALIASES.get(name, name)

    # ---- the parts behind -------------------------------------------------------------------------------------------

    async def _mount(self) -> None:
        await self._remount()

    async def _unmount(self) -> None:
        self.host.files.mounted = False
        self.host.files.disconnect()

    async def _remount(self) -> None:
        await self.host.files.restart(PVE_CLUSTER_RESTART)
        if self.host.cluster.in_cluster:
            self.host.files.connect()

    async def _reload_proxy(self) -> None:
        self.host.certificates.reload()

    async def _start_scheduler(self) -> None:
        await self.host.replicator.start()
        await self.host.scheduler.start()

    async def _stop_scheduler(self) -> None:
        await self.host.replicator.stop()
        await self.host.scheduler.stop()
