# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pvesm: storages from the command line (observed: commands)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack.shell.api_command import ApiCommand, run, run_one
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host


def _show_status(rows: list[dict[str, Any]]) -> str:
    width = max([12, *(len(row["storage"]) for row in rows)])
    text = f"{'Name':<{width}} {'Type':>6} {'Status':>10} {'Total (KiB)':>15} {'Used (KiB)':>15} "
    text += f"{'Available (KiB)':>15} {'%':>8}\n"
    for row in sorted(rows, key=lambda row: str(row["storage"])):
        state = "disabled" if not row["enabled"] else "active" if row["active"] else "inactive"
        total, used, free = (row[key] >> 10 for key in ("total", "used", "avail"))
        share = f"{used / total * 100:.2f}%" if total else "0.00%" if state == "inactive" else "N/A"
        text += f"{row['storage']:<{width}} {row['type']:>6} {state:>10} {total:>15} {used:>15} {free:>15} {share:>8}\n"
    return text


def _show_content(rows: list[dict[str, Any]]) -> str:
    width = max([5, *(len(row["volid"]) for row in rows)])
    text = f"{'Volid':<{width}} {'Format':<7} {'Type':<9} {'Size':>12} VMID\n"
    for row in rows:
        text += (
            f"{row['volid']:<{width}} {row['format']:<7} {row['content']:<9} {row['size']:>12} {row.get('vmid', '')}\n"
        )
    return text


PVESM = {
    "extractconfig": ApiCommand("GET", "/nodes/{node}/vzdump/extractconfig", ("volume",)),
    "status": ApiCommand("GET", "/nodes/{node}/storage", show=_show_status),
    "list": ApiCommand("GET", "/nodes/{node}/storage/{storage}/content", ("storage",), show=_show_content),
    "add": ApiCommand("POST", "/storage", ("type", "storage"), show=lambda answer: ""),
    "set": ApiCommand("PUT", "/storage/{storage}", ("storage",), show=lambda answer: ""),
    "remove": ApiCommand("DELETE", "/storage/{storage}", ("storage",)),
    "alloc": ApiCommand(
        "POST",
        "/nodes/{node}/storage/{storage}/content",
        ("storage", "vmid", "filename", "size"),
        show=lambda volid: f"successfully created '{volid}'\n",
    ),
}


_PRUNE = "/nodes/{node}/storage/{storage}/prunebackups"


def _show_pruned(rows: list[dict[str, Any]] | None) -> str:
    if rows is None:
        return ""
    width = max([6, *(len(row["volid"]) for row in rows)])
    text = f"{'Backup':<{width}} {'Backup-ID':<12} Prune-Mark\n"
    for row in sorted(rows, key=lambda row: (row.get("type", ""), row.get("vmid", 0), row["ctime"])):
        text += f"{row['volid']:<{width}} {row.get('type', '')}/{row.get('vmid', '')!s:<8} {row['mark']}\n"
    return text


async def _prune(host: Host, words: list[str], io: CommandIO) -> int:
    """`--keep-last 3` and the like are one property of the call; `--dry-run` asks what would be removed."""
    keep: list[str] = []
    rest: list[str] = []
    dry = False
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name.startswith("keep-"):
            keep.append(f"{name}={value if equals else (queue.pop(0) if queue else '')}")
        elif word.startswith("-") and name == "dry-run":
            dry = value != "0"
            if not equals and queue and queue[0] in ("0", "1"):
                dry = queue.pop(0) == "1"
        else:
            rest.append(word)
    rest += ["--prune-backups", ",".join(keep)] if keep else []
    entry = ApiCommand("GET" if dry else "DELETE", _PRUNE, ("storage",), show=_show_pruned if dry else None)
    return await run_one(host, "pvesm prune-backups", entry, rest, io)


@command("pvesm")
async def pvesm(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["path", volid]:
            host.storage.path(volid)
            io.out(f"{host.storage.device(volid)}\n")
            return 0
        case ["free", volid]:
            host.storage.free(volid)
            io.out(f"Removed volume '{volid}'\n")
            return 0
        case ["prune-backups", *words]:
            return await _prune(host, words, io)
    return await run(host, "pvesm", PVESM, argv, io)
