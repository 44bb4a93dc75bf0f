# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Property strings, ``k=v,k=v``: several values in one parameter (facts §2).

A schema is a mapping of key to JSON-schema-like property, in the form of the published API schema: ``type`` (string,
integer, number, boolean), ``optional``, ``default_key`` (may be given bare), ``enum``, ``minimum``, ``maximum``,
``minLength``, ``maxLength``, ``pattern``, ``format`` (a name), ``requires``, ``alias`` (another name of that key) and
``keyAlias`` (``virtio=MAC`` means ``model=virtio,macaddr=MAC``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

Value: TypeAlias = "str | int | float | bool"
Schema = Mapping[str, Mapping[str, Any]]
Formats = Mapping[str, Callable[[str], object]]

_BOOLEANS = {"1": True, "on": True, "yes": True, "true": True, "0": False, "off": False, "no": False, "false": False}
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_NO_FORMATS: Formats = MappingProxyType({})


class PropertyStringError(ValueError):
    """A property string that does not fit its schema.

    ``str()`` is the detail in the server's words: one line for a fault in the form, or ``format error`` and one line
    ``<path>.<key>: <why>`` for each fault in a value (observed: PUT /cluster/options). Proxmox VE's answer puts
    ``invalid format - `` before it and a line feed after it. ``errors`` holds ``{key: why}``; it is empty for faults in
    the form.
    """

    def __init__(self, detail: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.errors = dict(errors or {})


def parse_boolean(text: str) -> bool:
    """Read a boolean inside a property string: 1/0, on/off, yes/no, true/false in any case; else ``ValueError``."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f"type check ('boolean') failed - got '{text}'") from None


def parse_property_string(
    text: str, schema: Schema, *, path: str = "", formats: Formats = _NO_FORMATS
) -> dict[str, Value]:
    """Parse a property string into ``{key: value}`` with the types of the schema.

    ``path`` is the parameter's name, for the messages. ``formats`` maps names used as ``format`` to functions that
    raise ``ValueError`` for a text that does not fit; other formats are not checked. Defaults are not filled in.
    Raises :class:`PropertyStringError`.
    """
    texts = _split(text, schema)
    values: dict[str, Value] = {}
    errors: dict[str, str] = {}
    for key, prop in schema.items():
        if "alias" in prop:
            continue
        if key not in texts:
            if not prop.get("optional"):
                errors[key] = "property is missing and it is not optional"
            continue
        try:
            values[key] = _check(texts[key], prop, formats)
        except ValueError as error:
            errors[key] = str(error)
    for key in texts:
        required = schema[key].get("requires")
        if required and required not in texts:
            errors[required] = f"missing property required by '{key}'"
    if errors:
        prefix = f"{path}." if path else ""
        lines = [f"{prefix}{key}: {errors[key]}" for key in sorted(errors)]
        raise PropertyStringError("\n".join(["format error", *lines]), errors)
    return values


def format_property_string(values: Mapping[str, Value | None], schema: Schema, *, bare_default: bool = True) -> str:
    """Write ``{key: value}`` as a property string: the default key first, the others by name; ``None`` is left out.

    With ``bare_default`` the default key's value stands alone (``10.0.0.1,priority=5``). Booleans become 1 and 0.
    Raises :class:`PropertyStringError` for keys that the schema lacks and values that would break the form.
    """
    default = default_key(schema)
    parts: list[str] = []
    for key in sorted(values, key=lambda name: (name != default, name)):
        value = values[key]
        if value is None:
            continue
        if key not in schema:
            raise PropertyStringError(f"invalid key in comma-separated list property: {key}")
        text = str(int(value)) if isinstance(value, bool) else str(value)
        bare = bare_default and key == default and "=" not in text
        if "," in text or not text.strip():
            raise PropertyStringError("format error", {key: f"value '{text}' cannot stand in a property string"})
        parts.append(text if bare else f"{key}={text}")
    return ",".join(parts)


def default_key(schema: Schema) -> str | None:
    """Name of the key whose value may be given bare, if the schema has one."""
    return next((key for key, prop in schema.items() if prop.get("default_key")), None)


def _split(text: str, schema: Schema) -> dict[str, str]:
    texts: dict[str, str] = {}

    def put(key: str, value: str) -> None:
        if key in texts:
            raise PropertyStringError(f"duplicate key in comma-separated list property: {key}")
        texts[key] = value

    for part in text.split(","):
        part = part.strip()
        if not part:
            continue
        key, equals, value = part.partition("=")
        if not equals:
            default = default_key(schema)
            if default is None:
                raise PropertyStringError("value without key, but schema does not define a default key")
            put(default, part)
        elif not key or not value:
            raise PropertyStringError("missing key in comma-separated list property")
        elif key not in schema:
            raise PropertyStringError(f"invalid key in comma-separated list property: {key}")
        else:
            prop = schema[key]
            if "keyAlias" in prop:
                put(prop["keyAlias"], key)
            put(prop.get("alias", key), value)
    return texts


def _check(text: str, prop: Mapping[str, Any], formats: Formats) -> Value:
    """Convert and check one value; the first fault wins, in the order of facts §1.3."""
    value = _convert(text, prop.get("type", "string"))
    checker = formats.get(prop["format"]) if isinstance(prop.get("format"), str) else None
    if checker is not None:
        try:
            checker(text)
        except ValueError as error:
            raise ValueError(f"invalid format - {error}") from error
    if "pattern" in prop and re.fullmatch(prop["pattern"], text) is None:
        raise ValueError("value does not match the regex pattern")
    if "maxLength" in prop and len(text) > prop["maxLength"]:
        raise ValueError(f"value may only be {prop['maxLength']} characters long")
    if "minLength" in prop and len(text) < prop["minLength"]:
        raise ValueError(f"value must be at least {prop['minLength']} characters long")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # the schema of `next-id` says max and min
        highest, lowest = prop.get("maximum", prop.get("max")), prop.get("minimum", prop.get("min"))
        if highest is not None and value > highest:
            raise ValueError(f"value must have a maximum value of {highest}")
        if lowest is not None and value < lowest:
            raise ValueError(f"value must have a minimum value of {lowest}")
    if "enum" in prop and value not in prop["enum"]:
        raise ValueError(
            f"value '{text}' does not have a value in the enumeration '{', '.join(map(str, prop['enum']))}'"
        )
    return value


def _convert(text: str, kind: str) -> Value:
    if kind == "boolean":
        return parse_boolean(text)
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "number" and _NUMBER.fullmatch(text):
        return float(text)
    if kind in ("integer", "number"):
        raise ValueError(f"type check ('{kind}') failed - got '{text}'")
    return text
