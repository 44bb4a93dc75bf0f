# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests move between nodes: offline, live, or with a restart; local disks are copied (facts §14)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack.errors import AgentError, ParameterError
from agentstack.guests import config as configs
from agentstack.guests import drives, operations
from agentstack.guests.config import KINDS, LXC, QEMU, GuestConfig, Kind
from agentstack.guests.drives import Drive
from agentstack.guests.guests import memory_of
from agentstack.guests.tunnel import Handler, Sums, Tunnel, receive
from agentstack.replication import handover
from agentstack.replication.network import migration_network
from agentstack.sections import Entry
from agentstack.storage import config as storage_config
from agentstack.storage.volumes import Directory

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "local": "target is local node.",
    "no_node": "no such cluster node '{node}'",
    "offline": "can't migrate running VM without --online",
    "restart": "lxc live migration is currently not implemented",
    "local_disks": "can't live migrate attached local disks without with-local-disks option",
    "cdrom": "can't migrate local disk '{volid}': local cdrom image",
    "clone": "can't migrate '{volid}' as it's a clone of '{base}'",
    "scan": "Problem found while scanning volumes - can't migrate VM - check log",
    "replicated": "Cannot live-migrate replicated VM to node '{node}' - not a replication target."
    " Use 'force' to override.",
    "no_quorum": "cluster not ready - no quorum?",
    "problems": "migration finished with problems",
    "unreachable": "no such host or host is offline: '{node}'",
}

_SETUP_TIME = 2.0
_GIB_TIME = 0.5
"""Stack seconds for each GiB of memory that a live migration sends."""


@dataclass(frozen=True)
class Request:
    """What is asked for. `storages`: the caller's `targetstorage`; `network`: CIDR of the migration network."""

    target: str
    online: bool = False
    with_local_disks: bool = False
    restart: bool = False
    timeout: float = 180.0
    storages: str | None = None
    network: str | None = None
    force: bool = False


@dataclass
class _Move:
    """A disk that is copied: its place in the configuration, and what it is on both sides."""

    key: str
    drive: Drive
    storage: str
    new: str = ""
    replica: bool = False
    """The target has a copy already, and this side keeps its own as one."""
    sums: Sums = field(default_factory=dict)


def map_storage(storages: str | None, storage: str) -> str:
    """The storage on the target for one on the source (`1`, `DST` or `SRC:DST,…`)."""
    default = storage
    for pair in split_list(storages):
        source, colon, target = pair.partition(":")
        if not colon and pair != "1":
            default = pair
        elif source == storage:
            return target
    return default


def check(host: Host, kind: Kind, vmid: int, request: Request) -> GuestConfig:
    """Everything that is refused before a task is made."""
    if request.target == host.name:
        raise ParameterError({"target": TEXTS["local"]})
    host.files.require_quorum()
    if request.target not in {node.name for node in host.cluster.nodes()}:
        raise AgentError(TEXTS["no_node"].format(node=request.target))
    config = configs.load(host, kind, vmid)
    configs.check_lock(kind, config)
    if host.guests.is_running(vmid):
        if kind is QEMU and not request.online:
            raise AgentError(TEXTS["offline"])
        if kind is LXC and not request.restart:
            raise AgentError(TEXTS["restart"])
        if kind is QEMU and not request.force:
            _check_replication(host, vmid, request.target)
    for _, drive in drives.volumes(kind, config):
        host.storage.entry(map_storage(request.storages, drive.storage), request.target)
    return config


def _check_replication(host: Host, vmid: int, target: str) -> None:
    jobs = host.replication.jobs()[0]
    targets = {jobs[ident].values["target"] for ident in host.replication.jobs_of(vmid)}
    if targets and target not in targets:
        raise AgentError(TEXTS["replicated"].format(node=target))


def preconditions(host: Host, kind: Kind, vmid: int, target: str | None) -> dict[str, Any]:
    """Answer of `GET …/migrate`: where a guest can go, and what is in the way."""
    config = configs.load(host, kind, vmid)
    used = {drive.storage for _, drive in drives.volumes(kind, config)}
    entries, _ = storage_config.read(host)
    allowed, refused = [], {}
    for node in sorted(host.cluster.members() - {host.name}):
        missing = sorted(
            name for name in used if name not in entries or not storage_config.is_enabled(entries[name], node)
        )
        if missing:
            refused[node] = {"unavailable_storages": missing}
        else:
            allowed.append(node)
    local = []
    for key, drive in drives.drives(kind, config):
        if not drive.is_volume or drive.storage not in entries or host.storage.is_shared(entries[drive.storage]):
            continue
        row = {"volid": drive.volume, "size": drive.size, "cdrom": int(drive.is_cdrom), "drivename": key}
        local.append(row | {"is_unused": 0, "is_attached": 1, "replicate": int(drive.replicates), "shared": 0})
    answer: dict[str, Any] = {"running": int(host.guests.is_running(vmid))}
    if kind is QEMU:
        answer |= {"local_disks": local, "local_resources": [], "mapped-resources": [], "mapped-resource-info": {}}
        answer |= {"has-dbus-vmstate": 1}
        if target is None or not answer["running"]:
            answer |= {"allowed_nodes": allowed, "not_allowed_nodes": refused}
    else:
        answer |= {"allowed-nodes": allowed, "not-allowed-nodes": refused}
    return answer


def stamped(host: Host, log: Callable[[str], None]) -> Callable[[str], None]:
    """A log whose lines begin with the time, as those of migrations do."""

    def write(line: str) -> None:
        log(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(host.clock.now()))} {line}")

    return write


async def migrate(host: Host, kind: Kind, vmid: int, request: Request, log: Callable[[str], None]) -> None:
    """Move a guest of this node; on failure it stays, running if it ran."""
    await _Migration(host, kind, vmid, request, stamped(host, log)).run()


class _Migration:
    def __init__(self, host: Host, kind: Kind, vmid: int, request: Request, log: Callable[[str], None]) -> None:
        self.host = host
        self.kind = kind
        self.vmid = vmid
        self.request = request
        self.log = log
        self.tunnel = Tunnel(host, request.target, request.network or migration_network(host))
        self.moves: list[_Move] = []
        self.job: Entry | None = None
        """The replication job to the target."""
        self.started_there = False
        self.original = ""

    async def run(self) -> None:
        begun = self.host.clock.elapsed()
        async with self.host.guests.lock(self.vmid):
            config = check(self.host, self.kind, self.vmid, self.request)
            running = self.host.guests.is_running(self.vmid)
            to = f"node '{self.request.target}' ({self.tunnel.address})"
            self.log(f"starting migration of {self.kind.label} {self.vmid} to {to}")
            if self.request.target not in self.host.cluster.members():
                raise AgentError(TEXTS["unreachable"].format(node=self.request.target))
            self._find_disks(config, running)
            try:
                await self._lock(config)
                if running and self.kind is LXC:
                    self.log(f"shutdown CT {self.vmid}")
                    await self.host.guests.shutdown(self.vmid, operations.SHUTDOWN_TIME)
                await self._copy_disks()
                if running and self.kind is QEMU:
                    await self._move_live(config)
                else:
                    await self._move_config(config)
            except (AgentError, OSError) as error:
                self.log(f"ERROR: {error}")
                if not self._moved():
                    await self._take_back()
                    raise
                # the guest belongs to the other node now: nothing of it may go on here
                await self.host.guests.kill(self.vmid)
                raise AgentError(TEXTS["problems"]) from error
            self._clean_up()
            if self.job is not None:
                self.log("switching replication job target")
                await handover.turn_round(self.host, self.tunnel, self.job)
            if running and self.kind is LXC:
                self.log("start container on target node")
                await self.tunnel.ask({"do": "start", "kind": self.kind.type, "vmid": self.vmid})
        seconds = int(self.host.clock.elapsed() - begun)
        duration = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        self.log(f"migration finished successfully (duration {duration})")

    def _find_disks(self, config: GuestConfig, running: bool) -> None:
        trouble = False
        self.job = handover.job_to(self.host, self.vmid, self.request.target)
        for key, drive in drives.drives(self.kind, config):
            if not drive.is_volume or self.host.storage.is_shared(self.host.storage.entry(drive.storage)):
                continue
            if drive.is_cdrom and not drives.is_cloudinit(drive):
                self.log(TEXTS["cdrom"].format(volid=drive.volume))
                trouble = True
                continue
            self.log(f"found local disk '{drive.volume}' (attached)")
            replica = self.job is not None and drive.replicates
            base = self.host.storage.base_of(drive.volume)
            if base is not None and not running and not replica:
                # what is copied offline goes as a stream, which the target could not put on its base [inferred]
                self.log(TEXTS["clone"].format(volid=drive.volume, base=base))
                trouble = True
                continue
            storage = drive.storage if replica else map_storage(self.request.storages, drive.storage)
            self.moves.append(_Move(key, drive, storage, replica=replica))
        if trouble:
            raise AgentError(TEXTS["scan"])
        if self.moves and running and self.kind is QEMU and not self.request.with_local_disks:
            raise AgentError(TEXTS["local_disks"])

    async def _lock(self, config: GuestConfig) -> None:
        self.original = configs.format_config(config)
        config.values["lock"] = "migrate"
        await configs.save(self.host, self.kind, self.vmid, config)

    async def _copy_disks(self) -> None:
        if self.job is not None:
            self.log("replicating disk images")
            sums = await handover.bring_up_to_date(self.host, self.job, self.log)
            for move in self.moves:
                if move.replica:
                    move.new, move.sums = move.drive.volume, sums[move.drive.volume]
        copied = [move for move in self.moves if not move.replica]
        if copied:
            self.log("copying local disk images")
        for move in copied:
            path = self.host.storage.path(move.drive.volume)
            name = self.host.storage.split(move.drive.volume)[1].rpartition("/")[2].partition(".")[0]
            request = {
                **{"do": "import", "storage": move.storage, "vmid": self.vmid, "name": name, "size": move.drive.size},
                "form": "subvol" if path.is_dir() else path.suffix.lstrip("."),
            }
            move.new = await self.tunnel.ask(request, path, move.sums)
            self.log(f"successfully imported '{move.new}'")
            self.log(f"volume '{move.drive.volume}' is '{move.new}' on the target")

    async def _move_live(self, config: GuestConfig) -> None:
        host = self.host
        guest = host.guests.running[self.vmid]
        self.log(f"starting VM {self.vmid} on remote node '{self.request.target}'")
        volumes = [
            drive.volume for _, drive in drives.drives(self.kind, config) if drive.is_volume and not drive.is_cdrom
        ]
        new = {move.drive.volume: move.new for move in self.moves}
        await self.tunnel.ask(
            {
                **{"do": "incoming", "kind": self.kind.type, "vmid": self.vmid, "run": guest.run.hex()},
                "volumes": [new.get(volume, volume) for volume in volumes],
            }
        )
        self.started_there = True
        self.log("start remote tunnel")
        self.log("ssh tunnel ver 1")
        self.log(f"starting online/live migration on unix:/run/qemu-server/{self.vmid}.migrate")
        memory = memory_of(self.kind, config) >> 20
        await host.clock.sleep(_SETUP_TIME + memory / 1024 * _GIB_TIME)
        paused_at = host.clock.elapsed()
        await host.guests.suspend(self.vmid)
        for move in self.moves:
            path = host.storage.path(move.drive.volume)
            await self.tunnel.ask({"do": "update", "volume": move.new}, path, move.sums)
        await self._move_config(config)
        await self.tunnel.ask({"do": "resume", "vmid": self.vmid})
        downtime = max(1, int((host.clock.elapsed() - paused_at) * 1000 / host.clock.scale))
        self.log(f"average migration speed: {memory:.1f} MiB/s - downtime {downtime} ms")
        self.log("migration status: completed")
        await host.guests.kill(self.vmid)

    def _moved(self) -> bool:
        place = configs.place(self.host, self.vmid)
        return place is not None and place.node == self.request.target

    async def _move_config(self, config: GuestConfig) -> None:
        config.values.pop("lock", None)
        for move in self.moves:
            config.values[move.key] = Drive(move.new, move.drive.options).format()
        # one write with the new content, one atomic move: at no moment is the guest at two places
        await configs.save(self.host, self.kind, self.vmid, config)
        old_path, new_path = (
            configs.config_path(self.kind, node, self.vmid) for node in (self.host.name, self.request.target)
        )
        await self.host.files.rename(old_path, new_path)

    def _clean_up(self) -> None:
        for move in self.moves:
            if not move.replica:
                self.host.storage.free(move.drive.volume)

    async def _take_back(self) -> None:
        """Leave things as they were: nothing there, the guest here."""
        made = [move.new for move in self.moves if move.new and not move.replica]
        try:
            await self.tunnel.ask({"do": "abort", "vmid": self.vmid, "volumes": made, "kill": self.started_there})
        except AgentError as error:
            self.log(f"ERROR: {error}")
        guest = self.host.guests.running.get(self.vmid)
        if guest is not None and guest.suspended:
            await self.host.guests.resume(self.vmid)
        if self.host.files.quorate:
            await self.host.files.write(configs.config_path(self.kind, self.host.name, self.vmid), self.original)


# ---- the target's part ----------------------------------------------------------------------------------------------


async def _import(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> str:
    storage, vmid, name, form = request["storage"], request["vmid"], request["name"], request["form"]
    if form != "subvol":
        # files are named with their format, volumes of other storages have none to choose
        in_files = isinstance(host.storage.backend(host.storage.entry(storage)), Directory)
        name, form = (f"{name}.{form}", form) if in_files else (name, None)
    taken = {volume.volid.rpartition(":")[2].rpartition("/")[2] for volume in host.storage.volumes(storage)}
    volid = host.storage.allocate(storage, vmid, request["size"], form=form, name=None if name in taken else name)
    try:
        await receive(reader, host.storage.path(volid))
        host.storage.commit(volid)
    except (OSError, ValueError, asyncio.IncompleteReadError):
        host.storage.free(volid)
        raise
    return volid


async def _update(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> int:
    total = await receive(reader, host.storage.path(request["volume"]))
    host.storage.commit(request["volume"])
    return total


async def _incoming(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    files = [host.storage.place(volume) for volume in request["volumes"]]
    run = bytes.fromhex(request["run"]) or secrets.token_bytes(16)
    await host.guests.launch(KINDS[request["kind"]], request["vmid"], files, run=run, paused=True)


async def _resume(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    await host.guests.resume(request["vmid"])


async def _start(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    await operations.start(host, KINDS[request["kind"]], request["vmid"])


async def _abort(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    if request["kill"]:
        await host.guests.kill(request["vmid"])
    for volume in request["volumes"]:
        if host.storage.exists(volume):
            host.storage.free(volume)


HANDLERS: dict[str, Handler] = {
    **{"import": _import, "update": _update, "incoming": _incoming, "resume": _resume},
    **{"start": _start, "abort": _abort},
}
