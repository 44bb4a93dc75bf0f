# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt-get and dpkg, for the packages that `packages` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.packages import VERSIONS
from agentstack.shell.names import ALL
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

INSTALL_TIME = 3.0
"""Stack seconds for one package."""
NOT_THERE = 100
"""apt-get's exit status for every error."""


@command("apt-get", "apt", kinds=ALL)
async def apt_get(host: Host, argv: list[str], io: CommandIO) -> int:
    words = [word for word in argv if not word.startswith("-") and "::" not in word and "=" not in word]
    match words:
        case ["update"]:
            await host.clock.sleep(INSTALL_TIME)
            io.out("Hit:1 http://deb.debian.org/debian trixie InRelease\nReading package lists...\n")
            return 0
        case ["install", *names]:
            return await _install(host, names, io)
        case ["remove" | "purge", *names]:
            for name in names:
                if host.packages.has(name):
                    io.out(f"Removing {name} ({VERSIONS.get(name, '')}) ...\n")
                    await _stop(host, name)
                    host.packages.remove(name)
            return 0
    io.err(f"E: Invalid operation {words[0] if words else ''}\n")
    return NOT_THERE


async def _install(host: Host, names: list[str], io: CommandIO) -> int:
    unknown = [name for name in names if name not in VERSIONS]
    for name in unknown:
        io.err(f"E: Unable to locate package {name}\n")
    if unknown:
        return NOT_THERE
    io.out("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
    for name in names:
        if host.packages.has(name):
            io.out(f"{name} is already the newest version ({VERSIONS[name]}).\n")
            continue
        await host.clock.sleep(INSTALL_TIME)
        host.packages.add(name)
        io.out(f"Setting up {name} ({VERSIONS[name]}) ...\n")
        if name == "corosync-qnetd" and host.kind == "witness":
            await host.qnetd.begin()
    return 0


async def _stop(host: Host, name: str) -> None:
    if name == "corosync-qnetd" and host.kind == "witness":
        await host.qnetd.stop()
    elif name == "corosync-qdevice" and host.kind == "pve":
        host.qdevice.enable(False)
        await host.qdevice.stop()


@command("dpkg", kinds=ALL)
async def dpkg(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["-s" | "--status", name] if host.packages.has(name):
            io.out(f"Package: {name}\nStatus: install ok installed\nVersion: {VERSIONS.get(name, '1.0-1')}\n")
            return 0
        case ["-s" | "--status", name]:
            io.err(f"dpkg-query: package '{name}' is not installed and no information is available\n")
            return 1
    io.err("dpkg: error: need an action option\n")
    return 2


@command("dpkg-query", kinds=ALL)
async def dpkg_query(host: Host, argv: list[str], io: CommandIO) -> int:
    """`-W [-f FORMAT] NAME…`, with `${Package}`, `${Version}` and `${Status}`."""
    form = "${Package}\t${Version}\n"
    names: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("-f", "--showformat") and rest:
            form = rest.pop(0)
        elif word.startswith(("-f=", "--showformat=")):
            form = word.partition("=")[2]
        elif not word.startswith("-"):
            names.append(word)
    status = 0
    for name in names:
        if not host.packages.has(name):
            io.err(f"dpkg-query: no packages found matching {name}\n")
            status = 1
            continue
        values = {"Package": name, "Version": VERSIONS.get(name, "1.0-1"), "Status": "install ok installed"}
        text = form.replace("\\n", "\n").replace("\\t", "\t")
        for key, value in values.items():
            text = text.replace(f"${{{key}}}", value)
        io.out(text)
    return status
