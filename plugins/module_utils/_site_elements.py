# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The elements of list variables, as the cross-checks look at them. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Element = Mapping[str, Any]

NAMES = (
    *("id", "name", "storage", "tokenid", "userid", "groupid", "roleid", "realm", "poolid"),
    *("path", "ns"),
)


def present(variables: Mapping[str, Any], name: str) -> list[tuple[str, Element]]:
    """The elements that are to be there, each with its place."""
    return [
        (f"{name}[{index}] ({called(element)})", element)
        for index, element in enumerate(variables.get(name) or [])
        if element.get("state") not in ("absent", "ignore")
    ]


def called(element: Element) -> str:
    """What an element is called."""
    return str(next((element[name] for name in NAMES if element.get(name) is not None), ""))


def names_in(variables: Mapping[str, Any], variable: str, field: str) -> set[str] | None:
    """What a variable says there is, those included that others look after; None if it is left alone."""
    if variables.get(variable) is None:
        return None
    return {str(element[field]) for element in variables[variable] if element.get("state") != "absent"}


def listed(names: set[str]) -> str:
    """Names in a sentence."""
    return ", ".join(sorted(names)) or "none"
