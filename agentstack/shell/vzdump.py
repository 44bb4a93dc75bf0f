# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`vzdump` and `qmrestore`: backups and their return from the command line (the manual pages of vzdump, qmrestore)."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from agentstack.shell.api_command import ApiCommand, run_one
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

_VZDUMP = "/nodes/{node}/vzdump"


@command("vzdump")
async def vzdump(host: Host, argv: list[str], io: CommandIO) -> int:
    """`vzdump [VMID…] [OPTIONS]`; the log of the run is what it prints."""
    vmids = list(takewhile(lambda word: not word.startswith("-"), argv))
    arguments = ("vmid",) if vmids else ()
    words = [*([",".join(vmids)] if vmids else []), *argv[len(vmids) :]]
    return await run_one(host, "vzdump", ApiCommand("POST", _VZDUMP, arguments), words, io)


@command("qmrestore")
async def qmrestore(host: Host, argv: list[str], io: CommandIO) -> int:
    """`qmrestore ARCHIVE VMID [OPTIONS]`."""
    entry = ApiCommand("POST", "/nodes/{node}/qemu", ("archive", "vmid"))
    return await run_one(host, "qmrestore", entry, argv, io)
