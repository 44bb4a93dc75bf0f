# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`crushtool -d MAP -o TEXT` and `crushtool -c TEXT -o MAP` (docs.ceph.com, "Manually editing the CRUSH Map")."""

from __future__ import annotations

from agentstack.ceph import crush_file, crush_text
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.shell.registry import CommandIO, command


@command("crushtool")
async def crushtool(host: Host, argv: list[str], io: CommandIO) -> int:
    """Decompile or compile a map."""
    if host.ceph.installed is None:
        io.err("bash: crushtool: command not found\n")
        return 127
    given = dict(zip(argv[::2], argv[1::2], strict=False))
    try:
        if "-d" in given:
            text = crush_file.read(host, given["-d"])
            if "-o" not in given:
                io.out(text)
                return 0
            crush_file.path(host, given["-o"]).write_text(text, encoding="utf-8")
        elif "-c" in given and "-o" in given:
            text = crush_file.path(host, given["-c"]).read_text(encoding="utf-8")
            crush_text.parse(text)
            crush_file.write(host, given["-o"], text)
        else:
            io.err("no action specified; -h for help\n")
            return 1
    except AgentError as error:
        io.err(f"{error.message}\n")
        return 1
    except OSError as error:
        io.err(f"crushtool: error reading '{error.filename}': {error.strerror}\n")
        return 1
    return 0
