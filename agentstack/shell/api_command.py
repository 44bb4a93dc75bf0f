# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that stand for API calls: positional arguments, options, and the log of the task that a call starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentstack.api.inner import call
from agentstack.errors import AgentError, ParameterError
from agentstack.shell.exit_status import FAILED, exit_status
from agentstack.shell.output import render
from agentstack.shell.registry import CommandIO
from agentstack.upid import parse_upid

if TYPE_CHECKING:
    from agentstack.api.tables import Method
    from agentstack.host import Host

OUTPUT = "output-format"


class _OptionError(Exception):
    """A command line whose options cannot be understood; the text says which."""


@dataclass(frozen=True)
class ApiCommand:
    """One subcommand: the call it makes (`{node}` is this node), its arguments in order, how its answer is printed.

    `show` gets the answer; without it a task's log is printed, and any other answer in the chosen output format.
    """

    verb: str
    path: str
    arguments: tuple[str, ...] = ()
    show: Callable[[Any], str] | None = None
    defaults: Mapping[str, str] | None = None


async def run(host: Host, name: str, table: Mapping[str, ApiCommand], words: list[str], io: CommandIO) -> int:
    """Run the command `name` with these words; the table's keys are one or two words."""
    for length in (2, 1):
        key = " ".join(words[:length])
        if len(words) >= length and key in table:
            return await run_one(host, f"{name} {key}", table[key], words[length:], io)
    problem = f"unknown command '{name} {words[0]}'" if words else "no command specified"
    io.err(f"ERROR: {problem}\n{usage(name, table)}")
    return FAILED


def usage(name: str, table: Mapping[str, ApiCommand]) -> str:
    """The list of subcommands."""
    head = f"USAGE: {name} <COMMAND> [ARGS] [OPTIONS]\n\n"
    lines = (_line(f"{name} {key}", entry) for key, entry in sorted(table.items()))
    return head + "".join(f"       {line}\n" for line in lines) + f"\n       {name} help [<extra-args>] [OPTIONS]\n"


def _line(name: str, entry: ApiCommand) -> str:
    return " ".join([name, *(f"<{argument}>" for argument in entry.arguments), "[OPTIONS]"])


def _split(method: Method, words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments and options (`--name value`, `--name=value`); booleans may stand without a value."""
    arguments: list[str] = []
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        param = method.param(name)
        if param is None and name != OUTPUT:
            raise _OptionError(f"Unknown option: {name}")
        if not equals:
            flag = param is not None and param.get("type") == "boolean"
            if flag and (not rest or rest[0] not in ("0", "1")):
                value = "1"
            elif rest:
                value = rest.pop(0)
            else:
                raise _OptionError(f"Option {name} requires an argument")
        options[name] = value
    return arguments, options


async def run_one(host: Host, name: str, entry: ApiCommand, words: list[str], io: CommandIO) -> int:
    """Run one call with the words behind the command's name."""
    try:
        arguments, options = _split(host.api.dispatcher.table[entry.path][entry.verb], words)
    except _OptionError as error:
        io.err(f"{error}\n400 unable to parse option\n{_line(name, entry)}\n")
        return FAILED
    if len(arguments) != len(entry.arguments):
        few = len(arguments) < len(entry.arguments)
        io.err(f"400 {'not enough' if few else 'too many'} arguments\n{_line(name, entry)}\n")
        return FAILED
    form = options.pop(OUTPUT, "text")
    given: dict[str, str] = {"node": host.name, **(entry.defaults or {}), **options}
    given |= dict(zip(entry.arguments, arguments, strict=True))
    path = entry.path
    for key in [key for key in given if f"{{{key}}}" in path]:
        path = path.replace(f"{{{key}}}", given.pop(key))
    method = host.api.dispatcher.find(entry.verb, path)
    if method is None:
        raise AgentError(f"no '{entry.verb}' handler for '{path}'")
    if method.method.param("node") is None or "{node}" in entry.path:
        given.pop("node", None)
    try:
        answer = await call(host, method, given)
    except ParameterError as error:
        problems = "".join(f"{key}: {text.rstrip()}\n" for key, text in error.errors.items())
        io.err(f"400 Parameter verification failed.\n{problems}{_line(name, entry)}\n")
        return FAILED
    except AgentError as error:
        io.err(f"{error.message.rstrip()}\n")
        return exit_status(entry.verb, path, error)
    if entry.show is not None and form == "text":
        io.out(entry.show(answer))
        return 0
    if isinstance(answer, str) and (upid := parse_upid(answer)) is not None:
        return await follow(host, str(upid), io)
    io.out(render(answer, form))
    return 0


async def follow(host: Host, upid: str, io: CommandIO) -> int:
    """Print the log of a task of this node to its end; its failure is the command's."""
    status = await host.tasks.wait(upid)
    parsed = parse_upid(upid)
    lines = host.tasks.read_log(parsed) if parsed else None
    io.out("".join(f"{line}\n" for line in lines or [] if not line.startswith("TASK ")))
    if status == "OK" or status.startswith("WARNINGS"):
        return 0
    io.err(f"{status}\n")
    return FAILED
