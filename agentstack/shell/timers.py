# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-run(1), as far as timers go, and what systemctl(1) does with their units."""

from __future__ import annotations

import shlex
from itertools import takewhile
from typing import TYPE_CHECKING

from agentstack._shared.time_span import parse_time_span
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

ENDING = ".timer"
_BEFORE, _AFTER = "ExecStartPre", "ExecStartPost"


@command("systemd-run")
async def systemd_run(host: Host, argv: list[str], io: CommandIO) -> int:
    """`--unit=NAME --on-active=SPAN [--property=ExecStartPre=LINE …] COMMAND …`: a `-` before a LINE lets it fail."""
    options = list(takewhile(lambda word: word.startswith("--"), argv))
    words = argv[len(options) :]
    given = dict(option[2:].partition("=")[::2] for option in options if not option.startswith("--property="))
    unknown = set(given) - {"unit", "on-active", "collect", "quiet", "description", "timer-property"}
    if unknown or not words or "on-active" not in given or not given.get("unit"):
        io.err("systemd-run: this host runs timers only: --unit=NAME --on-active=SPAN COMMAND\n")
        return 1
    name = given["unit"].removesuffix(ENDING)
    try:
        seconds = float(parse_time_span(given["on-active"]))
    except ValueError:
        io.err(f"Failed to parse timer value: {given['on-active']}\n")
        return 1
    if host.timers.has(name):
        text = "was already loaded or has a fragment file"
        io.err(f"Failed to start transient timer unit: Unit {name}{ENDING} {text}.\n")
        return 1
    properties = [option.partition("=")[2].partition("=") for option in options if option.startswith("--property=")]
    lines: dict[str, list[tuple[str, bool]]] = {
        key: [] for key in (_BEFORE, _AFTER, *(key for key, _, _ in properties))
    }
    for key, _, line in properties:
        lines[key].append((line.removeprefix("-"), line.startswith("-")))
    host.timers.add(name, seconds, [*lines[_BEFORE], (shlex.join(words), False), *lines[_AFTER]])
    if "quiet" not in given:
        io.err(f"Running timer as unit: {name}{ENDING}\nWill run service as unit: {name}.service\n")
    return 0


def control(host: Host, words: list[str], io: CommandIO) -> int:
    """What systemctl does with timers."""
    verb, *names = words
    present = [unit for unit in names if host.timers.has(unit.removesuffix(ENDING))]
    if verb == "is-active":
        io.out("".join(f"{'active' if unit in present else 'inactive'}\n" for unit in names))
        return 0 if present else 3
    if verb != "stop":
        io.err(f"Failed to {verb} {names[0]}: Operation refused.\n")
        return 1
    for unit in names:
        if unit in present:
            host.timers.cancel(unit.removesuffix(ENDING))
        else:
            io.err(f"Failed to stop {unit}: Unit {unit} not loaded.\n")
    return 0 if present == names else 5
