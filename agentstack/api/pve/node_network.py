# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/network, as far as it reads (facts §18; observed: calls)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import ParameterError
from agentstack.interfaces import parse_interfaces

if TYPE_CHECKING:
    from agentstack.host import Host

FILE = "etc/network/interfaces"

GROUPS = {
    "any_bridge": ("bridge", "OVSBridge", "vnet"),
    "any_local_bridge": ("bridge", "OVSBridge"),
    "include_sdn": ("bridge", "OVSBridge", "vnet"),
}
"""Values of `type` that stand for several types."""


def interfaces(host: Host) -> dict[str, dict[str, Any]]:
    """The configured interfaces of a host with their state: all are up."""
    found = parse_interfaces((host.root / FILE).read_text(encoding="utf-8"))
    for interface in found.values():
        interface["active"] = 1
        if interface["type"] == "eth":
            interface["exists"] = 1
    return found


@pve("GET", "/nodes/{node}/network")
async def list_interfaces(call: Call) -> Json:
    wanted = call.get("type")
    kinds = GROUPS.get(wanted, (wanted,))
    return shuffled(found for found in interfaces(call.host).values() if wanted is None or found["type"] in kinds)


@pve("GET", "/nodes/{node}/network/{iface}")
async def get_interface(call: Call) -> Json:
    found = interfaces(call.host).get(call["iface"])
    if found is None:
        raise ParameterError({"iface": "interface does not exist"})
    return {key: value for key, value in found.items() if key != "iface"}
