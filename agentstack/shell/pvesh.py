# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pvesh: the API from the command line, as root@pam (observed: commands)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack.api.inner import call
from agentstack.api.tables import Method
from agentstack.errors import AgentError, ParameterError
from agentstack.shell.exit_status import FAILED, exit_status
from agentstack.shell.output import FORMATS, render
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

VERBS = {"get": "GET", "create": "POST", "set": "PUT", "delete": "DELETE"}
MARKS = (("GET", "r"), ("PUT", "w"), ("POST", "c"), ("DELETE", "d"))

PRINTING = ("output-format", "human-readable", "noborder", "noheader", "quiet", "noproxy")
"""Options of the command itself."""

FLAGS = ("noborder", "noheader", "quiet", "noproxy")

USAGE = """ERROR: no command specified
USAGE: pvesh <COMMAND> [ARGS] [OPTIONS]

       pvesh create <api_path> [OPTIONS] [FORMAT_OPTIONS]
       pvesh delete <api_path> [OPTIONS] [FORMAT_OPTIONS]
       pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]
       pvesh ls <api_path> [OPTIONS] [FORMAT_OPTIONS]
       pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]
       pvesh usage <api_path> [OPTIONS]

       pvesh help [<extra-args>] [OPTIONS]
"""


class _Unparsable(Exception):
    """An option that there is not."""


@command("pvesh")
async def pvesh(host: Host, argv: list[str], io: CommandIO) -> int:
    if not argv or argv[0] not in (*VERBS, "ls"):
        io.err(USAGE)
        return FAILED
    word, path = argv[0], "/" + (argv[1] if len(argv) > 1 else "").strip("/")
    if word == "ls":
        return await _list(host, path, io)
    found = host.api.dispatcher.find(VERBS[word], path)
    if found is None:
        io.err(f"No '{word}' handler defined for '{path}'\n")
        return 1
    try:
        given, printing = _options(found.method, argv[2:])
    except _Unparsable as error:
        io.err(f"Unknown option: {error}\n400 unable to parse option\n{_usage(word)}")
        return FAILED
    try:
        data = await call(host, found, given)
    except ParameterError as error:
        io.err(f"{error.text}\n{_usage(word)}")
        return FAILED
    except AgentError as error:
        io.err(f"{error.message.rstrip()}\n")
        return exit_status(VERBS[word], path, error)
    if "quiet" not in printing:
        io.out(render(data, str(printing.get("output-format", "text"))))
    return 0


def _usage(word: str) -> str:
    return f"pvesh {word} <api_path> [OPTIONS] [FORMAT_OPTIONS]\n"


def _options(method: Method, words: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and printing options; a repeated option is a list, one without a value is 1."""
    given: dict[str, Any] = {}
    printing: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        own = name in PRINTING
        if not word.startswith("-") or not (own or method.param(name) is not None):
            raise _Unparsable(name)
        if not equals:
            takes_value = name not in FLAGS and rest and not rest[0].startswith("--")
            value = rest.pop(0) if takes_value else "1"
        if own:
            printing[name] = value
        elif name in given:
            before = given[name]
            given[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            given[name] = value
    if printing.get("output-format", "text") not in FORMATS:
        raise ParameterError(
            {"output-format": f"value '{printing['output-format']}' does not have a value in the enumeration "
                              f"'{', '.join(FORMATS)}'"}
        )  # fmt: skip
    return given, printing


async def _list(host: Host, path: str, io: CommandIO) -> int:
    """What is below a path, with marks for what can be done with it."""
    found = host.api.dispatcher.find("GET", path)
    rows = await call(host, found, {}) if found is not None else None
    if not isinstance(rows, list):
        io.err(f"{path}: no such resource\n")
        return FAILED
    base = path.rstrip("/")
    for name in sorted(_names(host, base, rows)):
        verbs = host.api.dispatcher.verbs(f"{base}/{name}")
        marks = "".join(mark if verb in verbs else "-" for verb, mark in MARKS)
        directory = "D" if host.api.dispatcher.has_children(f"{base}/{name}") else "-"
        io.out(f"{directory}{marks}        {name}\n")
    return 0


def _names(host: Host, base: str, rows: list[Any]) -> list[str]:
    """The values in a listing that lead further down."""
    key = host.api.dispatcher.child_key(base)
    return [str(row[key]) for row in rows if isinstance(row, Mapping) and key in row]
