# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a guest's power: the work behind tasks, also for the HA stack, which skips the API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.guests import cloudinit
from agentstack.guests import config as configs
from agentstack.guests.config import LXC, GuestConfig, Kind
from agentstack.guests.drives import drives, is_cloudinit

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "running": "{label} {vmid} already running",
    "not_running": "{label} {vmid} not running",
    "powerdown": "VM quit/powerdown failed - got timeout",
    "template": "you can't start a {label} if it's a template",
}

START_TIME = 1.5
STOP_TIME = 0.5
SHUTDOWN_TIME = 4.0
"""Stack seconds that a guest needs to come up, to be torn down, and to end by itself."""

DEFAULT_SHUTDOWN_TIMEOUT = 60
_SUSPENDED = "suspended"

Log = Callable[[str], None]


def silent(line: str) -> None:
    """A log for work that nobody reads."""


def assert_running(host: Host, kind: Kind, vmid: int) -> None:
    """Raise AgentError unless the guest runs here."""
    if not host.guests.is_running(vmid):
        raise AgentError(TEXTS["not_running"].format(label=kind.label, vmid=vmid))


def assert_stopped(host: Host, kind: Kind, vmid: int) -> None:
    """Raise AgentError when the guest runs here."""
    if host.guests.is_running(vmid):
        raise AgentError(TEXTS["running"].format(label=kind.label, vmid=vmid))


def disk_files(host: Host, kind: Kind, config: GuestConfig) -> list[Path]:
    """Where a guest's disks are on the real disk, the first one first. Raises AgentError for one that is missing."""
    files = []
    for _, drive in drives(kind, config):
        if drive.is_volume:
            path = host.storage.place(drive.volume)
            if not drive.is_cdrom:
                files.append(path)
    return files


async def start(host: Host, kind: Kind, vmid: int, *, skip_lock: bool = False, log: Log = silent) -> None:
    """Start a guest; changes that waited for this are taken over first."""
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        if not skip_lock and config.lock != _SUSPENDED:
            configs.check_lock(kind, config)
        if config.values.get("template") == "1":
            raise AgentError(TEXTS["template"].format(label=kind.label))
        assert_stopped(host, kind, vmid)
        if config.pending or config.lock == _SUSPENDED:
            apply_pending(config)
            config.values.pop("lock", None)
            await configs.save(host, kind, vmid, config)
        files = disk_files(host, kind, config)
        if any(is_cloudinit(drive) for _, drive in drives(kind, config)):
            cloudinit.write(host, config, vmid)
        await host.clock.sleep(START_TIME)
        await host.guests.launch(kind, vmid, files)


def apply_pending(config: GuestConfig) -> None:
    """Make the changes that wait for the next start."""
    for key, value in config.pending.items():
        if value is None:
            config.values.pop(key, None)
        else:
            config.values[key] = value
    config.pending.clear()


async def stop(host: Host, kind: Kind, vmid: int, *, skip_lock: bool = False, log: Log = silent) -> None:
    """Take a guest's power away. A VM that is off already is no error."""
    async with host.guests.lock(vmid):
        if not skip_lock:
            configs.check_lock(kind, configs.load(host, kind, vmid))
        if kind is LXC:
            assert_running(host, kind, vmid)
        await host.guests.kill(vmid)
        await host.clock.sleep(STOP_TIME)
        await _after_stop(host, kind, vmid)


async def shutdown(
    host: Host, kind: Kind, vmid: int, timeout: float, *, force: bool = False, log: Log = silent
) -> None:
    """Ask a guest to end by itself within `timeout` stack seconds; what does not is stopped, or an error."""
    async with host.guests.lock(vmid):
        configs.check_lock(kind, configs.load(host, kind, vmid))
        assert_running(host, kind, vmid)
        guest = host.guests.running[vmid]
        if guest.suspended or guest.stalled or timeout < SHUTDOWN_TIME:
            await host.clock.sleep(timeout)
            if not force:
                raise AgentError(TEXTS["powerdown"])
            await host.guests.kill(vmid)
        else:
            await host.guests.shutdown(vmid, SHUTDOWN_TIME, timeout)
            if host.guests.is_running(vmid):
                if not force:
                    raise AgentError(TEXTS["powerdown"])
                await host.guests.kill(vmid)
        await _after_stop(host, kind, vmid)


async def _after_stop(host: Host, kind: Kind, vmid: int) -> None:
    config = configs.load(host, kind, vmid)
    if config.pending and host.files.quorate:
        apply_pending(config)
        await configs.save(host, kind, vmid, config)


async def reboot(host: Host, kind: Kind, vmid: int, timeout: float, *, log: Log = silent) -> None:
    """Shut a guest down and start it again."""
    await shutdown(host, kind, vmid, timeout, log=log)
    await start(host, kind, vmid, log=log)


async def reset(host: Host, kind: Kind, vmid: int, *, log: Log = silent) -> None:
    """Restart a VM at once, as with its reset button."""
    await stop(host, kind, vmid, log=log)
    await start(host, kind, vmid, log=log)


async def suspend(host: Host, kind: Kind, vmid: int, *, to_disk: bool = False, log: Log = silent) -> None:
    """Hold a VM, or write its state away and switch it off."""
    assert_running(host, kind, vmid)
    if not to_disk:
        await host.guests.suspend(vmid)
        return
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        configs.check_lock(kind, config)
        config.values["lock"] = _SUSPENDED
        await configs.save(host, kind, vmid, config)
        await host.guests.kill(vmid)


async def resume(host: Host, kind: Kind, vmid: int, *, log: Log = silent) -> None:
    """Let a held VM go on; one that was suspended to disk is started."""
    if configs.load(host, kind, vmid).lock == _SUSPENDED:
        await start(host, kind, vmid, log=log)
        return
    assert_running(host, kind, vmid)
    await host.guests.resume(vmid)
