# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell as a command: clients that send their lines to `/bin/bash` rather than to the login shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.shell.basics import ALL
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host


@command("bash", "sh", kinds=ALL)
async def bash(host: Host, argv: list[str], io: CommandIO) -> int:
    """`bash -c LINE`, or one command a line from standard input; the exit status is the last one's."""
    if argv[:1] == ["-c"]:
        lines = argv[1:2]
    elif argv:
        io.err(f"bash: {argv[0]}: No such file or directory\n")
        return 127
    else:
        lines = (await io.read()).decode(errors="replace").splitlines()
    status = 0
    for line in lines:
        status = await command.run(host, line, io)
    return status
