# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What zpool and zfs have in common: options of one letter, numbers, tables (openzfs.github.io, the manual pages)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell.registry import CommandIO

if TYPE_CHECKING:
    from agentstack.host import Host

FAILED, USAGE_STATUS = 1, 2

Value = int | str
Row = Mapping[str, Value]


class UsageError(Exception):
    """A command line that cannot be understood; the text says why."""


@dataclass(frozen=True)
class Verb:
    """A subcommand: the letters that it knows, those of them that take a value, and what it does."""

    run: Callable[[Host, Options, CommandIO], int | None]
    letters: str = ""
    valued: str = ""


@dataclass
class Options:
    """A command line: what was given for each letter in turn, and the other words."""

    given: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def __contains__(self, letter: str) -> bool:
        return letter in self.given

    def last(self, letter: str, default: str) -> str:
        """The value of a letter."""
        return self.given.get(letter, [default])[-1]


def parse(verb: Verb, argv: list[str]) -> Options:
    """Raises UsageError for a letter that the verb does not know."""
    found = Options()
    queue = list(argv)
    while queue:
        word = queue.pop(0)
        if word == "--":
            found.words += queue
            break
        if not word.startswith("-") or len(word) < 2:
            found.words.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in verb.valued:
                if not letters and not queue:
                    raise UsageError(f"missing argument for '{letter}' option")
                found.given.setdefault(letter, []).append(letters or queue.pop(0))
                letters = ""
            elif letter in verb.letters:
                found.given.setdefault(letter, []).append("")
            else:
                raise UsageError(f"invalid option '{letter}'")
    return found


def run(host: Host, name: str, verbs: Mapping[str, Verb], argv: list[str], io: CommandIO) -> int:
    """Run `zpool VERB …` or `zfs VERB …`."""
    if not argv:
        io.err(f"missing command\nusage: {name} command args ...\n")
        return USAGE_STATUS
    verb = verbs.get(argv[0])
    if verb is None:
        io.err(f"unrecognized command '{argv[0]}'\nusage: {name} command args ...\n")
        return USAGE_STATUS
    try:
        return verb.run(host, parse(verb, argv[1:]), io) or 0
    except UsageError as error:
        io.err(f"{error}\nusage:\n\t{name} {argv[0]} ...\n")
        return USAGE_STATUS
    except AgentError as error:
        io.err(f"{error.message}\n")
        return FAILED


def human(size: int) -> str:
    """Bytes as ZFS prints them: three significant digits and a unit."""
    value, unit = float(size), 0
    while value >= 1024 and unit < 6:
        value, unit = value / 1024, unit + 1
    if unit == 0:
        return f"{size}B"
    digits = 0 if value >= 100 or value.is_integer() else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{' KMGTPE'[unit]}"


def moment(seconds: int) -> str:
    """A time as `creation` shows it."""
    return time.strftime("%a %b %e %H:%M %Y", time.gmtime(seconds))


def columns_of(text: str, known: Iterable[str], aliases: Mapping[str, str]) -> list[str]:
    """The properties of `-o` or `get`. Raises UsageError for one that does not exist."""
    names = [aliases.get(name, name) for name in text.split(",")]
    allowed = set(known)
    for name in names:
        if name not in allowed and ":" not in name:
            raise UsageError(f"bad property list: invalid property '{name}'")
    return names


def table(
    rows: list[dict[str, str]], columns: list[str], heads: Mapping[str, str], right: frozenset[str], *, plain: bool
) -> str:
    """Rows under their heads; `plain` (-H): tab separated and without heads."""
    if plain:
        return "".join("\t".join(row[column] for column in columns) + "\n" for row in rows)
    first = {column: heads.get(column, column.upper()) for column in columns}
    widths = {column: max(len(text[column]) for text in [first, *rows]) for column in columns}

    def line(text: Mapping[str, str]) -> str:
        cells = (
            f"{text[column]:>{widths[column]}}" if column in right else f"{text[column]:<{widths[column]}}"
            for column in columns
        )
        return "  ".join(cells).rstrip() + "\n"

    return line(first) + "".join(line(row) for row in rows)
