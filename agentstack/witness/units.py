# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness's daemons as systemd units: they come with a package of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.stack import Kind

KINDS: dict[str, Kind] = {"corosync-qdevice": "pve", "corosync-qnetd": "witness"}
"""Units, and the kind of host on which there is a daemon behind them."""

SYSV_INSTALL = "/usr/lib/systemd/systemd-sysv-install"


def is_ours(unit: str) -> bool:
    """Whether this module knows of a unit."""
    return unit.removesuffix(".service") in KINDS


def exists(host: Host, unit: str) -> bool:
    """Whether the package of the unit is installed."""
    name = unit.removesuffix(".service")
    return host.kind == KINDS[name] and host.packages.has(name)


def is_active(host: Host, unit: str) -> bool:
    """Whether the daemon runs."""
    if not exists(host, unit):
        return False
    return host.qdevice.running if host.kind == "pve" else host.qnetd.running


def is_enabled(host: Host, unit: str) -> bool:
    """Whether the daemon is started with the host; qnetd always is."""
    return exists(host, unit) and (host.kind != "pve" or host.qdevice.enabled)


async def act(host: Host, verb: str, unit: str) -> None:
    """Start, stop, restart."""
    daemon = host.qdevice if host.kind == "pve" else host.qnetd
    if verb == "try-restart" and not is_active(host, unit):
        return
    if verb not in ("start", "reload"):
        await daemon.stop()
    if verb not in ("stop", "reload"):
        await daemon.begin()


def enable(host: Host, unit: str, *, on: bool) -> str:
    """Start the daemon with the host from now on, or no longer; gives what systemctl says about it."""
    name = unit.removesuffix(".service")
    verb = "enable" if on else "disable"
    changed = is_enabled(host, unit) != on
    if host.kind == "pve":
        host.qdevice.enable(on)
    # Debian's package has a script of the old kind, too
    text = f"Synchronizing state of {name}.service with SysV service script with {SYSV_INSTALL}.\n"
    text += f"Executing: {SYSV_INSTALL} {verb} {name}\n"
    link = f"/etc/systemd/system/multi-user.target.wants/{name}.service"
    if changed:
        text += f"Created symlink '{link}' → '/lib/systemd/system/{name}.service'.\n" if on else f"Removed '{link}'.\n"
    return text
