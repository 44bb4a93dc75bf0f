# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of all modules, gathered from every ``dances*.py`` beside this file."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ...stacks import RunningStack
from .dances import Dance

NEWEST = "9.2"


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
    return {name: _load(name).DANCES for name in names}


def on_8(file: str) -> dict[str, Dance]:
    """A file's dances as they are danced with Proxmox VE 8.4: none if another file has its modules for it."""
    if f"{file}8" in by_file():
        return {}
    own = {name for other, dances in by_file().items() if version_of(other).startswith("8") for name in dances}
    return {
        name: known_to_8(name, replace(dance, steps=()) if name in own else dance)
        for name, dance in by_file()[file].items()
    }


ONLY_9 = {"cluster": {"token_coefficient"}, "realms": {"audiences"}}
"""Options of modules, and of the elements of their lists, that Proxmox VE 8.4 refuses."""


def known_to_8(module: str, given: Any) -> Any:
    """A module's dance, or what is given to it, without these."""
    if isinstance(given, Dance):
        others = {part: getattr(given, part) for part in ("before", "after")}
        return replace(
            given,
            steps=tuple(known_to_8(module, step) for step in given.steps),
            **{part: tuple((name, known_to_8(name, step)) for name, step in all_) for part, all_ in others.items()},
        )
    if isinstance(given, list):
        return [known_to_8(module, each) for each in given]
    if not isinstance(given, dict):
        return given
    return {name: known_to_8(module, each) for name, each in given.items() if name not in ONLY_9.get(module, ())}


def marks_of(file: str) -> tuple[pytest.MarkDecorator, ...]:
    """When a file is danced: with every change unless it says ``LONG``."""
    return (pytest.mark.long,) if getattr(_load(file), "LONG", False) else ()


def version_of(file: str) -> str:
    """The product version of the cluster that a file's dances need."""
    version: str = getattr(_load(file), "VERSION", NEWEST)
    return version


def _load(file: str) -> ModuleType:
    return import_module(f".{file}", __package__)


def hosts_of(file: str) -> int:
    """The number of hosts of the cluster that a file's dances need."""
    number: int = getattr(_load(file), "HOSTS", 2)
    return number


def stack_of(file: str) -> dict[str, Any]:
    """What the stack of a file's dances has besides its hosts."""
    more: dict[str, Any] = getattr(_load(file), "STACK", {})
    return more


def scale_of(file: str) -> float:
    """By what the durations of a file's cluster are divided: less where a watchdog is at work on a busy machine."""
    scale: float = getattr(_load(file), "SCALE", 50)
    return scale


def prepare(file: str, stack: RunningStack) -> None:
    """What a file's dances need that is no module's business."""
    preparation = getattr(_load(file), "prepare", None)
    if preparation is not None:
        preparation(stack)
