# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's time zone, name servers and hosts file (facts §18)."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING

from agentstack._shared.section_config import config_digest
from agentstack._shared.time_zone import time_zone
from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.sections import check_digest
from agentstack.timezone import FILE as TIMEZONE
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

RESOLVER, HOSTS = "etc/resolv.conf", "etc/hosts"
INSTALLED_ZONE = "Etc/UTC"
"""What the installer sets (observed: calls, 8.4)."""


def _read(host: Host, name: str) -> str:
    path = host.root / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pve("GET", "/nodes/{node}/time")
async def get_time(call: Call) -> Json:
    """`localtime` is the wall clock's reading as if it were UTC."""
    now = int(call.host.clock.now())
    offset = datetime.datetime.fromtimestamp(now, time_zone(zone(call.host))).utcoffset() or datetime.timedelta()
    shown = _read(call.host, TIMEZONE).strip() or INSTALLED_ZONE
    return {"timezone": shown, "time": now, "localtime": now + int(offset.total_seconds())}


@pve("PUT", "/nodes/{node}/time")
async def set_time_zone(call: Call) -> Json:
    try:
        time_zone(call["timezone"])
    except ValueError:
        raise AgentError(f"No such timezone: '{call['timezone']}'") from None
    (call.host.root / TIMEZONE).write_text(f"{call['timezone']}\n", encoding="utf-8")


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


@pve("GET", "/nodes/{node}/hosts")
async def get_hosts(call: Call) -> Json:
    text = _read(call.host, HOSTS)
    return {"data": text, "digest": config_digest(text)}


@pve("POST", "/nodes/{node}/hosts")
async def set_hosts(call: Call) -> Json:
    check_digest(config_digest(_read(call.host, HOSTS)), call.get("digest"))
    (call.host.root / HOSTS).write_text(call["data"].rstrip("\n") + "\n", encoding="utf-8")
