# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures over time of nodes, guests and storages: every node has them of all, from what all tell each other."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve


def _rows(call: Call, name: str) -> Json:
    host = call.host
    return host.pvestatd.history.rows(name, call["timeframe"], host.clock.now(), call.get("cf", "AVERAGE"))


def _node(call: Call) -> str:
    return call.host.name if call["node"] == "localhost" else str(call["node"])


@pve("GET", "/nodes/{node}/rrddata")
async def node_figures(call: Call) -> Json:
    return _rows(call, f"node/{_node(call)}")


@pve("GET", "/nodes/{node}/qemu/{vmid}/rrddata")
async def vm_figures(call: Call) -> Json:
    return _rows(call, f"vm/{call['vmid']}")


@pve("GET", "/nodes/{node}/lxc/{vmid}/rrddata")
async def container_figures(call: Call) -> Json:
    return _rows(call, f"vm/{call['vmid']}")


@pve("GET", "/nodes/{node}/storage/{storage}/rrddata")
async def storage_figures(call: Call) -> Json:
    return _rows(call, f"storage/{_node(call)}/{call['storage']}")
