# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/localhost: the host under a backup server (facts §20.7)."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pve.node_certificates import describe
from agentstack.errors import AgentError, ParameterError
from agentstack.install import HOST_KEY
from agentstack.pbs.certificates import CERTIFICATE
from agentstack.pbs.sections import DIGEST
from agentstack.timezone import FILE as TIME_ZONE
from agentstack.timezone import zone

_NODE = "/nodes/{node}"
_RESOLVER = "etc/resolv.conf"


@pbs("GET", f"{_NODE}/status")
async def status(call: Call) -> Json:
    host, usage = call.host, call.host.pbs.datastores.usage()
    memory = host.spec.memory
    used = memory // 16
    return {
        "uptime": int(host.clock.now() - host.boot_time),
        "loadavg": [0.0, 0.0, 0.0],
        "cpu": 0.0,
        "wait": 0.0,
        "cpuinfo": {"cpus": host.spec.cpus, "sockets": 1, "model": "QEMU Virtual CPU version 2.5+"},
        "memory": {"total": memory, "used": used, "free": memory - used},
        "swap": {"total": 0, "used": 0, "free": 0},
        "root": {"total": usage.total, "used": usage.used, "avail": usage.avail},
        "kversion": f"Linux {host.kernel}",
        "current-kernel": {"sysname": "Linux", "release": host.kernel, "version": "#1 SMP", "machine": "x86_64"},
        "boot-info": {"mode": "efi", "secureboot": False},
        "info": {"fingerprint": host.certificates.fingerprint.lower()},
    }


@pbs("GET", f"{_NODE}/identity")
async def identity(call: Call) -> Json:
    key = (call.host.root / f"{HOST_KEY}.pub").read_text(encoding="ascii")
    return {"pbs-instance-id": str(uuid.uuid5(uuid.NAMESPACE_OID, key))}


@pbs("GET", f"{_NODE}/certificates/info")
async def certificates(call: Call) -> Json:
    """Fingerprints are in small letters here, where a node's are in capitals."""
    found = describe(call.host.certificates.certificate)
    return [{"filename": CERTIFICATE, **found, "fingerprint": found["fingerprint"].lower()}]


@pbs("GET", f"{_NODE}/time")
async def get_time(call: Call) -> Json:
    """`localtime` is the wall clock's reading as if it were UTC."""
    name, now = zone(call.host), int(call.host.clock.now())
    offset = datetime.fromtimestamp(now, ZoneInfo(name)).utcoffset() or timedelta()
    return {"timezone": name, "time": now, "localtime": now + int(offset.total_seconds())}


@pbs("PUT", f"{_NODE}/time")
async def set_time_zone(call: Call) -> Json:
    if call["timezone"] not in available_timezones():
        raise ParameterError({"timezone": f"No such timezone: '{call['timezone']}'"})
    (call.host.root / TIME_ZONE).write_text(f"{call['timezone']}\n", encoding="utf-8")


@pbs("GET", f"{_NODE}/dns")
async def get_dns(call: Call) -> Json:
    settings, digest = _dns(call)
    return {**settings, "digest": digest}


@pbs("PUT", f"{_NODE}/dns")
async def set_dns(call: Call) -> Json:
    settings, digest = _dns(call)
    if call.get("digest") not in (None, digest):
        raise AgentError(DIGEST)
    for name in call.get("delete", []):
        settings.pop(name, None)
    settings |= {name: call[name] for name in ("search", "dns1", "dns2", "dns3") if name in call.params}
    lines = [f"search {settings['search']}"] if "search" in settings else []
    lines += [f"nameserver {settings[name]}" for name in ("dns1", "dns2", "dns3") if name in settings]
    (call.host.root / _RESOLVER).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _dns(call: Call) -> tuple[dict[str, str], str]:
    path = call.host.root / _RESOLVER
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    servers = re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)
    found = {f"dns{number}": server for number, server in enumerate(servers[:3], start=1)}
    if search := re.search(r"^(?:search|domain)\s+(\S+)", text, re.MULTILINE):
        found["search"] = search[1]
    return found, hashlib.sha256(text.encode()).hexdigest()


@pbs("GET", f"{_NODE}/subscription")
async def subscription(call: Call) -> Json:
    key = (call.host.root / f"{HOST_KEY}.pub").read_bytes()
    return {
        "status": "notfound",
        "message": "There is no subscription key",
        "serverid": hashlib.md5(key, usedforsecurity=False).hexdigest().upper(),
        "url": "https://www.proxmox.com/en/proxmox-backup-server/pricing",
    }
