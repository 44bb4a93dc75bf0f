# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""cp(1): one file, also to and from /etc/pve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell.basics import ALL
from agentstack.shell.registry import CommandIO, command
from agentstack.shell.rootfs import RootFs

if TYPE_CHECKING:
    from agentstack.host import Host


@command("cp", kinds=ALL)
async def cp(host: Host, argv: list[str], io: CommandIO) -> int:
    paths = [word for word in argv if not word.startswith("-")]
    if len(paths) != 2:
        io.err("cp: missing file operand\nTry 'cp --help' for more information.\n")
        return 1
    fs = RootFs(host)
    target = fs.resolve(paths[1])
    try:
        content = fs.read(paths[0])
    except OSError as error:
        io.err(f"cp: cannot stat '{paths[0]}': {error.strerror}\n")
        return 1
    try:
        if target.cluster is None:
            target.local.write_bytes(content)
        else:
            await host.files.write(target.cluster, content)
    except (OSError, AgentError) as error:
        reason = error.message if isinstance(error, AgentError) else error.strerror
        io.err(f"cp: cannot create regular file '{paths[1]}': {reason}\n")
        return 1
    return 0
