# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that are given in layers: for all, for a group, for a host. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._errors import InputError
from ._site_types import option_of

MARK = "__"
LAST = "host"


def layers_of(name: str, names: Sequence[str]) -> list[str]:
    """The names of a variable's layers in the order in which they count: its own, others by name, that of the host."""
    suffixes = sorted(
        (other.partition(MARK)[2] for other in names if other.startswith(f"{name}{MARK}")),
        key=lambda suffix: (suffix == LAST, suffix),
    )
    return [*([name] if name in names else []), *(f"{name}{MARK}{suffix}" for suffix in suffixes)]


def merge(name: str, values: Mapping[str, Any]) -> Any:
    """One value of all layers (by the names that :func:`layers_of` gives); those of ``None`` say nothing.

    Mappings are merged deeply, elements of lists by what the objects are known by: a later one changes the settings
    that it names of an earlier one (``state: absent`` or ``ignore`` among them), or comes after it. Raises
    :class:`InputError` for layers that are not alike.
    """
    given = {layer: value for layer, value in values.items() if value is not None}
    if not given:
        return None
    if all(isinstance(value, Mapping) for value in given.values()):
        merged: dict[str, Any] = {}
        for value in given.values():
            merged = _combined(merged, value)
        return merged
    wrong = [layer for layer, value in given.items() if not isinstance(value, list)]
    if wrong:
        raise InputError("the layers of a variable are all lists, or all mappings", where=", ".join(wrong))
    keys = _keys(name)
    result: list[Any] = []
    for layer, elements in given.items():
        before = list(result)
        for index, element in enumerate(elements):
            if not isinstance(element, Mapping):
                result += [element] if element not in result else []
                continue
            same = [each for each in before if keys and _key(each, keys) == _key(element, keys)]
            if len(same) > 1:
                raise InputError(
                    f"which of the {len(same)} elements of the layers before it is meant?", where=f"{layer}[{index}]"
                )
            if same:
                result[result.index(same[0])] = {**_plain_names(same[0], keys), **_plain_names(element, keys)}
            else:
                result.append(element)
    return result


def _keys(name: str) -> dict[str, str]:
    """What elements are known by: option by option or alias."""
    options = option_of(name).get("options") or {}
    return {
        alias: option
        for option, words in options.items()
        if words.get("required")
        for alias in (option, *words.get("aliases", ()))
    }


def _plain_names(element: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    return {keys.get(name, name): value for name, value in element.items()}


def _key(element: Mapping[str, Any], keys: Mapping[str, str]) -> tuple[str, ...]:
    plain = _plain_names(element, keys)
    return tuple(str(plain.get(option)) for option in sorted(set(keys.values())))


def _combined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for key, value in other.items():
        has = merged.get(key)
        merged[key] = _combined(has, value) if isinstance(has, Mapping) and isinstance(value, Mapping) else value
    return merged
