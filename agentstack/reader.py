# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a YAML document key by key and says exactly where something is wrong: file, line and path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
K = TypeVar("K")
Convert = Callable[[object], Any]

REQUIRED: Any = object()
"""Default of a key that must be there."""


class StackError(Exception):
    """Something that the author of a stack file, or the caller of `agentstack`, can put right; the text says what."""


def text(value: object) -> str:
    """A string or a number, as a string."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"a text is expected, not {_kind(value)}")
    return str(value)


def boolean(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError(f"true or false is expected, not {value!r}")
    return value


def integer(low: int, high: int) -> Callable[[object], int]:
    """A whole number within the bounds."""

    def convert(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high} is expected, not {value!r}")
        return value

    return convert


def number(low: float, high: float) -> Callable[[object], float]:
    """A number within the bounds."""

    def convert(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g} is expected, not {value!r}")
        return float(value)

    return convert


def choice(*allowed: str) -> Convert:
    """One of the named words."""

    def convert(value: object) -> str:
        # 9.2 without quotes is a number to YAML
        if isinstance(value, bool) or str(value) not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return convert


def matching(pattern: str, what: str) -> Callable[[object], str]:
    """A text of the given form."""
    regex = re.compile(pattern)

    def convert(value: object) -> str:
        if isinstance(value, bool) or not regex.fullmatch(str(value)):
            raise ValueError(f"{value!r} is not {what}")
        return str(value)

    return convert


class Reader:
    """One mapping of the document; every key is taken once, and `done` complains about what nobody took."""

    def __init__(self, data: Mapping[Any, Any], path: tuple[Any, ...], file: str, root: yaml.Node | None) -> None:
        self.data = data
        self.path = path
        self.file = file
        self.root = root
        self.known: list[str] = []

    def error(self, message: str, *keys: Any) -> StackError:
        """A StackError about the value under `keys` of this mapping."""
        path = (*self.path, *keys)
        line = _line(self.root, path)
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
        return StackError(f"{self.file}:{line}: {place}: {message}" if place else f"{self.file}: {message}")

    def take(self, key: str, convert: Callable[[object], T], default: Any = REQUIRED) -> Any:
        """The converted value of `key`; the default (not converted) where the key is absent or null."""
        value = self._value(key, default)
        if value is default:
            return default
        try:
            return convert(value)
        except ValueError as error:
            raise self.error(str(error), key) from error

    def words(self, key: str, convert: Callable[[object], T], default: tuple[T, ...]) -> tuple[T, ...]:
        """A list of single values without duplicates."""
        value: object = self._value(key, default)
        if value is default:
            return default
        if not isinstance(value, list):
            raise self.error(f"a list is expected, not {_kind(value)}", key)
        result: list[T] = []
        for index, item in enumerate(value):
            try:
                result.append(convert(item))
            except ValueError as error:
                raise self.error(str(error), key, index) from error
        return tuple(result)

    def section(self, key: str, default: Any = REQUIRED) -> Reader:
        """A mapping below `key`."""
        return self._reader(self._value(key, default), key)

    def items(self, key: str, default: Any = REQUIRED) -> Iterator[Reader]:
        """The mappings of a list."""
        value = self._value(key, default)
        if not isinstance(value, list):
            raise self.error(f"a list is expected, not {_kind(value)}", key)
        for index, item in enumerate(value):
            yield self._reader(item, key, index)

    def entries(self, key: str, name: Callable[[object], K], default: Any = REQUIRED) -> Iterator[tuple[K, Reader]]:
        """The named mappings below `key`; an entry without a value is an empty mapping."""
        section = self.section(key, default)
        for raw, value in section.data.items():
            try:
                entry = name(raw)
            except ValueError as error:
                raise section.error(str(error), str(raw)) from error
            yield entry, section._reader({} if value is None else value, str(raw))

    def done(self) -> None:
        """Raise for the first key that is not known here."""
        for key in self.data:
            if key not in self.known:
                near = difflib.get_close_matches(str(key), self.known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(self.known))}"
                raise self.error(f"not known; {hint}", key)

    def _value(self, key: str, default: Any) -> Any:
        self.known.append(key)
        value = self.data.get(key)
        if value is not None:
            return value
        if default is REQUIRED:
            raise self.error(f"{key} is missing")
        return default

    def _reader(self, value: Any, *keys: Any) -> Reader:
        if not isinstance(value, Mapping):
            raise self.error(f"a mapping is expected, not {_kind(value)}", *keys)
        return Reader(value, (*self.path, *keys), self.file, self.root)


def repeated_key(node: yaml.Node | None) -> yaml.ScalarNode | None:
    """The first key that stands twice in one mapping: YAML would quietly take the second for both."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    return key
                seen.add(key.value)
            if found := repeated_key(value):
                return found
    elif isinstance(node, yaml.SequenceNode):
        return next((found for item in node.value if (found := repeated_key(item))), None)
    return None


def _line(node: yaml.Node | None, path: tuple[Any, ...]) -> int:
    """The line of the deepest part of `path` that the document has, counted from 1."""
    line = 1
    for key in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        elif isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(key)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
            continue
        else:
            break
        line = node.start_mark.line + 1
    return line


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return {dict: "a mapping", list: "a list", bool: "true or false", int: "a number", float: "a number"}.get(
        type(value), "a text"
    )
