# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a replication job: snapshots of all volumes, what changed since the last ones, over the tunnel.

Facts §9.3.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.guests.tunnel import PIECE, Handler, Sums, Tunnel, receive
from agentstack.replication.network import replication_network
from agentstack.storage import sparse

if TYPE_CHECKING:
    from pathlib import Path

    from agentstack.host import Host

PREFIX = "__replicate_"
"""What names of replication's own snapshots begin with."""
SNAPSHOT = PREFIX + "{job}_{time}__"
MEGABYTE = 1_000_000
"""Rates are decimal (facts §9.3)."""

TEXTS = {
    "no_base": "No common base snapshot on volume(s) {volumes}.\n"
    "Please remove the problematic snapshots or the volume on the target and try again.",
}


def snapshot_time(job: str, name: str) -> int | None:
    """When a snapshot of this job was made; None for any other snapshot."""
    match = re.fullmatch(rf"{PREFIX}{re.escape(job)}_(\d+)__", name)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class Copy:
    """What a run does: the job, the guest, where to, which volumes, how fast (MB/s; None: as fast as it goes)."""

    job: str
    vmid: int
    target: str
    volumes: list[str]
    rate: float | None


def replicas(host: Host, volid: str, job: str) -> dict[int, str]:
    """The job's snapshots of a volume on this host, by time."""
    try:
        dataset = _dataset(host, volid)
        names = host.zfs.dataset(dataset)[1].snapshots
    except AgentError:
        return {}
    found = {snapshot_time(job, name): name for name in names}
    return {time: name for time, name in found.items() if time is not None}


def newest(host: Host, volid: str, job: str) -> Path:
    """Where the bytes of the job's newest snapshot of a volume are."""
    found = replicas(host, volid, job)
    return _snapshot_path(host, volid, found[max(found)])


def _dataset(host: Host, volid: str) -> str:
    storage, name = host.storage.split(volid)
    # the name of a linked clone begins with that of its base
    return f"{host.storage.entry(storage).values['pool']}/{name.rpartition('/')[2]}"


async def run(host: Host, copy: Copy, now: int, log: Callable[[str], None]) -> None:
    """Bring the target up to the state of this moment. Raises AgentError; the last good state is kept then."""
    tunnel = Tunnel(host, copy.target, replication_network(host))
    bases = await _common_bases(host, tunnel, copy)
    name = SNAPSHOT.format(job=copy.job, time=now)
    await _snapshot(host, copy, name, log)
    sent: list[str] = []
    try:
        for volid in copy.volumes:
            base = bases[volid]
            how = f"incremental sync '{volid}' ({base} => {name})" if base else f"full sync '{volid}' ({name})"
            log(how)
            sent.append(volid)
            before = base
            for step in _chain(host, volid, base, name):
                total = await _send(host, tunnel, copy, volid, before, step)
                log(f"total size of {volid}@{step} is {total} bytes")
                before = step
    except (AgentError, OSError):
        for volid in copy.volumes:
            host.storage.delete_snapshot(volid, name)
        await _forget_there(tunnel, sent, name, log)
        raise
    for volid in copy.volumes:
        for _, old in replicas(host, volid, copy.job).items():
            if old != name:
                log(f"delete previous replication snapshot '{old}' on {volid}")
                host.storage.delete_snapshot(volid, old)
    kept = {volid: _snapshots(host, volid) for volid in copy.volumes}
    await tunnel.ask({"do": "replica-keep", "kept": kept})


def _snapshots(host: Host, volid: str) -> list[str]:
    return list(host.zfs.dataset(_dataset(host, volid))[1].snapshots)


def _chain(host: Host, volid: str, base: str | None, name: str) -> list[str]:
    """The snapshots to send one after another: those between `base` and `name` go along, as with `zfs send -I`.

    So a target of one job also has what the guest's other jobs go on from, when the guest moves there.
    """
    names = _snapshots(host, volid)
    return names[names.index(base) + 1 if base else 0 : names.index(name) + 1]


async def _common_bases(host: Host, tunnel: Tunnel, copy: Copy) -> dict[str, str | None]:
    """By volume, the newest snapshot that it has on both sides, whoever made it; None for what is not there yet."""
    there: dict[str, list[str] | None] = await tunnel.ask({"do": "replica-list", "volumes": copy.volumes})
    bases: dict[str, str | None] = {}
    orphans = []
    for volid in copy.volumes:
        names = there[volid]
        common = [name for name in _snapshots(host, volid) if name in (names or ())]
        bases[volid] = common[-1] if common else None
        if names is not None and not common:
            orphans.append(volid)
    if orphans:
        raise AgentError(TEXTS["no_base"].format(volumes=", ".join(orphans)))
    return bases


async def _snapshot(host: Host, copy: Copy, name: str, log: Callable[[str], None]) -> None:
    """All volumes at one moment: a guest that runs is held for the instant."""
    guest = host.guests.running.get(copy.vmid)
    hold = guest is not None and not guest.suspended
    if hold:
        log("freeze guest filesystem")
        await host.guests.suspend(copy.vmid)
    try:
        for volid in copy.volumes:
            log(f"create snapshot '{name}' on {volid}")
            host.storage.snapshot(volid, name)
    finally:
        if hold:
            await host.guests.resume(copy.vmid)
            log("thaw guest filesystem")


async def _send(host: Host, tunnel: Tunnel, copy: Copy, volid: str, base: str | None, name: str) -> int:
    """Returns the number of bytes of data that went over."""
    path = _snapshot_path(host, volid, name)
    sums: Sums | None = None
    if base is not None and path.is_file():
        before = _snapshot_path(host, volid, base)
        sums = _unless_holes_grew(before, path)
        base = base if sums is not None else None
    elif path.is_dir():
        # what was removed from a directory is not in what is sent: it is always sent whole
        base = None
    begun = host.clock.elapsed()
    total: int = await tunnel.ask(
        {
            **{"do": "replica-receive", "volume": volid, "base": base, "snapshot": name, "vmid": copy.vmid},
            **{"size": path.stat().st_size, "directory": path.is_dir()},
        },
        path,
        sums,
    )
    if copy.rate:
        await host.clock.sleep(max(0.0, total / (copy.rate * MEGABYTE) - (host.clock.elapsed() - begun)))
    return total


def _snapshot_path(host: Host, volid: str, name: str) -> Path:
    dataset = _dataset(host, volid)
    return host.zfs.dataset(dataset)[0].path(dataset, name)


def _unless_holes_grew(before: Path, after: Path) -> Sums | None:
    """Check sums of the older state's data, so that only differences are sent.

    None if something that had data has none any more: a hole is not sent, so the whole has to be.
    """
    sums: Sums = {("", offset): zlib.crc32(data) for offset, data in sparse.extents(before, PIECE)}
    present = {offset for offset, _ in sparse.extents(after, PIECE)}
    return None if any(offset not in present for _, offset in sums) else sums


async def _forget_there(tunnel: Tunnel, volumes: list[str], name: str, log: Callable[[str], None]) -> None:
    try:
        await tunnel.ask({"do": "replica-drop", "volumes": volumes, "snapshot": name})
    except AgentError as error:
        log(f"removing snapshot '{name}' on the target failed: {error.message}")


async def remove(host: Host, copy: Copy, log: Callable[[str], None], *, full: bool) -> None:
    """Take a job's traces away: its snapshots here and, with `full`, the copies on the target."""
    if full:
        log(f"delete stale volumes of {copy.vmid} on {copy.target}")
        await Tunnel(host, copy.target, replication_network(host)).ask(
            {"do": "replica-remove", "volumes": copy.volumes}
        )
    for volid in copy.volumes:
        for name in replicas(host, volid, copy.job).values():
            log(f"delete snapshot '{name}' on {volid}")
            host.storage.delete_snapshot(volid, name)


# ---- the target's part ----------------------------------------------------------------------------------------------


async def _list(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> dict[str, list[str] | None]:
    return {volid: _snapshots(host, volid) if host.storage.exists(volid) else None for volid in request["volumes"]}


async def _receive(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> int:
    volid, base, name = request["volume"], request["base"], request["snapshot"]
    storage, volume = host.storage.split(volid)
    if base is not None:
        host.storage.rollback(volid, base)
    else:
        if host.storage.exists(volid):
            host.storage.free(volid)
        vmid = int(request["vmid"])
        form = "subvol" if request["directory"] else None
        host.storage.allocate(storage, vmid, request["size"], form=form, name=volume.rpartition("/")[2])
    total = await receive(reader, host.storage.path(volid))
    host.storage.snapshot(volid, name)
    return total


async def _keep(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    for volid, names in request["kept"].items():
        for name in _snapshots(host, volid):
            if name.startswith(PREFIX) and name not in names:
                host.storage.delete_snapshot(volid, name)


async def _drop(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    for volid in request["volumes"]:
        if host.storage.exists(volid) and request["snapshot"] in _snapshots(host, volid):
            host.storage.delete_snapshot(volid, request["snapshot"])


async def _remove(host: Host, request: dict[str, Any], reader: asyncio.StreamReader) -> None:
    for volid in request["volumes"]:
        if host.storage.exists(volid):
            host.storage.free(volid)


HANDLERS: dict[str, Handler] = {
    **{"replica-list": _list, "replica-receive": _receive, "replica-keep": _keep},
    **{"replica-drop": _drop, "replica-remove": _remove},
}
