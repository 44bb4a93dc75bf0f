# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms of values: how what the user writes and what the server answers are brought to one form, compared and sent.

Private to this collection. The server takes property strings and comma lists and answers with objects, strings in any
order, 0/1 and numbers as text (facts §2, §22.7 to §22.10). ``None`` is "not set" everywhere; so are empty
texts and lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ._pure.lists import format_node_list, natural_sorted, parse_node_list, split_list


@dataclass(frozen=True)
class Form:
    """One form. ``normalise`` takes what the user wrote or the server said; both raise ``ValueError``."""

    normalise: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    type: str
    elements: str | None = None


def _text(value: Any) -> str | None:
    # the server adds a line feed to descriptions (observed)
    return str(value).rstrip("\n") or None


def _integer(value: Any) -> int:
    return int(value)


def _number(value: Any) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() else number


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("0", "1", "true", "false", "yes", "no", "on", "off"):
        raise ValueError(f"'{value}' is neither yes nor no")
    return text in ("1", "true", "yes", "on")


def _set(value: Any) -> list[str] | None:
    items = split_list(value) if isinstance(value, str) else [str(item) for item in value]
    return natural_sorted(set(items)) or None


def _node_priorities(value: Any) -> dict[str, int] | None:
    nodes = parse_node_list(value) if isinstance(value, str) else {str(k): int(v or 0) for k, v in value.items()}
    return {name: nodes[name] for name in natural_sorted(nodes)} or None


def plain_text(value: Any) -> str:
    """A single setting as the API writes it: booleans as 1 and 0, whole numbers without a point."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def split_properties(value: str, default_key: str = "") -> dict[str, str]:
    """Take ``k=v,k=v`` apart without a schema; a part without ``=`` belongs to ``default_key``."""
    properties = {}
    for part in value.split(","):
        if part.strip():
            key, equals, text = part.strip().partition("=")
            properties[key if equals else default_key] = text if equals else key
    return properties


def join_properties(values: Mapping[str, Any], default_key: str = "") -> str:
    """Write ``k=v,k=v``, the default key first, the others by name; None is left out."""
    keys = sorted((key for key in values if values[key] is not None), key=lambda key: (key != default_key, key))
    return ",".join(f"{key}={plain_text(values[key])}" if key else plain_text(values[key]) for key in keys)


def properties_form(default_key: str = "", *, hyphens: bool = False) -> Form:
    """Several settings in one parameter, those of None left out. With ``hyphens``, keys may have underscores."""

    def normalise(value: Any) -> dict[str, str] | None:
        pairs = split_properties(value, default_key) if isinstance(value, str) else value
        if hyphens:
            pairs = {key.replace("_", "-"): pairs[key] for key in pairs}
        return {key: plain_text(pairs[key]) for key in sorted(pairs) if pairs[key] is not None} or None

    return Form(normalise, lambda value: join_properties(value, default_key), "dict")


TEXT = Form(_text, str, "str")
INTEGER = Form(_integer, int, "int")
NUMBER = Form(_number, plain_text, "float")
BOOLEAN = Form(_boolean, int, "bool")
SET = Form(_set, ",".join, "list", "str")
NODE_PRIORITIES = Form(_node_priorities, format_node_list, "dict")
PROPERTIES = properties_form()
ANY = Form(lambda value: value, lambda value: value, "raw")
