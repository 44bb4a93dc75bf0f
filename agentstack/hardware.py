# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is as a machine: `host.hardware`. Load, memory, swap, kernel modules, and the files the kernel shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.stack import Nic

IDLE_LOAD = 0.02
"""Load per processor of a host without guests, as the status daemon counts it."""
BASE_MEMORY = 2**30
MODULES = ("ip_tables", "bridge", "8021q", "zfs", "rbd", "softdog", "ipmi_watchdog", "iTCO_wdt", "hpwdt", "i6300esb")
"""Those that the kernel's package brings along, as far as anybody asks for them."""
LOADED = ("ip_tables", "bridge", "8021q")
SWAP_DEVICE = "/dev/dm-0"


class Hardware:
    """The machine under a host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.modules: set[str] = set(LOADED)
        """Names of the kernel modules that are loaded."""
        self.boot = uuid4()
        """Another one with every start."""
        if host.kind == "pve" and host.spec.watchdog_device:
            self.modules.add(host.spec.watchdog)
        self.arc_max: int = 0
        """Bytes that ZFS may keep in its cache, as the module was told when it was loaded; 0: its own default."""

    async def start(self) -> None:
        """Load what has parameters."""
        for path in sorted((self.host.root / "etc/modprobe.d").glob("*.conf")):
            for words in map(str.split, path.read_text(encoding="utf-8").splitlines()):
                if words[:2] == ["options", "zfs"]:
                    given = dict(word.partition("=")[::2] for word in words[2:])
                    self.arc_max = int(given.get("zfs_arc_max", self.arc_max))

    async def stop(self) -> None:
        """Nothing to end."""

    @property
    def load(self) -> float:
        """Load average: what the stack file says, else what the guests need."""
        spec = self.host.spec
        if spec.load is not None:
            return spec.load
        if self.host.kind != "pve":
            return IDLE_LOAD
        return float(self.host.pvestatd.node(self.host.guests.status_rows())["cpu"]) * spec.cpus

    @property
    def memory_used(self) -> int:
        """Bytes."""
        if self.host.kind != "pve":
            return min(BASE_MEMORY, self.host.spec.memory // 2)
        return int(self.host.pvestatd.node(self.host.guests.status_rows())["mem"])

    @property
    def has_watchdog(self) -> bool:
        """Whether there is a watchdog device: the driver is loaded and has found its hardware."""
        return self.host.spec.watchdog_device and self.host.spec.watchdog in self.modules

    def carrier(self, network: str) -> bool:
        """Whether the card on a network has a link at this moment."""
        cabling = self.host.network.cabling
        return cabling.plugs[self.host.addresses[network]] not in cabling.down

    def file(self, path: str) -> bytes | None:
        """The content of a file that the kernel shows; None for a path that is none of those."""
        if (maker := FILES.get(path)) is not None:
            return maker(self).encode()
        parts = path.split("/")
        if path.startswith("/sys/class/net/") and len(parts) == 6:
            for network, nic in self.host.spec.nics.items():
                if parts[4] in (nic.name, nic.interface) and (show := CARD.get(parts[5])) is not None:
                    return f"{show(nic, self.carrier(network))}\n".encode()
        if path in ("/dev/watchdog", "/dev/watchdog0") and self.has_watchdog:
            return b""
        return None

    def _loadavg(self) -> str:
        load = f"{self.load:.2f}"
        return f"{load} {load} {load} 1/{200 + len(self.host.name)} 4242\n"

    def _meminfo(self) -> str:
        spec, used = self.host.spec, self.memory_used
        figures = {
            "MemTotal": spec.memory,
            "MemFree": spec.memory - used,
            "MemAvailable": spec.memory - used,
            "Buffers": 0,
            "Cached": 0,
            "SwapCached": 0,
            "SwapTotal": spec.swap,
            "SwapFree": spec.swap - spec.swap_used,
        }
        return "".join(f"{name + ':':<16}{size // 1024:>8} kB\n" for name, size in figures.items())

    def _swaps(self) -> str:
        spec = self.host.spec
        line = f"{SWAP_DEVICE:<40}partition\t{spec.swap // 1024}\t\t{spec.swap_used // 1024}\t\t-2\n"
        return "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" + (line if spec.swap else "")


FILES: dict[str, Callable[[Hardware], str]] = {
    "/proc/loadavg": Hardware._loadavg,
    "/proc/meminfo": Hardware._meminfo,
    "/proc/swaps": Hardware._swaps,
    "/proc/modules": lambda self: "".join(
        f"{name} 16384 0 - Live 0x0000000000000000\n" for name in sorted(self.modules)
    ),
    "/sys/module/zfs/parameters/zfs_arc_max": lambda self: f"{self.arc_max}\n",
    # proc_sys_kernel(5): another one with every boot
    "/proc/sys/kernel/random/boot_id": lambda self: f"{self.boot}\n",
    "/proc/sys/vm/swappiness": lambda self: "60\n",
    "/sys/class/dmi/id/sys_vendor": lambda self: "QEMU\n",
    "/sys/class/dmi/id/product_name": lambda self: "Standard PC (Q35 + ICH9, 2009)\n",
}

CARD: dict[str, Callable[[Nic, bool], object]] = {
    "speed": lambda nic, carrier: nic.speed if carrier else -1,
    "duplex": lambda nic, carrier: "full" if carrier else "unknown",
    "mtu": lambda nic, carrier: nic.mtu,
    "address": lambda nic, carrier: nic.mac,
    "carrier": lambda nic, carrier: int(carrier),
    "operstate": lambda nic, carrier: "up" if carrier else "down",
}
