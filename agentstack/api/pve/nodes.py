# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes, a node's state, its power (facts §5; observed: calls, no-quorum)."""

from __future__ import annotations

import asyncio

from agentstack import x509
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.pve.cluster import node_rows

REBOOT_DELAY = 2.0
"""Stack seconds between the answer to a reboot or shutdown and its beginning."""


_POWER: set[asyncio.Task[None]] = set()


@pve("GET", "/nodes")
async def list_nodes(call: Call) -> Json:
    rows = node_rows(call)
    for row in rows:
        path = f"nodes/{row['node']}/pve-ssl.pem"
        if call.host.files.exists(path):
            row["ssl_fingerprint"] = x509.fingerprint(call.host.files.read(path))
    return rows


@pve("GET", "/nodes/{node}/status")
async def status(call: Call) -> Json:
    host = call.host
    figures = host.pvestatd.node(host.guests.status_rows())
    root = host.storage.root_filesystem()
    cpus, memory = host.spec.cpus, host.spec.memory
    load, swap = f"{host.hardware.load:.2f}", host.spec.swap
    return {
        "uptime": host.pvestatd.uptime,
        "loadavg": [load, load, load],
        "cpu": figures["cpu"],
        "wait": 0,
        "idle": 0,
        "cpuinfo": {
            "cpus": cpus,
            "cores": cpus,
            "sockets": 1,
            "model": "QEMU Virtual CPU version 2.5+",
            "mhz": "2400.000",
            "hvm": "1",
            "flags": "fpu vme sse sse2 lm",
            "user_hz": 100,
        },
        "memory": {
            "total": memory,
            "used": figures["mem"],
            "free": memory - figures["mem"],
            **({} if host.release.startswith("8.") else {"available": memory - figures["mem"]}),
        },
        "swap": {"total": swap, "used": host.spec.swap_used, "free": swap - host.spec.swap_used},
        "rootfs": {"total": root.total, "used": root.used, "free": root.total - root.used, "avail": root.available},
        "ksm": {"shared": 0},
        "kversion": f"Linux {host.kernel}",
        "current-kernel": {"sysname": "Linux", "release": host.kernel, "version": "#1 SMP", "machine": "x86_64"},
        "boot-info": {"mode": "efi", "secureboot": 0},
        "pveversion": f"pve-manager/{host.version}/{host.repoid}",
    }


@pve("POST", "/nodes/{node}/status")
async def power(call: Call) -> Json:
    host, command = call.host, call["command"]

    async def act() -> None:
        await host.clock.sleep(REBOOT_DELAY)
        host.shut_down(reboot=command == "reboot")

    _POWER.add(task := asyncio.create_task(act()))
    task.add_done_callback(_POWER.discard)
    return None
