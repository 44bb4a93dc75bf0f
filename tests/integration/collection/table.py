# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of all modules, gathered from every ``dances*.py`` beside this file."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

from .dances import Dance


def all_dances() -> dict[str, Dance]:
    """All steps by module. They are run file by file, each on a cluster of its own."""
    found: dict[str, Dance] = {}
    for dances in by_file().values():
        for name, dance in dances.items():
            found[name] = replace(dance, steps=(*(found[name].steps if name in found else ()), *dance.steps))
    return found


def by_file() -> dict[str, dict[str, Dance]]:
    """The dances by file and module."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("dances*.py"))
    return {name: import_module(f".{name}", __package__).DANCES for name in names}


def version_of(file: str) -> str:
    """The product version of the cluster that a file's dances need."""
    version: str = getattr(import_module(f".{file}", __package__), "VERSION", "9.2")
    return version


def hosts_of(file: str) -> int:
    """The number of hosts of the cluster that a file's dances need."""
    number: int = getattr(import_module(f".{file}", __package__), "HOSTS", 2)
    return number
