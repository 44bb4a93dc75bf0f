# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph on one host: installed or not, configured or not, its daemons, and its place among the monitors."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.ceph import auth, conf, label
from agentstack.ceph.conf import CephConf
from agentstack.ceph.daemons import KINDS, Daemons, LocalOsd
from agentstack.ceph.datamap import excerpt
from agentstack.ceph.dataplane import DataPlane
from agentstack.ceph.health import Situation
from agentstack.ceph.judge import judge
from agentstack.ceph.maps import ClusterMap, Monitor
from agentstack.ceph.quorum import GRACE, MonitorGroup, Unreachable
from agentstack.cluster import fabric
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

TEXTS = {
    "not_installed": "binary not installed: /usr/bin/ceph-mon",
    "not_initialised": "pveceph configuration not initialized - missing '/etc/pve/ceph.conf'",
    "no_keyring": "ceph not fully configured - missing '/etc/pve/priv/ceph.client.admin.keyring'",
    "no_address": "No active IP found for the requested ceph public network '{network}' on node '{node}'",
}

ADMIN_KEYRING = "priv/ceph.client.admin.keyring"
SERVICES = "ceph-services"
"""Key under which each host tells the others about its daemons."""
TICK = 5.0
"""Seconds between two looks of the leading monitor at what has become of daemons."""
COUNT_PERIOD = 1.0
"""Real seconds between two counts of what lies on the OSDs."""
RELEASES = {"quincy": "17.2.8", "reef": "18.2.7", "squid": "19.2.3", "tentacle": "20.2.0"}
AVAILABLE = {"9.2": ("squid", "tentacle"), "8.4": ("quincy", "reef", "squid")}
"""Ceph releases that a release of PVE can install (facts §11.1)."""


class Ceph:
    """The part of a host that is Ceph; idle until `pveceph install` and a configuration."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.daemons = Daemons(host.root / "var/lib/ceph")
        self.marker = host.root / "usr/bin/ceph-mon"
        socket: Path = host.state.parent.parent / fabric.SOCKET
        maps = self.daemons.directory / "agent/maps.json"
        self.group = MonitorGroup(host.name, host.spec.number, socket, maps, host.clock)
        self.boot = secrets.token_hex(4)
        """Which run of this host's daemons this is."""
        self.plane: DataPlane | None = None
        self._published: tuple[object, ...] = ()
        self._counted = 0.0
        self._counts: dict[str, Any] = {"stats": {}, "used": {}}
        self._silent_since: dict[str, float] = {}
        """Host -> stack seconds since when its OSDs have not answered on the cluster network."""
        self._starting: asyncio.Task[None] | None = None
        self._joined = False
        self._loop: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Bring the daemons up that ran before."""
        self.group.load()
        self.group.changed = self._changed
        self.host.disks.osd_ids = self.on_disk
        self.host.disks.holders.append(self.holds)
        self.host.files.subscribe(self._files_changed)
        self.join()
        self._loop = asyncio.create_task(self._watch(), name="ceph")

    async def stop(self) -> None:
        """End all daemons in an orderly way."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        if self._starting is not None:
            await self._starting
        await self.group.stop()
        if self.plane is not None:
            await self.plane.stop()

    def holds(self, device: str) -> bool:
        """Whether a running OSD has the device open."""
        return any(self.daemons.runs("osd", str(number)) for number in self.on_disk(device))

    def on_disk(self, device: str) -> list[int]:
        """The OSDs of this host whose data lies on a disk; one whose disk was replaced lies on none."""
        found = [osd for osd in self.daemons.osds() if osd.device == device]
        disk = next((disk for disk in self.host.disks.all() if disk.device == device), None)
        there = label.read(disk.image) if found and disk is not None else []
        return [osd.number for osd in found if osd.uuid in there]

    def store(self, osd: LocalOsd) -> Path:
        """The file with the objects of an OSD of this host."""
        return self.host.state / "osd" / f"{osd.uuid}.db"

    def serves(self, osd: LocalOsd) -> bool:
        """Whether an OSD of this host runs and has its disk."""
        disks = self.host.disks
        disk = next((disk for disk in disks.all() if disk.device == osd.device), None)
        if disk is None or disk.by_id in disks.failing | disks.stalled:
            return False
        return self.daemons.runs("osd", str(osd.number)) and osd.uuid in label.read(disk.image)

    async def discard(self, number: int) -> None:
        """Remove an OSD of this host with all that it keeps."""
        osd = next(osd for osd in self.daemons.osds() if osd.number == number)
        self.daemons.destroy("osd", str(number))
        await self._open_stores()
        for suffix in ("", "-wal", "-shm"):
            store = self.store(osd)
            store.with_name(store.name + suffix).unlink(missing_ok=True)

    # --- preconditions --------------------------------------------------------------------------------------------

    @property
    def installed(self) -> str | None:
        """The release that is installed, None without Ceph."""
        return self.marker.read_text().strip() if self.marker.exists() else None

    def install(self, release: str) -> None:
        """What the packages leave behind."""
        self.marker.parent.mkdir(parents=True, exist_ok=True)
        self.marker.write_text(f"{release}\n")
        self.join()

    @property
    def version(self) -> str:
        return RELEASES[self.installed or "squid"]

    def require_installed(self) -> None:
        if self.installed is None:
            raise AgentError(TEXTS["not_installed"])

    def require_configured(self) -> CephConf:
        """The configuration. Raises AgentError in the server's order of checks."""
        self.require_installed()
        found = self.conf()
        if found is None:
            raise AgentError(TEXTS["not_initialised"])
        return found

    def require_keyring(self) -> CephConf:
        """As `require_configured`, for calls that talk to the monitors: the admin's key has to be there too."""
        found = self.require_configured()
        if not self.host.files.exists(ADMIN_KEYRING):
            raise AgentError(TEXTS["no_keyring"])
        return found

    def conf(self) -> CephConf | None:
        """/etc/pve/ceph.conf, None if there is none."""
        text = self.host.files.read_text(conf.FILE, default="")
        return CephConf.parse(text) if text else None

    def local_address(self, network: str) -> str:
        """This host's address in a network; AgentError if it has none."""
        for address in self.host.addresses.values():
            if ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False):
                return address
        raise AgentError(TEXTS["no_address"].format(network=network, node=self.host.name))

    async def maps(self) -> ClusterMap:
        """The agreed maps. Raises AgentError for a host without Ceph, Unreachable without monitors."""
        found = self.require_keyring()
        if not found.monitors:
            raise Unreachable
        return await self.group.maps()

    def situation(self, cluster: ClusterMap) -> Situation:
        """What health depends on besides the maps."""
        alive = self.group.hosts()
        managers = frozenset(name for name, host in cluster.managers.items() if host in alive)
        news = [found for node in self.host.cluster.nodes() if (found := self.host.cluster.kv(node.name, SERVICES))]
        clocks = {str(found["host"]): float(found.get("clock", 0)) for found in news}
        leader = clocks.get(self.group.leader_host or "", 0.0)
        skews = {
            name: clocks[monitor.host] - leader
            for name, monitor in cluster.monitors.items()
            if monitor.host in clocks and name in self.group.quorum()
        }
        used = {int(number): size for found in news for number, size in found.get("used", {}).items()}
        up = {number: size for number, size in used.items() if number in cluster.osds and cluster.osds[number].up}
        return Situation(self.group.quorum(), managers, skews, self.stats(), up)

    def stats(self) -> dict[str, tuple[int, int]]:
        """Objects and bytes of each placement group that holds any, as their primaries report them."""
        found: dict[str, tuple[int, int]] = {}
        for node in self.host.cluster.nodes():
            news = self.host.cluster.kv(node.name, SERVICES) or {}
            found |= {name: (objects, size) for name, (objects, size) in news.get("stats", {}).items()}
        return found

    # --- the group ------------------------------------------------------------------------------------------------

    def join(self) -> None:
        """Take part in the group as soon as there is a configured cluster with a monitor."""
        found = self.conf() if self.installed else None
        if self._joined or found is None or found.fsid is None or not found.monitors:
            return
        network = found.settings.get("public_network", "0.0.0.0/0")
        addresses = {
            spec.number: address
            for spec in self.host.stack.hosts.values()
            for address in spec.addresses.values()
            if spec.kind == "pve" and ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
        }
        if self.host.spec.number in addresses:
            self.group.start(found.fsid, addresses, monitor=bool(self.daemons.running("mon")))
            self._joined = True
            self._starting = asyncio.create_task(self._start_plane(found, addresses))
            self._news.set()

    async def _start_plane(self, found: CephConf, public: dict[int, str]) -> None:
        """Begin to move data, over the public and the cluster network."""
        network = ipaddress.ip_network(found.settings.get("cluster_network", "0.0.0.0/0"), strict=False)
        addresses = {}
        for spec in self.host.stack.hosts.values():
            if spec.number in public:
                inside = (each for each in spec.addresses.values() if ipaddress.ip_address(each) in network)
                addresses[spec.name] = (public[spec.number], next(inside, public[spec.number]))
        plane = DataPlane(self.host.name, self.host.clock, addresses, self._complete, self.host.network.reaches)
        await plane.start()
        self.host.network.guard()
        self.plane = plane
        self._changed()

    async def _complete(self, epoch: int, groups: dict[str, list[int]]) -> int:
        return int(await self.group.execute("groups_complete", epoch=epoch, groups=groups))

    def _changed(self) -> None:
        """The maps, or who is reached, have changed."""
        self._news.set()
        cluster = self.group.cluster
        if self.plane is None or cluster is None:
            return
        reached = self.group.hosts() | {self.host.name}
        state = (cluster.group_epoch, reached, tuple(cluster.flags))
        if state != self._published:
            self._published = state
            self.plane.take(excerpt(cluster, reached))

    def look(self) -> None:
        """Daemons of this host were started, stopped, made or removed: report that at once."""
        self._news.set()

    def monitor_switched(self) -> None:
        """The monitor of this host was started or stopped."""
        self.group.set_monitor(bool(self.daemons.running("mon")))

    def found_cluster(self, fsid: str, configuration: CephConf, name: str, address: str) -> None:
        """Begin a Ceph cluster with this host's monitor."""
        network = configuration.settings.get("public_network", "")
        cluster = ClusterMap(
            fsid, network, configuration.settings.get("cluster_network", network), int(self.host.clock.now())
        )
        cluster.release, cluster.version = self.installed or "squid", self.version
        cluster.monitors[name] = Monitor(name, self.host.name, address)
        admin = auth.key_in(self.host.files.read_text(ADMIN_KEYRING, default=""), "client.admin")
        cluster.keys = auth.first_keys(admin or auth.new_key(cluster.created), cluster.created)
        self.group.found(cluster)

    def _files_changed(self, paths: set[str]) -> None:
        if conf.FILE in paths:
            self.join()

    # --- watching -------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await self.host.clock.wait_for(self._news.wait(), TICK)
            self._news.clear()
            try:
                await self._open_stores()
                await self._boot_osds()
                await self._register_managers()
                if self.group.leader_host == self.host.name:
                    await judge(self.group, self.host.clock, self._news_of)
                await self._tell()
            except AgentError as error:
                log.info("ceph: %s", error)

    def _news_of(self, host: str) -> dict[str, Any]:
        return self.host.cluster.kv(host, SERVICES) or {}

    async def _tell(self) -> None:
        if self.installed is not None and self.host.files.mounted:
            news: dict[str, Any] = {str(kind): self.daemons.names(kind) for kind in KINDS}
            await self._count()
            news |= {"version": self.version, "host": self.host.name, "clock": self.host.clock.offset, **self._counts}
            news["silent"] = self._silent()
            if news != self.host.cluster.kv(self.host.name, SERVICES):
                await self.host.cluster.broadcast(SERVICES, news)

    async def _count(self) -> None:
        now = time.monotonic()
        if self.plane is not None and now - self._counted >= COUNT_PERIOD:
            stats, used = await self.plane.do(self.plane.recovery.count())
            self._counted = now
            # as it comes back from the others: no news is told twice
            self._counts = {
                "stats": {name: list(each) for name, each in stats.items()},
                "used": {str(number): size for number, size in used.items()},
            }

    def _reached(self, host: str) -> bool:
        """Whether heartbeats of this host's OSDs get through to another host's, and back."""
        if self.plane is None or host not in self.plane.addresses:
            return True
        return all(self.host.network.reaches(address) for address in self.plane.addresses[host])

    def _silent(self) -> list[str]:
        """Hosts whose OSDs should answer and have not for the time of grace, as OSDs report it to the monitors."""
        cluster, now = self.group.cluster, self.host.clock.elapsed()
        hosts = {osd.host for osd in cluster.osds.values() if osd.up} - {self.host.name} if cluster else set()
        gone = {host for host in hosts if not self._reached(host)}
        self._silent_since = {host: self._silent_since.get(host, now) for host in gone}
        return sorted(host for host, since in self._silent_since.items() if now - since >= GRACE)

    def _healthy(self, cluster: ClusterMap) -> bool:
        """Whether enough other OSDs answer for one to boot (osd_heartbeat: a third of the peers)."""
        others = {osd.host for osd in cluster.osds.values() if osd.up} - {self.host.name}
        return 3 * sum(self._reached(host) for host in others) >= len(others)

    async def _open_stores(self) -> None:
        """Have the objects of those OSDs open that run here."""
        cluster = self.group.cluster
        if self.plane is None or cluster is None:
            return
        known = {osd.number: osd for osd in self.daemons.osds() if self._is_known(cluster, osd)}
        await self.plane.set_stores({number: self.store(osd) for number, osd in known.items() if self.serves(osd)})

    def _is_known(self, cluster: ClusterMap, osd: LocalOsd) -> bool:
        return osd.number in cluster.osds and cluster.osds[osd.number].uuid == osd.uuid

    async def _boot_osds(self) -> None:
        """Report the OSDs of this host that run and are not known to, or that do not run any more."""
        cluster = self.group.cluster if self.group.quorum() else None
        if cluster is None or self.plane is None:
            return
        for osd in self.daemons.osds():
            if not self._is_known(cluster, osd):
                continue
            known, serves = cluster.osds[osd.number], self.serves(osd)
            boot = f"{self.boot}{self.daemons.starts('osd', str(osd.number))}"
            boots = "noup" not in cluster.flags_of(known) and self._healthy(cluster)
            # without its key the monitors do not let it in
            boots = boots and f"osd.{osd.number}" in cluster.keys
            if serves and boots and (not known.up or known.boot != boot):
                await self.group.execute("osd_up", number=osd.number, boot=boot)
            elif not serves and known.up:
                await self.group.execute("osd_down", number=osd.number, now=self.host.clock.now())

    async def _register_managers(self) -> None:
        cluster = self.group.cluster if self.group.quorum() else None
        if cluster is None:
            return
        for name in self.daemons.names("mgr"):
            if self.daemons.runs("mgr", name) and name not in cluster.managers and f"mgr.{name}" in cluster.keys:
                await self.group.execute("manager_add", name=name, host=self.host.name)
            elif not self.daemons.runs("mgr", name) and name in cluster.managers:
                await self.group.execute("manager_remove", name=name)


def new_fsid() -> str:
    """The identity of a new Ceph cluster."""
    return str(uuid.uuid4())
