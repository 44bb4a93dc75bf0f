# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt-get, apt, dpkg-query and dpkg, for installing packages and for upgrades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.packages import catalogue
from agentstack.packages.apt import TEXTS, Upgrade
from agentstack.shell.names import ALL
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

FAILED = 100
_YES = frozenset({"-y", "--yes", "--assume-yes", "-qy", "-yq", "-qqy"})
_DRY = frozenset({"-s", "--simulate", "--dry-run", "--just-print", "--no-act"})
_READING = "Reading package lists...\nBuilding dependency tree...\nReading state information...\n"


@command("apt-get", "apt", kinds=ALL)
async def apt_get(host: Host, argv: list[str], io: CommandIO) -> int:
    options, words = _split(argv)
    match words:
        case ["update"]:
            return await _update(host, io)
        case ["upgrade"]:
            return await _install(host, _without_new(host), options, io)
        case ["dist-upgrade" | "full-upgrade"]:
            return await _install(host, host.packages.pending(), options, io)
        case ["install", *names] if names:
            return await _install_named(host, names, options, io)
        case ["remove" | "purge", *names]:
            for name in names:
                if package := host.packages.all().get(name):
                    io.out(f"Removing {name} ({package.version}) ...\n")
                    await _stop(host, name)
                    host.packages.remove(name)
            return 0
        case ["list"] if "--upgradable" in options or "--upgradeable" in options:
            io.out("Listing...\n")
            for upgrade in _without_new(host):
                package = upgrade.package
                suite = catalogue.suite_of(host.release)
                line = f"{package.name}/{suite} {package.version} {package.arch} [upgradable from: {upgrade.old}]"
                io.out(f"{line}\n")
            return 0
        case ["clean" | "autoclean" | "autoremove", *_]:
            return 0
    io.err(f"E: Invalid operation {words[0] if words else ''}\n")
    return FAILED


def _split(argv: list[str]) -> tuple[set[str], list[str]]:
    """Options and words; `-o Name=value` and `-t suite` take a word each."""
    options, words = set(), []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("-o", "-t", "-c") and rest:
            rest.pop(0)
        elif word.startswith("-"):
            options.add(word)
        else:
            words.append(word)
    return options, words


async def _update(host: Host, io: CommandIO) -> int:
    lines: list[str] = []
    try:
        await host.packages.update(lines.append)
    except AgentError:
        status = FAILED
    else:
        status = 0
    for line in lines:
        (io.err if line.startswith("E: ") else io.out)(f"{line}\n")
    return status


def _without_new(host: Host) -> list[Upgrade]:
    """`upgrade` installs nothing new: what depends on that is kept back."""
    found = host.packages.pending()
    new = {upgrade.package.version for upgrade in found if upgrade.old is None}
    return [
        upgrade
        for upgrade in found
        if upgrade.old is not None
        and not (upgrade.package.name.startswith("proxmox-kernel-") and upgrade.package.version in new)
    ]


async def _install_named(host: Host, names: list[str], options: set[str], io: CommandIO) -> int:
    installed, offered = host.packages.all(), host.packages.offered()
    chosen = []
    for name in names:
        package = offered.get(name)
        if package is None and name not in installed:
            io.err(f"E: {TEXTS['no_package'].format(name=name)}\n")
            return FAILED
        old = installed[name].version if name in installed else None
        if package is not None and (old is None or catalogue.is_newer(package.version, old)):
            chosen.append(Upgrade(package, old))
        else:
            io.out(f"{name} is already the newest version ({old}).\n")
    return await _install(host, chosen, options, io)


async def _install(host: Host, upgrades: list[Upgrade], options: set[str], io: CommandIO) -> int:
    if host.packages.interrupted:
        io.err(f"E: {TEXTS['interrupted']}\n")
        return FAILED
    io.out(_READING)
    new = [upgrade.package.name for upgrade in upgrades if upgrade.old is None]
    old = [upgrade.package.name for upgrade in upgrades if upgrade.old is not None]
    for title, names in (
        ("The following NEW packages will be installed:", new),
        ("The following packages will be upgraded:", old),
    ):
        if names:
            io.out(f"{title}\n  {' '.join(names)}\n")
    io.out(f"{len(old)} upgraded, {len(new)} newly installed, 0 to remove and 0 not upgraded.\n")
    if not upgrades:
        return 0
    if options & _DRY:
        for upgrade in upgrades:
            before = f" [{upgrade.old}]" if upgrade.old else ""
            io.out(f"Inst {upgrade.package.name}{before} ({upgrade.package.version} {upgrade.package.origin})\n")
        return 0
    if not options & _YES:
        # nobody is there to answer
        io.out("Do you want to continue? [Y/n] Abort.\n")
        return 1
    await host.packages.install(upgrades, lambda line: io.out(f"{line}\n"))
    if host.kind == "witness" and "corosync-qnetd" in new:
        await host.qnetd.begin()
    return 0


async def _stop(host: Host, name: str) -> None:
    if name == "corosync-qnetd" and host.kind == "witness":
        await host.qnetd.stop()
    elif name == "corosync-qdevice" and host.kind == "pve":
        host.qdevice.enable(False)
        await host.qdevice.stop()


@command("dpkg-query", kinds=ALL)
async def dpkg_query(host: Host, argv: list[str], io: CommandIO) -> int:
    """`-W [-f FORMAT] [NAME…]`."""
    form, names, rest = "${Package}\\t${Version}\\n", [], [word for word in argv if word not in ("-W", "--show")]
    while rest:
        word = rest.pop(0)
        if word in ("-f", "--showformat") and rest:
            form = rest.pop(0)
        elif word.startswith(("-f=", "--showformat=")):
            form = word.partition("=")[2]
        elif word.startswith("-f"):
            form = word[2:]
        else:
            names.append(word)
    installed = host.packages.all()
    status = 0
    for name in names or sorted(installed):
        package = installed.get(name)
        if package is None:
            io.err(f"dpkg-query: no packages found matching {name}\n")
            status = 1
            continue
        text = form.replace("\\n", "\n").replace("\\t", "\t")
        for key, value in (
            *(("Package", package.name), ("binary:Package", package.name), ("Version", package.version)),
            *(("Architecture", package.arch), ("Status", "install ok installed"), ("db:Status-Status", "installed")),
        ):
            text = text.replace(f"${{{key}}}", value)
        io.out(text)
    return status


@command("dpkg", kinds=ALL)
async def dpkg(host: Host, argv: list[str], io: CommandIO) -> int:
    installed = host.packages.all()
    match argv:
        case ["-l" | "--list", *names]:
            missing = [name for name in names if name not in installed]
            for name in missing:
                io.err(f"dpkg-query: no packages found matching {name}\n")
            for name in names or sorted(installed):
                if name in installed:
                    package = installed[name]
                    io.out(f"ii  {name:<30} {package.version:<24} {package.arch:<6} {package.title}\n")
            return 1 if missing else 0
        case ["-s" | "--status", name] if name in installed:
            package = installed[name]
            io.out(f"Package: {name}\nStatus: install ok installed\nVersion: {package.version}\n")
            return 0
        case ["-s" | "--status", name]:
            io.err(f"dpkg-query: package '{name}' is not installed and no information is available\n")
            return 1
        case [*_, "--configure", "-a"]:
            await host.packages.configure(lambda line: io.out(f"{line}\n"))
            return 0
        case ["--audit" | "-C"]:
            if left := host.packages.interrupted:
                io.out("The following packages have been unpacked but not yet configured.\n")
                io.out("They must be configured using dpkg --configure or the configure\nmenu option in dselect:\n")
                io.out("".join(f" {package.name:<20} {package.title}\n" for package in left))
            return 0
        case ["--compare-versions", one, relation, other]:
            newer, older = catalogue.is_newer(one, other), catalogue.is_newer(other, one)
            known = {"lt": older, "le": not newer, "eq": not newer and not older, "ge": not older, "gt": newer}
            return 0 if known.get(relation, False) else 1
        case ["--print-architecture"]:
            io.out("amd64\n")
            return 0
    io.err("dpkg: error: need an action option\n")
    return 2
