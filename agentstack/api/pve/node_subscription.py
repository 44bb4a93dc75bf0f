# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/subscription (facts §18; observed: calls, 8.4).

A key is kept, and is `new` as long as the shop has not been asked; no shop can be reached from a stack.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.install import HOST_KEY

if TYPE_CHECKING:
    from agentstack.host import Host

FILE = "etc/subscription"
URL = "https://www.proxmox.com/en/proxmox-virtual-environment/pricing"
LEVELS = {"c": "Community", "b": "Basic", "s": "Standard", "p": "Premium"}

TEXTS = {
    "none": "There is no subscription key",
    "shop": "Connection to shop.proxmox.com failed: Temporary failure in name resolution",
}

SOCKETS = 1


def read(host: Host) -> dict[str, Any]:
    """What is stored; empty without a key."""
    path = host.root / FILE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _server_id(host: Host) -> str:
    key = (host.root / f"{HOST_KEY}.pub").read_bytes()
    return hashlib.md5(key, usedforsecurity=False).hexdigest().upper()


@pve("GET", "/nodes/{node}/subscription")
async def get_subscription(call: Call) -> Json:
    host = call.host
    found = read(host) or {"status": "notfound", "message": TEXTS["none"]}
    if not host.access.may(call.identity, f"/nodes/{host.name}", ["Sys.Audit"]):
        return {key: found[key] for key in ("status", "message", "level") if key in found} | {"url": URL}
    more = {"sockets": SOCKETS} if "key" in found else {}
    return found | {"serverid": _server_id(host), "url": URL} | more


@pve("PUT", "/nodes/{node}/subscription")
async def set_key(call: Call) -> Json:
    key = call["key"].strip()
    match = re.fullmatch(r"pve([1248])([cbsp])-[0-9a-f]{10}", key)
    # the pattern of the declaration says the same
    if match is None:
        raise AgentError("invalid subscription key")
    level = match[2]
    found = {
        "status": "new",
        "key": key,
        "level": level,
        "productname": f"Proxmox VE {LEVELS[level]} Subscription {match[1]} CPU{'s' if match[1] != '1' else ''}/year",
        "checktime": int(call.host.clock.now()),
        "message": "subscription information not yet checked",
    }
    write_durably(call.host.root / FILE, json.dumps(found).encode(), 0o600)


@pve("POST", "/nodes/{node}/subscription")
async def check(call: Call) -> Json:
    """Ask the shop again; without a key there is nothing to ask."""
    if not read(call.host):
        return
    raise AgentError(TEXTS["shop"])


@pve("DELETE", "/nodes/{node}/subscription")
async def delete_key(call: Call) -> Json:
    (call.host.root / FILE).unlink(missing_ok=True)
