# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pveceph` on a node: installation, and the API calls behind it (facts §11.1, §11.2; the manual page of pveceph)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, NoReturn

from agentstack.ceph.service import AVAILABLE
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.shell.api_command import ApiCommand, run
from agentstack.shell.ceph import ceph
from agentstack.shell.output import table
from agentstack.shell.registry import CommandIO, command

INSTALL_TIME = 20.0
"""Seconds that apt takes for the packages."""

_COLUMNS = {
    **{"Name": "pool_name", "Size": "size", "Min. Size": "min_size", "PG Num": "pg_num", "min. PG Num": "pg_num_min"},
    **{"PG Autoscale Mode": "pg_autoscale_mode", "PG Autoscale Target Size": "target_size"},
    **{"PG Autoscale Target Ratio": "target_size_ratio", "Crush Rule Name": "crush_rule_name"},
    **{"%-Used": "percent_used", "Used": "bytes_used"},
}


def _show_pools(rows: list[dict[str, Any]]) -> str:
    rows = sorted(rows, key=lambda row: str(row["pool_name"]))
    return table([{head: row.get(key) for head, key in _COLUMNS.items()} for row in rows], list(_COLUMNS))


def _silent(answer: Any) -> str:
    return ""


_CEPH = "/nodes/{node}/ceph"
PVECEPH = {
    "init": ApiCommand("POST", f"{_CEPH}/init", show=_silent),
    "mon create": ApiCommand("POST", f"{_CEPH}/mon/{{monid}}"),
    "mon destroy": ApiCommand("DELETE", f"{_CEPH}/mon/{{monid}}", ("monid",)),
    "mgr create": ApiCommand("POST", f"{_CEPH}/mgr/{{id}}"),
    "mgr destroy": ApiCommand("DELETE", f"{_CEPH}/mgr/{{id}}", ("id",)),
    "osd create": ApiCommand("POST", f"{_CEPH}/osd", ("dev",)),
    "osd destroy": ApiCommand("DELETE", f"{_CEPH}/osd/{{osdid}}", ("osdid",)),
    "osd details": ApiCommand("GET", f"{_CEPH}/osd/{{osdid}}/metadata", ("osdid",)),
    "pool ls": ApiCommand("GET", f"{_CEPH}/pool", show=_show_pools),
    "pool get": ApiCommand("GET", f"{_CEPH}/pool/{{name}}/status", ("name",)),
    "pool create": ApiCommand("POST", f"{_CEPH}/pool", ("name",)),
    "pool set": ApiCommand("PUT", f"{_CEPH}/pool/{{name}}", ("name",)),
    "pool destroy": ApiCommand("DELETE", f"{_CEPH}/pool/{{name}}", ("name",)),
    "start": ApiCommand("POST", f"{_CEPH}/start"),
    "stop": ApiCommand("POST", f"{_CEPH}/stop"),
}
_OLD_NAMES = {"lspools": ["pool", "ls"]} | {
    f"{verb}{kind}": [kind, verb] for verb in ("create", "destroy") for kind in ("mon", "mgr", "osd", "pool")
}
_DEFAULT_NAMES = {("mon", "create"): "monid", ("mgr", "create"): "id"}
"""Daemons are called like their node unless another name is given."""


class _Parser(ArgumentParser):
    """An argument parser that refuses in the way of the commands, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise AgentError(f"400 unable to parse option\n{message}")


@command("pveceph")
async def pveceph(host: Host, argv: list[str], io: CommandIO) -> int:
    """`pveceph install [--repository R] [--version V]`, `pveceph status`, and what stands in the table."""
    words = [*_OLD_NAMES.get(argv[0], argv[:1]), *argv[1:]] if argv else []
    if words[:1] == ["status"]:
        return await ceph(host, ["-s"], io)
    if words[:1] == ["install"]:
        parser = _Parser(prog="pveceph", add_help=False)
        parser.add_argument("--repository", "-repository", default="enterprise")
        parser.add_argument("--version", "-version", default=None)
        parser.add_argument("--allow-experimental", action="store_true")
        given = parser.parse_args(words[1:])
        return await _install(host, given.repository, given.version, io)
    name = _DEFAULT_NAMES.get((words[0], words[1])) if len(words) > 1 else None
    if name is not None and not any(word.lstrip("-").partition("=")[0] == name for word in words[2:]):
        words += [f"--{name}", host.name]
    return await run(host, "pveceph", PVECEPH, words, io)


async def _install(host: Host, repository: str, version: str | None, io: CommandIO) -> int:
    offered = AVAILABLE[host.release]
    version = version or offered[-1 if host.release == "8.4" else 0]
    for name, value, allowed in (
        ("repository", repository, ("enterprise", "no-subscription", "test")),
        ("version", version, offered),
    ):
        if value not in allowed:
            io.err("400 Parameter verification failed.\n")
            io.err(f"{name}: value '{value}' does not have a value in the enumeration '{', '.join(allowed)}'\n")
            return 255
    if repository == "enterprise":
        # no subscription key is installed here: the enterprise repository answers 401 to everybody without one
        io.err("E: Failed to fetch https://enterprise.proxmox.com/debian/ceph-" + version + "  401  Unauthorized\n")
        io.err("apt failed during ceph installation (100)\n")
        return 255
    await host.clock.sleep(INSTALL_TIME)
    host.ceph.install(version)
    io.out(f"start installation\n\ninstalled Ceph {version} successfully!\n")
    return 0
