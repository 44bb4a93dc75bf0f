# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""corosync-cfgtool and corosync-quorumtool (observed: commands)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell import votequorum
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

NO_CFG = "Could not initialize corosync configuration API error CS_ERR_LIBRARY"


@command("corosync-cfgtool")
async def cfgtool(host: Host, argv: list[str], io: CommandIO) -> int:
    if host.cluster.view is None:
        io.err(f"{NO_CFG}\n")
        return 1
    match argv:
        case ["-s", *_]:
            io.out(votequorum.link_status(host))
        case ["-n"]:
            io.out(votequorum.node_status(host))
        case ["-R"]:
            io.out("Reloading corosync.conf...\nDone\n")
            host.cluster.corosync.reload_everywhere()
        case ["-k", node] if node.isdecimal():
            io.out(f"Killing node {node}\n")
            if int(node) not in votequorum.view_of(host).members:
                io.err("Could not kill node (error = CS_ERR_NOT_EXIST)\n")
                return 1
            host.cluster.corosync.kill(int(node))
        case _:
            io.err(
                "corosync-cfgtool [[-i <interface ip>] [-b] -s] [-R] [-L] [-k nodeid] [-a nodeid] [-h] [-H] [--force]\n"
            )
            return 1
    return 0


@command("corosync-quorumtool")
async def quorumtool(host: Host, argv: list[str], io: CommandIO) -> int:
    try:
        match argv:
            case [] | ["-s"]:
                io.out(votequorum.quorum_status(host))
                # as corosync-quorumtool(8) says: 0 when quorate, 2 when not
                return 0 if host.cluster.votes.quorate else 2
            case ["-l"]:
                io.out(votequorum.member_list(host))
            case ["-e", votes] if votes.isdecimal():
                votequorum.view_of(host)
                host.cluster.expect(int(votes))
            case _:
                io.err("corosync-quorumtool <-s|-m|-l> [-n nodeid] [-i] [-p] [-o a|n|i] [-e votes] [-h]\n")
                return 1
    except AgentError as error:
        io.err(f"{error.message}\n")
        return 1
    return 0
