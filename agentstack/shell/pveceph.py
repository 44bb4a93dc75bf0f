# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pveceph` on a node: installation (facts §11.1)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import NoReturn

from agentstack.ceph.service import AVAILABLE
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.shell.ceph import ceph
from agentstack.shell.registry import CommandIO, command

INSTALL_TIME = 20.0
"""Seconds that apt takes for the packages."""


class _Parser(ArgumentParser):
    """An argument parser that refuses in the way of the commands, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise AgentError(f"400 unable to parse option\n{message}")


@command("pveceph")
async def pveceph(host: Host, argv: list[str], io: CommandIO) -> int:
    """`pveceph install [--repository R] [--version V]`, `pveceph status`."""
    parser = _Parser(prog="pveceph", add_help=False)
    kinds = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    install = kinds.add_parser("install", add_help=False)
    install.add_argument("--repository", "-repository", default="enterprise")
    install.add_argument("--version", "-version", default=None)
    install.add_argument("--allow-experimental", action="store_true")
    kinds.add_parser("status", add_help=False)
    given = parser.parse_args(argv)
    if given.command == "status":
        return await ceph(host, ["-s"], io)
    return await _install(host, given.repository, given.version, io)


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
