# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose firewall a call means, and reading and changing its file under the lock (facts §19)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack._shared.section_config import config_digest
from agentstack.errors import AgentError
from agentstack.firewall.config import FirewallConfig, format_config, parse
from agentstack.sdn.config import VNETS, configured
from agentstack.sdn.rules import TEXTS
from agentstack.sections import check_digest

if TYPE_CHECKING:
    from agentstack.api.endpoint import Call
    from agentstack.host import Host

CLUSTER_FILE = "firewall/cluster.fw"


@dataclass(frozen=True)
class Scope:
    """One kind of firewall. `base` is its path in the API, `file` and `lock` may name `{node}`, `{vmid}`, `{vnet}`.

    `sets` and `log` say what it has besides options and rules; `directions` which types of rules.
    """

    name: str
    base: str
    file: str
    lock: str
    sets: bool = True
    log: bool = False
    directions: frozenset[str] = frozenset({"in", "out", "group"})

    def path(self, call: Call) -> str:
        """The file below /etc/pve."""
        node = call.host.name if call.get("node") in (None, "localhost") else call["node"]
        return self.file.format(**{**call.params, "node": node})

    def _check(self, call: Call, privileges: list[str]) -> None:
        """Rights on a virtual network are looked up at its zone, which the path of the call does not name."""
        if (vnet := call.get("vnet")) is None:
            return
        known = configured(call.host, VNETS)[0].get(vnet)
        if known is None:
            raise AgentError(TEXTS["no_vnet"].format(vnet=vnet))
        call.host.access.check(call.identity, f"/sdn/zones/{known['zone']}/{vnet}", privileges, any=True)

    def read(self, call: Call) -> tuple[FirewallConfig, str]:
        """The configuration and the digest of its file."""
        self._check(call, ["SDN.Audit", "SDN.Allocate"])
        return read(call.host, self.path(call))

    @asynccontextmanager
    async def changing(self, call: Call) -> AsyncIterator[FirewallConfig]:
        """Change the configuration; `digest` of the call must be the present one."""
        self._check(call, ["SDN.Allocate"])
        files, path = call.host.files, self.path(call)
        async with files.lock(self.lock.format(**call.params)):
            config, digest = read(call.host, path)
            check_digest(digest, call.get("digest"))
            yield config
            directory = path.rpartition("/")[0]
            if not files.is_directory(directory):
                await files.mkdir(directory, exist_ok=True)
            await files.write(path, format_config(config))


def read(host: Host, path: str) -> tuple[FirewallConfig, str]:
    """A file's configuration and digest; without the file, an empty one."""
    text = host.files.read_text(path, default="")
    return parse(text), config_digest(text)


def datacenter(host: Host) -> FirewallConfig:
    """The datacenter's configuration, whose groups, aliases and sets all others can use."""
    return read(host, CLUSTER_FILE)[0]


_ALL = frozenset({"in", "out", "forward", "group"})

CLUSTER = Scope("dc", "/cluster/firewall", CLUSTER_FILE, "firewall-cluster", directions=_ALL)
NODE = Scope(
    "host", "/nodes/{node}/firewall", "nodes/{node}/host.fw", "firewall-host", sets=False, log=True, directions=_ALL
)
GUESTS = tuple(
    Scope("guest", f"/nodes/{{node}}/{kind}/{{vmid}}/firewall", "firewall/{vmid}.fw", "firewall-vm-{vmid}", log=True)
    for kind in ("qemu", "lxc")
)
VNET = Scope(
    "vnet",
    "/cluster/sdn/vnets/{vnet}/firewall",
    "sdn/firewall/{vnet}.fw",
    "firewall-vnet-{vnet}",
    sets=False,
    directions=frozenset({"forward", "group"}),
)
EVERY = (CLUSTER, NODE, *GUESTS, VNET)
