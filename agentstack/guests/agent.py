# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMU guest agent: what a VM tells of itself and does when asked from outside.

A guest of a stack is a kernel with one process and no programs: what would be run or read in it is not there, and it
says so as the real agent does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests import operations
from agentstack.guests.config import QEMU, GuestConfig
from agentstack.guests.drives import drives
from agentstack.guests.guests import memory_of

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "not_configured": "No QEMU guest agent configured",
    "not_running": "VM {vmid} is not running",
    "no_agent": "QEMU guest agent is not running",
    "exec": "Agent error: Guest agent command failed, error was 'Failed to execute child process "
    "\u201c{program}\u201d (No such file or directory)'",
    "read": "Agent error: failed to open file '{file}' (mode: 'r'): No such file or directory",
    "write": "can't open file '{file}' (mode: 'wb'): Read-only file system",
    "pid": "Agent error: PID {pid} does not exist",
    "user": "Agent error: invalid user '{user}'",
    "sleep": "Agent error: the requested suspend mode is not supported by the guest",
}

BLOCK = 128 << 20
VERSION = "9.2.4"


def check(host: Host, vmid: int) -> GuestConfig:
    """The configuration of a VM whose agent answers. Raises AgentError in the server's words otherwise."""
    config = configs.load(host, QEMU, vmid)
    if not is_enabled(config):
        raise AgentError(TEXTS["not_configured"])
    guest = host.guests.running.get(vmid)
    if guest is None:
        raise AgentError(TEXTS["not_running"].format(vmid=vmid))
    if guest.suspended:
        raise AgentError(TEXTS["no_agent"])
    return config


def is_enabled(config: GuestConfig) -> bool:
    """Whether the VM is configured to have an agent."""
    first = config.values.get("agent", "0").partition(",")[0]
    return first.removeprefix("enabled=") == "1"


def interfaces(config: GuestConfig) -> list[dict[str, Any]]:
    """The network cards of a VM with the addresses that cloud-init gave them."""
    found = [interface("lo", "00:00:00:00:00:00", ["127.0.0.1/8", "::1/128"])]
    keys = sorted((key for key in config.values if re.fullmatch(r"net\d+", key)), key=lambda key: int(key[3:]))
    for number, key in enumerate(keys):
        mac = config.values[key].partition(",")[0].partition("=")[2]
        settings = dict(part.partition("=")[::2] for part in config.values.get(f"ipconfig{key[3:]}", "").split(","))
        given = [settings[name] for name in ("ip", "ip6") if "/" in settings.get(name, "")]
        found.append(interface(f"eth{number}", mac.lower(), given))
    return found


def interface(name: str, mac: str, networks: list[str]) -> dict[str, Any]:
    """A network card as the agent tells of it; `networks`: its addresses with prefix lengths."""
    addresses = [ipaddress.ip_interface(text) for text in networks]
    return {
        "name": name,
        "hardware-address": mac,
        "ip-addresses": [
            {
                "ip-address": str(address.ip),
                "ip-address-type": f"ipv{address.version}",
                "prefix": address.network.prefixlen,
            }
            for address in addresses
        ],
        "statistics": {f"{way}-{what}": 0 for way in ("rx", "tx") for what in ("bytes", "dropped", "errs", "packets")},
    }


class Agent:
    """The agent of one VM for one call."""

    def __init__(self, host: Host, vmid: int) -> None:
        self.host = host
        self.vmid = vmid
        self.config = check(host, vmid)
        self.guest = host.guests.running[vmid]
        self.commands: dict[str, Callable[[], Awaitable[Any]]] = {
            "ping": self.nothing,
            "info": self.info,
            "fsfreeze-freeze": self.freeze,
            "fsfreeze-thaw": self.thaw,
            "fsfreeze-status": self.frozen_status,
            "fstrim": self.trim,
            "get-fsinfo": self.file_systems,
            "get-host-name": self.host_name,
            "get-memory-block-info": self.block_info,
            "get-memory-blocks": self.blocks,
            "get-osinfo": self.system,
            "get-time": self.time,
            "get-timezone": self.time_zone,
            "get-users": self.nobody,
            "get-vcpus": self.cpus,
            "network-get-interfaces": self.cards,
            "shutdown": self.shutdown,
            "suspend-disk": self.sleep,
            "suspend-hybrid": self.sleep,
            "suspend-ram": self.sleep,
        }

    async def run(self, command: str) -> Any:
        """Run a command of the agent; its result."""
        return await self.commands[command]()

    async def nothing(self) -> dict[str, Any]:
        return {}

    async def nobody(self) -> list[Any]:
        return []

    async def info(self) -> dict[str, Any]:
        names = sorted(f"guest-{name}" for name in self.commands)
        known = [{"name": name, "enabled": True, "success-response": True} for name in names]
        return {"version": VERSION, "supported_commands": known}

    def _mounts(self) -> list[str]:
        return ["/"] if any(not drive.is_cdrom for _, drive in drives(QEMU, self.config)) else []

    async def freeze(self) -> int:
        await self.host.guests.freeze(self.vmid)
        return len(self._mounts())

    async def thaw(self) -> int:
        await self.host.guests.thaw(self.vmid)
        return len(self._mounts())

    async def frozen_status(self) -> str:
        return "frozen" if self.guest.frozen else "thawed"

    async def trim(self) -> dict[str, Any]:
        return {"paths": [{"path": path, "minimum": 0, "trimmed": 0} for path in self._mounts()]}

    async def file_systems(self) -> list[dict[str, Any]]:
        found = []
        for path in self._mounts():
            size = next(drive.size for _, drive in drives(QEMU, self.config) if not drive.is_cdrom)
            found.append({"name": "sda1", "mountpoint": path, "type": "ext4", "total-bytes": size, "used-bytes": 0})
        return found

    async def host_name(self) -> dict[str, str]:
        return {"host-name": self.config.values.get("name", "localhost")}

    async def block_info(self) -> dict[str, int]:
        return {"size": BLOCK}

    async def blocks(self) -> list[dict[str, Any]]:
        count = max(1, memory_of(QEMU, self.config) // BLOCK)
        return [{"phys-index": index, "online": True, "can-offline": True} for index in range(count)]

    async def system(self) -> dict[str, str]:
        return {
            "id": "debian",
            "name": "Debian GNU/Linux",
            "pretty-name": "Debian GNU/Linux 13 (trixie)",
            "version": "13 (trixie)",
            "version-id": "13",
            "kernel-release": "6.12.48+deb13-amd64",
            "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1",
            "machine": "x86_64",
        }

    async def time(self) -> int:
        return int(self.host.clock.now() * 1e9)

    async def time_zone(self) -> dict[str, Any]:
        return {"zone": "UTC", "offset": 0}

    async def cpus(self) -> list[dict[str, Any]]:
        count = int(self.config.values.get("cores", "1")) * int(self.config.values.get("sockets", "1"))
        return [{"logical-id": number, "online": True, "can-offline": number > 0} for number in range(count)]

    async def cards(self) -> list[dict[str, Any]]:
        return interfaces(self.config)

    async def shutdown(self) -> None:
        await self.host.guests.shutdown(self.vmid, operations.SHUTDOWN_TIME)

    async def sleep(self) -> None:
        raise AgentError(TEXTS["sleep"])
