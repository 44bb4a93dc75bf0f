# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that concern the host as a machine: its services, its version, its power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.shell.registry import CommandIO, command
from agentstack.stack import Kind

if TYPE_CHECKING:
    from agentstack.host import Host

ALL: tuple[Kind, ...] = ("pve", "pbs", "witness")

PVE_CLUSTER_RESTART = 1.3
"""Seconds that the cluster file system is away (observed: create)."""

SERVICES: dict[Kind, tuple[str, ...]] = {
    "pve": (
        "chrony",
        "corosync",
        "cron",
        "ksmtuned",
        "postfix",
        "proxmox-firewall",
        "pve-cluster",
        "pve-firewall",
        "pve-ha-crm",
        "pve-ha-lrm",
        "pvedaemon",
        "pvefw-logger",
        "pveproxy",
        "pvescheduler",
        "pvestatd",
        "qmeventd",
        "spiceproxy",
        "ssh",
        "sshd",
        "systemd-journald",
        "watchdog-mux",
    ),
    "pbs": ("chrony", "cron", "postfix", "proxmox-backup", "proxmox-backup-proxy", "ssh", "sshd", "systemd-journald"),
    "witness": ("chrony", "corosync-qnetd", "cron", "ssh", "sshd", "systemd-journald"),
}


def is_active(host: Host, unit: str) -> bool:
    """Whether a service runs; corosync does only in a cluster, and not after it had to end."""
    name = unit.removesuffix(".service")
    if name == "corosync" and host.kind == "pve":
        return host.cluster.corosync.running
    return name in SERVICES[host.kind]


@command("systemctl", kinds=ALL)
async def systemctl(host: Host, argv: list[str], io: CommandIO) -> int:
    quiet = bool({"-q", "--quiet"} & set(argv))
    words = [word for word in argv if not word.startswith("-")]
    match words:
        case ["is-active", *units] if units:
            states = ["active" if is_active(host, unit) else "inactive" for unit in units]
            if not quiet:
                io.out("".join(f"{state}\n" for state in states))
            return 0 if "active" in states else 3
        case ["is-enabled", *units] if units:
            return _is_enabled(host, units, io, quiet)
        case ["daemon-reload"]:
            return 0
        case ["reboot" | "poweroff" as verb]:
            host.shut_down(reboot=verb == "reboot")
            return 0
        case ["restart" | "reload" | "try-restart" | "reload-or-restart" | "start" as verb, *units] if units:
            missing = [unit for unit in units if unit.removesuffix(".service") not in SERVICES[host.kind]]
            for unit in missing:
                io.err(f"Failed to {verb} {_full(unit)}: Unit {_full(unit)} not found.\n")
            if not missing and verb != "reload":
                await _restart_cluster_services(host, [unit.removesuffix(".service") for unit in units], verb)
            return 5 if missing else 0
        case [verb, *_]:
            io.err(f"Unknown command verb '{verb}'.\n")
            return 1
    io.err("Too few arguments.\n")
    return 1


async def _restart_cluster_services(host: Host, units: list[str], verb: str) -> None:
    """The services whose restart others notice; a start leaves alone what runs."""
    if "pve-ha-lrm" in units and verb != "start":
        await host.manager.restart_lrm()
    if "corosync" in units and not (verb == "start" and host.cluster.corosync.running):
        await host.cluster.restart_corosync()
    if "pve-cluster" in units and verb != "start":
        await host.files.restart(PVE_CLUSTER_RESTART)
        if host.cluster.in_cluster:
            host.files.connect()


@command("pveversion")
async def pveversion(host: Host, argv: list[str], io: CommandIO) -> int:
    # observed: commands, pveversion
    io.out(f"pve-manager/{host.version}/{host.repoid} (running kernel: {host.kernel})\n")
    return 0


@command("reboot", kinds=ALL)
async def reboot(host: Host, argv: list[str], io: CommandIO) -> int:
    host.shut_down(reboot=True)
    return 0


@command("poweroff", "halt", kinds=ALL)
async def poweroff(host: Host, argv: list[str], io: CommandIO) -> int:
    host.shut_down(reboot=False)
    return 0


@command("shutdown", kinds=ALL)
async def shutdown(host: Host, argv: list[str], io: CommandIO) -> int:
    host.shut_down(reboot="-r" in argv)
    return 0


def _is_enabled(host: Host, units: list[str], io: CommandIO, quiet: bool) -> int:
    known = [unit.removesuffix(".service") in SERVICES[host.kind] for unit in units]
    for unit, enabled in zip(units, known, strict=True):
        if enabled and not quiet:
            io.out("enabled\n")
        elif not enabled and not quiet:
            io.err(f"Failed to get unit file state for {_full(unit)}: No such file or directory\n")
    return 0 if all(known) else 1


def _full(unit: str) -> str:
    return unit if "." in unit else f"{unit}.service"
