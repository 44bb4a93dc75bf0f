# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's time zone, name servers and subscription (facts §18)."""

from __future__ import annotations

import datetime
import hashlib
import re
from typing import TYPE_CHECKING

from agentstack._shared.time_zone import time_zone
from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.install import HOST_KEY

if TYPE_CHECKING:
    from agentstack.host import Host

RESOLVER, TIMEZONE = "etc/resolv.conf", "etc/timezone"


def _read(host: Host, name: str) -> str:
    path = host.root / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pve("GET", "/nodes/{node}/time")
async def get_time(call: Call) -> Json:
    """`localtime` is the wall clock's reading as if it were UTC."""
    zone = _read(call.host, TIMEZONE).strip() or "UTC"
    now = int(call.host.clock.now())
    offset = datetime.datetime.fromtimestamp(now, time_zone(zone)).utcoffset() or datetime.timedelta()
    return {"timezone": zone, "time": now, "localtime": now + int(offset.total_seconds())}


@pve("PUT", "/nodes/{node}/time")
async def set_time_zone(call: Call) -> Json:
    try:
        time_zone(call["timezone"])
    except ValueError:
        raise AgentError(f"No such timezone: '{call['timezone']}'") from None
    (call.host.root / TIMEZONE).write_text(f"{call['timezone']}\n", encoding="utf-8")
    return None


@pve("GET", "/nodes/{node}/dns")
async def get_dns(call: Call) -> Json:
    text = _read(call.host, RESOLVER)
    servers = re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)
    found = {f"dns{number}": server for number, server in enumerate(servers[:3], start=1)}
    search = re.search(r"^(?:search|domain)\s+(\S+)", text, re.MULTILINE)
    return {"search": search[1], **found} if search else found


@pve("PUT", "/nodes/{node}/dns")
async def set_dns(call: Call) -> Json:
    lines = [f"search {call['search']}"]
    lines += [f"nameserver {call[name]}" for name in ("dns1", "dns2", "dns3") if call.get(name)]
    (call.host.root / RESOLVER).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return None


@pve("GET", "/nodes/{node}/subscription")
async def get_subscription(call: Call) -> Json:
    key = (call.host.root / f"{HOST_KEY}.pub").read_bytes()
    return {
        "status": "notfound",
        "message": "There is no subscription key",
        "serverid": hashlib.md5(key, usedforsecurity=False).hexdigest().upper(),
        "url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
    }
