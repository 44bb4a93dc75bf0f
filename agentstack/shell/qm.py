# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qm and pct: guests of this node (observed: commands)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack.guests import config as configs
from agentstack.guests.config import LXC, QEMU, Kind
from agentstack.shell.api_command import ApiCommand, run
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host


def _list_vms(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    text = f"{'VMID':>10} {'NAME':<20} {'STATUS':<10} {'MEM(MB)':<10} {'BOOTDISK(GB)':>12} {'PID':<10}\n"
    for row in sorted(rows, key=lambda row: int(row["vmid"])):
        memory, disk = row["maxmem"] >> 20, row["maxdisk"] / (1 << 30)
        text += f"{row['vmid']:>10} {row['name']:<20} {row['status']:<10} {memory:<10} {disk:>12.2f} "
        text += f"{row.get('pid', 0):<10}\n"
    return text


def _list_containers(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    text = f"{'VMID':<10} {'Status':<10} {'Lock':<12} {'Name':<20}\n"
    for row in sorted(rows, key=lambda row: int(row["vmid"])):
        text += f"{row['vmid']:<10} {row['status']:<10} {row.get('lock', ''):<12} {row['name']:<20}\n"
    return text


def _show_config(values: dict[str, Any]) -> str:
    return "".join(f"{key}: {values[key]}\n" for key in sorted(values) if key != "digest")


def _show_status(row: dict[str, Any]) -> str:
    return f"status: {row['status']}\n"


def _show_snapshots(rows: list[dict[str, Any]]) -> str:
    named = [row for row in rows if row["name"] != "current"]
    lines = [f"{'  ' * depth}`-> {row['name']:<24} {row['description'].strip()}" for depth, row in enumerate(named)]
    return "".join(f"{line}\n" for line in [*lines, f"{'  ' * len(named)}`-> current                 You are here!"])


def _table(kind: str) -> dict[str, ApiCommand]:
    base = f"/nodes/{{node}}/{kind}"
    one = f"{base}/{{vmid}}"
    vmid = ("vmid",)
    moves = {"qemu": ("move_disk", "move-disk", "disk move"), "lxc": ("move_volume", "move-volume")}
    move, key = ("move_disk", "disk") if kind == "qemu" else ("move_volume", "volume")
    actions = ("start", "stop", "shutdown", "reboot", "suspend", "resume", *(("reset",) if kind == "qemu" else ()))
    return {
        "list": ApiCommand("GET", base, show=_list_vms if kind == "qemu" else _list_containers),
        "config": ApiCommand("GET", f"{one}/config", vmid, show=_show_config),
        "pending": ApiCommand("GET", f"{one}/pending", vmid),
        "status": ApiCommand("GET", f"{one}/status/current", vmid, show=_show_status),
        "create": ApiCommand("POST", base, vmid if kind == "qemu" else ("vmid", "ostemplate")),
        "set": ApiCommand("PUT", f"{one}/config", vmid),
        "destroy": ApiCommand("DELETE", one, vmid),
        "migrate": ApiCommand("POST", f"{one}/migrate", ("vmid", "target")),
        "resize": ApiCommand("PUT", f"{one}/resize", ("vmid", "disk", "size")),
        "snapshot": ApiCommand("POST", f"{one}/snapshot", ("vmid", "snapname")),
        "delsnapshot": ApiCommand("DELETE", f"{one}/snapshot/{{snapname}}", ("vmid", "snapname")),
        "rollback": ApiCommand("POST", f"{one}/snapshot/{{snapname}}/rollback", ("vmid", "snapname")),
        "clone": ApiCommand("POST", f"{one}/clone", ("vmid", "newid")),
        "template": ApiCommand("POST", f"{one}/template", vmid),
        **dict.fromkeys(moves[kind], ApiCommand("POST", f"{one}/{move}", ("vmid", key, "storage"))),
        "listsnapshot": ApiCommand("GET", f"{one}/snapshot", vmid, show=_show_snapshots),
        **{action: ApiCommand("POST", f"{one}/status/{action}", vmid) for action in actions},
    }


QM, PCT = _table("qemu"), _table("lxc")
PCT["restore"] = ApiCommand("POST", "/nodes/{node}/lxc", ("vmid", "ostemplate"), defaults={"restore": "1"})


async def _unlock(host: Host, kind: Kind, vmid: int) -> int:
    """Take the lock off a guest that an operation left behind; the API has no call for it."""
    async with host.guests.lock(vmid):
        config = configs.load(host, kind, vmid)
        config.values.pop("lock", None)
        await configs.save(host, kind, vmid, config)
    return 0


@command("qm")
async def qm(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["unlock", vmid] if vmid.isdigit():
            return await _unlock(host, QEMU, int(vmid))
    return await run(host, "qm", QM, argv, io)


@command("pct")
async def pct(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["unlock", vmid] if vmid.isdigit():
            return await _unlock(host, LXC, int(vmid))
    return await run(host, "pct", PCT, argv, io)
