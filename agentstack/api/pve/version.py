# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/version and /nodes/{node}/version (facts §5)."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve
from agentstack.cluster.datacenter import read_options


@pve("GET", "/version")
async def version(call: Call) -> Json:
    found = await node_version(call)
    console = read_options(call.host.files).get("console")
    return {**found, "console": console} if console else found


@pve("GET", "/nodes/{node}/version")
async def node_version(call: Call) -> Json:
    return {"version": call.host.version, "release": call.host.release, "repoid": call.host.repoid}
