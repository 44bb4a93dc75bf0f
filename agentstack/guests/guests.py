# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests that run on a host: their processes, and what the host reports of them.

A guest's process belongs to the host's process group and hangs on a pipe from the host: it ends with it. So after a
restart of the host all its guests are off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack._shared.units import parse_size
from agentstack.guests import config as configs
from agentstack.guests import process
from agentstack.guests.config import LXC, QEMU, GuestConfig, Kind
from agentstack.guests.drives import drives

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

INTERVAL = 0.5
"""Real seconds between two records of a guest."""

RECORDS = "var/lib/records"
"""The file in a container's root that holds its records."""

_DEFAULT_MEMORY = {QEMU.type: 512, LXC.type: 512}
_IDLE_MEMORY = 0.35
SLACK = 5.0
"""Real seconds on top of what a guest's end takes."""


@dataclass
class Running:
    """A running guest. `since`: stack seconds; `run`: id of this run; `files`: its disks on the real disk."""

    vmid: int
    kind: Kind
    process: asyncio.subprocess.Process
    run: bytes
    since: float
    files: set[Path]
    suspended: bool = False
    frozen: bool = False
    """Its agent holds its file systems still."""
    stalled: bool = False
    """A disk of it answers nothing: the guest waits, and cannot even end."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from a command to its answer."""


class Guests:
    """The running guests of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.running: dict[int, Running] = {}
        self.locks: dict[int, asyncio.Lock] = {}
        stack_state = host.state.parent.parent
        self.ledger = stack_state / "ledger"
        self.lease = stack_state / "stack.json"
        self._watchers: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self.ledger.mkdir(exist_ok=True)
        self.host.disks.listeners.append(self._look_at_disks)
        self.host.storage.arrays.listeners.append(self._look_at_disks)

    def _blocked(self, files: set[Path]) -> bool:
        return any(self.host.storage.blocked(path) for path in files)

    def _look_at_disks(self) -> None:
        """Let guests wait whose disks answer nothing, and go on when they do."""
        for guest in self.running.values():
            blocked = self._blocked(guest.files)
            if blocked != guest.stalled:
                guest.stalled = blocked
                self._keep(asyncio.create_task(self._tell(guest, "stall" if blocked else "go on")))

    async def stop(self) -> None:
        """End every guest, as the host does when it shuts down."""
        await asyncio.gather(*(self.shutdown(vmid, 2.0) for vmid in list(self.running)))
        for vmid in list(self.running):
            await self.kill(vmid)

    def forget_acknowledged(self, vmid: int) -> None:
        """Let the world outside forget what a guest acknowledged: its disk is another one now, by its owner's will."""
        (self.ledger / str(vmid)).unlink(missing_ok=True)

    def lock(self, vmid: int) -> asyncio.Lock:
        """What an operation on a guest's configuration holds on this host."""
        return self.locks.setdefault(vmid, asyncio.Lock())

    def is_running(self, vmid: int) -> bool:
        """Tell whether the guest runs here."""
        return vmid in self.running

    def uses(self, path: Path) -> bool:
        """Tell whether a running guest has the file, or a file in the directory, as its disk."""
        return any(path in guest.files for guest in self.running.values())

    async def launch(
        self, kind: Kind, vmid: int, files: list[Path], *, run: bytes | None = None, paused: bool = False
    ) -> None:
        """Start a guest's process on its disks, the first of which it works on.

        `run` continues a run that was moved here; `paused` lets it wait for `resume`.
        """
        run = run or secrets.token_bytes(16)
        disk, area = "", process.AREA
        if files:
            disk = str(files[0])
            if files[0].is_dir():
                records = files[0] / RECORDS
                records.parent.mkdir(parents=True, exist_ok=True)
                disk, area = str(records), 0
        stalled = self._blocked(set(files))
        options = {
            "stalled": str(int(stalled)),
            **{"host": self.host.name, "run": run.hex(), "disk": disk, "area": str(area), "interval": str(INTERVAL)},
            **{"ledger": str(self.ledger / str(vmid)), "lease": str(self.lease), "paused": str(int(paused))},
        }
        wire = self.host.storage.attach(files[0]) if files else None
        if wire is not None:
            options |= {"wire": str(wire[0].fileno()), "size": str(wire[1])}
        with wire[0] if wire is not None else contextlib.nullcontext():
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", process.__file__, json.dumps(options)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=[wire[0].fileno()] if wire is not None else [],
                env={},
            )
        guest = Running(vmid, kind, child, run, self.host.clock.elapsed(), set(files), paused, stalled)
        self.running[vmid] = guest
        self._keep(asyncio.create_task(self._watch(guest)))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        # the loop itself knows its tasks weakly only
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _watch(self, guest: Running) -> None:
        status = await guest.process.wait()
        if self.running.get(guest.vmid) is guest:
            del self.running[guest.vmid]
        guest.ended.set()
        log.info("guest %s ended (%s)", guest.vmid, status)

    async def _tell(self, guest: Running, command: str) -> str:
        """Give a guest a command; returns the answer's argument ("" when it is gone)."""
        if guest.process.stdin is None or guest.process.stdout is None or guest.ended.is_set():
            return ""
        async with guest.asking:
            try:
                guest.process.stdin.write(f"{command}\n".encode())
                await guest.process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                return ""
            return (await guest.process.stdout.readline()).decode().strip().partition(" ")[2]

    async def kill(self, vmid: int) -> None:
        """Take a guest's power away."""
        guest = self.running.get(vmid)
        if guest is not None:
            guest.process.kill()
            await guest.ended.wait()

    async def shutdown(self, vmid: int, seconds: float, patience: float = 0.0) -> None:
        """Ask a guest to end by itself, which takes it that many stack seconds; returns when it has ended, or after
        `patience` stack seconds (default: no more than it takes)."""
        guest = self.running.get(vmid)
        if guest is not None and not guest.suspended and not guest.stalled:
            await self._tell(guest, f"shutdown {self.host.clock.real(seconds)}")
            # a guest whose storage does not answer cannot end by itself
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(guest.ended.wait(), self.host.clock.real(patience or seconds) + SLACK)

    async def suspend(self, vmid: int) -> None:
        """Hold a guest."""
        guest = self.running[vmid]
        await self._tell(guest, "suspend")
        guest.suspended = True

    async def resume(self, vmid: int) -> None:
        """Let a held guest go on."""
        guest = self.running[vmid]
        await self._tell(guest, "resume")
        guest.suspended = False

    async def freeze(self, vmid: int) -> None:
        """Let a guest write nothing, on the word of its agent."""
        guest = self.running[vmid]
        await self._tell(guest, "suspend")
        guest.frozen = True

    async def thaw(self, vmid: int) -> None:
        """Let a guest write again."""
        guest = self.running[vmid]
        guest.frozen = False
        if not guest.suspended:
            await self._tell(guest, "resume")

    def status(self, kind: Kind, vmid: int, config: GuestConfig) -> dict[str, Any]:
        """A guest of this host as lists show it (facts §14)."""
        values = config.values
        guest = self.running.get(vmid)
        uptime = int(self.host.clock.elapsed() - guest.since) if guest else 0
        cpus = (
            int(values.get("cores", "1")) * int(values.get("sockets", "1"))
            if kind is QEMU
            else int(values.get("cores", 0))
        )
        memory = memory_of(kind, config)
        used = int(memory * _IDLE_MEMORY) if guest else 0
        first = next((drive for _, drive in drives(kind, config) if drive.is_volume and not drive.is_cdrom), None)
        records = int(self.host.clock.real(uptime) / INTERVAL)
        name = values.get("name", f"VM{vmid}") if kind is QEMU else values.get("hostname", f"CT{vmid}")
        row: dict[str, Any] = {
            **{"vmid": vmid, "name": name, "status": "running" if guest else "stopped", "uptime": uptime},
            **{"cpus": cpus or self.host.spec.cpus, "cpu": 0.01 + vmid % 5 / 100 if guest else 0},
            **{"maxmem": memory, "mem": used, "maxdisk": first.size if first else 0, "disk": 0},
            **{"netin": uptime * 120 if "net0" in values else 0, "netout": uptime * 90 if "net0" in values else 0},
            **{"diskread": 0, "diskwrite": records * process.RECORD_SIZE if first else 0},
        }
        if kind is LXC:
            row |= {"type": "lxc", "maxswap": int(values.get("swap", "512")) << 20, "swap": 0}
        if not self.host.release.startswith("8."):
            row["memhost"] = used
        if guest:
            row["pid"] = guest.process.pid
        row |= {key: values[key] for key in ("lock", "tags") if key in values}
        if values.get("template") == "1":
            row["template"] = 1
        return row

    def status_rows(self) -> list[dict[str, Any]]:
        """Every guest whose configuration lies on this host, for the host's status broadcast (/cluster/resources)."""
        rows = []
        services = self.host.manager.manager_status().get("service_status", {})
        for place in configs.places(self.host).values():
            if place.node == self.host.name:
                row = self.status(place.kind, place.vmid, configs.load(self.host, place.kind, place.vmid))
                row["type"] = place.kind.type
                row["maxcpu"] = row.pop("cpus")
                if service := services.get(f"{place.kind.service}:{place.vmid}"):
                    row["hastate"] = service["state"]
                rows.append(row)
        return rows


def memory_of(kind: Kind, config: GuestConfig) -> int:
    """A guest's configured memory in bytes."""
    text = config.values.get("memory", str(_DEFAULT_MEMORY[kind.type])).rpartition("=")[2]
    return parse_size(f"{text}M")
