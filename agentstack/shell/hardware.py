# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that tell what a host is as a machine, and how its clock does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentstack import timezone
from agentstack.hardware import MODULES, SWAP_DEVICE
from agentstack.shell.names import ALL
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

UNITS = {
    "-b": 1,
    "--bytes": 1,
    "-k": 2**10,
    "--kibi": 2**10,
    "-m": 2**20,
    "--mebi": 2**20,
    "-g": 2**30,
    "--gibi": 2**30,
}

DMI = {
    "system-manufacturer": "QEMU",
    "system-product-name": "Standard PC (Q35 + ICH9, 2009)",
    "system-serial-number": "Not Specified",
    "bios-vendor": "SeaBIOS",
    "chassis-type": "Other",
    "baseboard-manufacturer": "Not Specified",
}


@command("nproc", kinds=ALL)
async def nproc(host: Host, argv: list[str], io: CommandIO) -> int:
    io.out(f"{host.spec.cpus}\n")
    return 0


@command("free", kinds=ALL)
async def free(host: Host, argv: list[str], io: CommandIO) -> int:
    if unknown := [word for word in argv if word not in UNITS]:
        io.err(f"free: unrecognized option '{unknown[0]}'\n")
        return 1
    unit = UNITS[argv[-1]] if argv else 2**10
    spec, used = host.spec, host.hardware.memory_used
    memory = [spec.memory, used, spec.memory - used, 0, 0, spec.memory - used]
    swap = [spec.swap, spec.swap_used, spec.swap - spec.swap_used]
    names = ("total", "used", "free", "shared", "buff/cache", "available")
    io.out(" " * 8 + "".join(f"{name:>12}" for name in names) + "\n")
    for name, sizes in (("Mem:", memory), ("Swap:", swap)):
        io.out(f"{name:<8}" + "".join(f"{size // unit:>12}" for size in sizes) + "\n")
    return 0


@command("swapon", kinds=ALL)
async def swapon(host: Host, argv: list[str], io: CommandIO) -> int:
    """`--show[=COLUMNS] [--bytes] [--noheadings] [--raw]`, `-s`."""
    spec = host.spec
    if argv in (["-s"], ["--summary"]):
        shown = host.hardware.file("/proc/swaps") if spec.swap else b""
        io.out(shown or b"")
        return 0
    columns = ["NAME", "TYPE", "SIZE", "USED", "PRIO"]
    for word in argv:
        if word.startswith("--show="):
            columns = word.partition("=")[2].upper().split(",")
        elif word not in ("--show", "--bytes", "--noheadings", "--raw"):
            io.err(f"swapon: unrecognized option '{word}'\nTry 'swapon --help' for more information.\n")
            return 1
    if not spec.swap:
        return 0
    scale = (lambda size: str(size)) if "--bytes" in argv else _human
    row = {
        "NAME": SWAP_DEVICE,
        "TYPE": "partition",
        "SIZE": scale(spec.swap),
        "USED": scale(spec.swap_used),
        "PRIO": "-2",
    }
    if "--noheadings" not in argv:
        io.out(" ".join(f"{name:<{max(len(name), len(row.get(name, '')))}}" for name in columns).rstrip() + "\n")
    io.out(" ".join(f"{row.get(name, ''):<{len(name)}}" for name in columns).rstrip() + "\n")
    return 0


def _human(size: int) -> str:
    for unit, name in ((2**30, "G"), (2**20, "M"), (2**10, "K")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + name
    return f"{size}B"


@command("lsmod", kinds=ALL)
async def lsmod(host: Host, argv: list[str], io: CommandIO) -> int:
    io.out("Module                  Size  Used by\n")
    io.out("".join(f"{name:<22} {16384:>6}  0\n" for name in sorted(host.hardware.modules)))
    return 0


@command("modprobe", kinds=ALL)
async def modprobe(host: Host, argv: list[str], io: CommandIO) -> int:
    remove = bool({"-r", "--remove"} & set(argv))
    trial = bool({"-n", "--dry-run"} & set(argv))
    for name in (word for word in argv if not word.startswith("-") and "=" not in word):
        if name not in MODULES:
            io.err(f"modprobe: FATAL: Module {name} not found in directory /lib/modules/{host.kernel}\n")
            return 1
        if remove and name not in host.hardware.modules:
            io.err(f"modprobe: FATAL: Module {name} is not loaded.\n")
            return 1
        if not trial:
            host.hardware.modules ^= {name} if remove or name not in host.hardware.modules else set()
    return 0


@command("dmidecode", kinds=ALL)
async def dmidecode(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["-s" | "--string", keyword] if keyword in DMI:
            io.out(f"{DMI[keyword]}\n")
            return 0
        case ["-s" | "--string", keyword]:
            io.err(f"Invalid string keyword: {keyword}\n")
            return 2
    io.err("dmidecode: only -s KEYWORD is answered on this machine\n")
    return 1


@command("chronyc", kinds=ALL)
async def chronyc(host: Host, argv: list[str], io: CommandIO) -> int:
    """`reload sources`; `tracking`, also with `-c` as comma-separated values.

    The stack's own time is what NTP servers would give.
    """
    as_csv = "-c" in argv
    if argv == ["reload", "sources"]:
        io.out("200 OK\n")
        return 0
    if [word for word in argv if not word.startswith("-")] != ["tracking"]:
        io.err("Unrecognized command\n")
        return 1
    offset = host.clock.offset
    direction = "fast" if offset >= 0 else "slow"
    name = f"ntp.{host.fqdn.partition('.')[2]}"
    now = host.clock.now() - offset
    if as_csv:
        # the sign is that of what would have to be added
        io.out(
            f"7F000001,{name},3,{now:.9f},{-offset:.9f},0.000010000,0.000050000,1.234,0.001,0.020,0.001,0.0005,64.2,Normal\n"
        )
        return 0
    date = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(now))
    rows = {
        "Reference ID": f"7F000001 ({name})",
        "Stratum": "3",
        "Ref time (UTC)": date,
        "System time": f"{abs(offset):.9f} seconds {direction} of NTP time",
        "Last offset": "+0.000010000 seconds",
        "RMS offset": "0.000050000 seconds",
        "Frequency": "1.234 ppm slow",
        "Residual freq": "+0.001 ppm",
        "Skew": "0.020 ppm",
        "Root delay": "0.001000000 seconds",
        "Root dispersion": "0.000500000 seconds",
        "Update interval": "64.2 seconds",
        "Leap status": "Normal",
    }
    io.out("".join(f"{name:<15} : {value}\n" for name, value in rows.items()))
    return 0


@command("update-initramfs", kinds=ALL)
async def update_initramfs(host: Host, argv: list[str], io: CommandIO) -> int:
    """`-u [-k all]`: what /etc/modprobe.d says is asked at the next boot."""
    if "-u" not in argv:
        io.err("You must specify at least one of -c, -u, or -d.\n")
        return 1
    io.out(f"update-initramfs: Generating /boot/initrd.img-{host.kernel}\n")
    return 0


@command("timedatectl", kinds=ALL)
async def timedatectl(host: Host, argv: list[str], io: CommandIO) -> int:
    """`show [--property=Timezone|NTP|NTPSynchronized] [--value]`."""
    values = {
        "Timezone": timezone.zone(host),
        "LocalRTC": "no",
        "CanNTP": "yes",
        "NTP": "yes",
        "NTPSynchronized": "yes",
    }
    if argv[:1] != ["show"]:
        io.err("timedatectl: only `show` is answered on this machine\n")
        return 1
    wanted = [word.partition("=")[2] for word in argv if word.startswith("--property=")]
    wanted += [argv[index + 1] for index, word in enumerate(argv[:-1]) if word == "-p"]
    for name in wanted or values:
        if name in values:
            io.out(f"{values[name]}\n" if "--value" in argv else f"{name}={values[name]}\n")
    return 0
