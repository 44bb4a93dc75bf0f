# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that a host's shell knows, and how one line is run."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import agentstack.shell
from agentstack.errors import AgentError, ParameterError

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.stack import Kind

DIRECTORIES = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/")
OPERATORS = "();<>|&\n"
EXPANSIONS = "$`"
NOT_FOUND = 127


class CommandIO:
    """What a command reads and writes. `out` and `err` take text as it is, with its line ends.

    This one keeps everything in memory, for commands that other parts run; the SSH server's goes over the wire.
    """

    environment: Mapping[str, str] = MappingProxyType({})
    """The variables that the line sets for its command: `PBS_PASSWORD=… proxmox-backup-client …`."""

    def __init__(self, stdin: bytes = b"") -> None:
        self.given = stdin
        self.stdout = bytearray()
        self.stderr = bytearray()

    def out(self, text: str | bytes) -> None:
        """Write to standard output."""
        self.stdout += text.encode() if isinstance(text, str) else text

    def err(self, text: str | bytes) -> None:
        """Write to standard error."""
        self.stderr += text.encode() if isinstance(text, str) else text

    async def read(self) -> bytes:
        """All of standard input, to its end."""
        return self.given


Command = Callable[["Host", list[str], CommandIO], Awaitable[int]]


@dataclass
class Commands:
    """Commands by name; each for some kinds of host."""

    known: dict[tuple[Kind, str], Command] = field(default_factory=dict)

    def __call__(self, *names: str, kinds: tuple[Kind, ...] = ("pve",)) -> Callable[[Command], Command]:
        """Register the decorated coroutine `(host, arguments, io) -> exit status` under its names.

        `arguments` are the words after the command's name. An AgentError that it raises is written to stderr, exit
        status 255.
        """

        def register(run: Command) -> Command:
            for name in names:
                for kind in kinds:
                    if (kind, name) in self.known:
                        raise ValueError(f"the command {name} is registered twice")
                    self.known[kind, name] = run
            return run

        return register

    async def run(self, host: Host, line: str, io: CommandIO) -> int:
        """Run one command line (shell words, no operators); returns its exit status."""
        try:
            words = _words(line)
        except ValueError as error:
            io.err(f"bash: {error}\n")
            return 2
        given: dict[str, str] = {}
        while words and (found := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", words[0], re.DOTALL)):
            given[found[1]] = found[2]
            words.pop(0)
        io.environment = given
        if not words:
            return 0
        name, arguments = words[0], words[1:]
        directory, _, base = name.rpartition("/")
        known = self.known.get((host.kind, base)) if not directory or f"{directory}/" in DIRECTORIES else None
        if known is None:
            io.err(f"bash: {name}: {'No such file or directory' if directory else 'command not found'}\n")
            return NOT_FOUND
        try:
            return await known(host, arguments, io)
        except ParameterError as error:
            io.err("400 Parameter verification failed.\n")
            io.err("".join(f"{parameter}: {text}\n" for parameter, text in error.errors.items()))
            return 255
        except AgentError as error:
            io.err(f"{error.message}\n")
            return 255


command = Commands()


def load_commands() -> None:
    """Import every module of this package, and with them their commands."""
    for module in pkgutil.iter_modules(agentstack.shell.__path__, "agentstack.shell."):
        importlib.import_module(module.name)


def _words(line: str) -> list[str]:
    """The words of a line; ValueError for what this shell does not do."""
    quote = ""
    characters = iter(line)
    for character in characters:
        if character == "\\" and quote != "'":
            next(characters, "")
        elif character in ("'", '"') and quote in ("", character):
            quote = "" if quote else character
        elif (not quote and character in OPERATORS) or (quote != "'" and character in EXPANSIONS):
            raise ValueError(f"syntax error near unexpected token `{character}' (only single commands are understood)")
    return shlex.split(line)
