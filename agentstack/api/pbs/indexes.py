# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has no branch of its own: versions, and the listings of paths that have only children."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Handler, Json, pbs
from agentstack.api.tables import load
from agentstack.errors import AgentError

LISTINGS = (
    "/",
    "/access",
    "/admin",
    "/admin/datastore/{store}",
    "/config",
    "/config/access",
    "/config/access/tfa",
    "/config/acme",
    "/config/metrics",
    "/config/notifications",
    "/config/notifications/endpoints",
    "/config/notifications/targets/{name}",
    "/config/remote/{name}/scan/{store}",
    "/nodes/{node}",
    "/nodes/{node}/apt",
    "/nodes/{node}/certificates",
    "/nodes/{node}/disks",
    "/nodes/{node}/services/{service}",
    "/nodes/{node}/tasks/{upid}",
    "/status",
    "/admin/prune/{id}",
    "/admin/sync/{id}",
    "/admin/verify/{id}",
)
UPGRADES = {"/backup": "proxmox-backup-protocol-v1", "/reader": "proxmox-backup-reader-protocol-v1"}

PACKAGING = "1"
"""The packages' own number behind the version."""


def _listing(path: str) -> Handler:
    base = "/" + path.strip("/")
    prefix = base.rstrip("/") + "/"
    names = sorted({other[len(prefix) :].split("/")[0] for other in load("pbs4") if other.startswith(prefix)} - {""})

    async def listing(call: Call) -> Json:
        return [{"subdir": name} for name in names]

    return listing


def _refusal(protocol: str) -> Handler:
    async def refuse(call: Call) -> Json:
        raise AgentError(f"upgrade to '{protocol}' is not implemented", status=501)

    return refuse


for _path in LISTINGS:
    pbs("GET", _path)(_listing(_path))
for _path, _protocol in UPGRADES.items():
    pbs("GET", _path)(_refusal(_protocol))


@pbs("GET", "/version")
async def version(call: Call) -> Json:
    return {"version": call.host.version, "release": PACKAGING, "repoid": call.host.repoid}


@pbs("GET", "/ping")
async def ping(call: Call) -> Json:
    return {"pong": True}


@pbs("GET", "/nodes")
async def nodes(call: Call) -> Json:
    return [{"node": "localhost"}]
