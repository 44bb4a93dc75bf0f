# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that concern the host as a machine: its services, its version, its power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.shell import timers
from agentstack.shell.registry import CommandIO, command
from agentstack.stack import Kind
from agentstack.witness import units

if TYPE_CHECKING:
    from agentstack.host import Host

ALL: tuple[Kind, ...] = ("pve", "pbs", "witness")

SERVICES: dict[Kind, tuple[str, ...]] = {
    "pbs": ("chrony", "cron", "postfix", "proxmox-backup", "proxmox-backup-proxy", "ssh", "sshd", "systemd-journald"),
    "witness": ("chrony", "cron", "ssh", "sshd", "systemd-journald"),
}
"""Of the hosts without services of their own (`services`)."""


def exists(host: Host, unit: str) -> bool:
    """Whether there is a unit of that name."""
    if units.is_ours(unit):
        return units.exists(host, unit)
    if host.kind == "pve":
        return host.services.exists(unit)
    return unit.removesuffix(".service") in SERVICES[host.kind]


def is_active(host: Host, unit: str) -> bool:
    """Whether a service runs."""
    if units.is_ours(unit):
        return units.is_active(host, unit)
    return host.services.is_active(unit) if host.kind == "pve" else exists(host, unit)


@command("systemctl", kinds=ALL)
async def systemctl(host: Host, argv: list[str], io: CommandIO) -> int:
    quiet = bool({"-q", "--quiet"} & set(argv))
    words = [word for word in argv if not word.startswith("-")]
    if words[1:] and all(word.endswith(timers.ENDING) for word in words[1:]):
        return timers.control(host, words, io)
    match words:
        case ["is-active", *names] if names:
            states = ["active" if is_active(host, unit) else "inactive" for unit in names]
            if not quiet:
                io.out("".join(f"{state}\n" for state in states))
            return 0 if "active" in states else 3
        case ["is-enabled", *names] if names:
            return _is_enabled(host, names, io, quiet)
        case ["daemon-reload"]:
            return 0
        case ["reboot" | "poweroff" as verb]:
            host.shut_down(reboot=verb == "reboot")
            return 0
        case ["restart" | "reload" | "try-restart" | "reload-or-restart" | "start" | "stop" as verb, *names] if names:
            missing = [unit for unit in names if not exists(host, unit)]
            for unit in missing:
                io.err(f"Failed to {verb} {_full(unit)}: Unit {_full(unit)} not found.\n")
            for unit in () if missing else names:
                await _act(host, verb, unit)
            return 5 if missing else 0
        case ["enable" | "disable" as verb, *names] if names:
            for unit in names:
                if not exists(host, unit):
                    io.err(f"Failed to {verb} unit: Unit {_full(unit)} does not exist\n")
                    return 1
                if units.is_ours(unit):
                    io.err(units.enable(host, unit, on=verb == "enable"))
                    if "--now" in argv:
                        await units.act(host, "start" if verb == "enable" else "stop", unit)
            return 0
        case [verb, *_]:
            io.err(f"Unknown command verb '{verb}'.\n")
            return 1
    io.err("Too few arguments.\n")
    return 1


async def _act(host: Host, verb: str, unit: str) -> None:
    if units.is_ours(unit):
        await units.act(host, verb, unit)
        return
    if host.kind != "pve":
        return
    services = host.services
    match verb:
        case "start":
            await services.begin(unit)
        case "stop":
            await services.end(unit)
        case "reload":
            await services.reload(unit)
        case "try-restart" if not services.is_active(unit):
            return
        case _:
            await services.restart(unit)


@command("pveversion")
async def pveversion(host: Host, argv: list[str], io: CommandIO) -> int:
    # observed: commands, pveversion
    if not {"-v", "--verbose"} & set(argv):
        io.out(f"pve-manager/{host.version}/{host.repoid} (running kernel: {host.kernel})\n")
        return 0
    found = {name: package for name, package in host.packages.all().items() if package.origin == "Proxmox"}
    first = {
        "proxmox-ve": f"running kernel: {host.kernel}",
        "pve-manager": f"running version: {host.version}/{host.repoid}",
    }
    for name in (*first, *sorted(set(found) - set(first))):
        if name in found:
            io.out(f"{name}: {found[name].version}" + (f" ({first[name]})" if name in first else "") + "\n")
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


def _is_enabled(host: Host, names: list[str], io: CommandIO, quiet: bool) -> int:
    known = [units.is_enabled(host, unit) if units.is_ours(unit) else exists(host, unit) for unit in names]
    for unit, enabled in zip(names, known, strict=True):
        if enabled and not quiet:
            io.out("enabled\n")
        elif not enabled and not quiet:
            io.err(f"Failed to get unit file state for {_full(unit)}: No such file or directory\n")
    return 0 if all(known) else 1


def _full(unit: str) -> str:
    return unit if "." in unit else f"{unit}.service"
