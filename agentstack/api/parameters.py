# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checking a call's parameters against its declaration, in the server's words and order (facts §1.3, §2)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstack._shared.lists import split_list
from agentstack._shared.property_string import parse_boolean
from agentstack.api.formats import check_format
from agentstack.api.tables import Method, Param
from agentstack.errors import ParameterError

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
LONGEST_NUMBER = 300
"""Digits beyond which a real server has no number either."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Words:
    """How a product says what is wrong with a parameter, and which booleans it takes and hands on."""

    missing: str = "property is missing and it is not optional"
    unknown: str = "property is not defined in schema and the schema does not allow additional properties"
    required: str = "missing property required by '{by}'"
    type: str = "type check ('{type}') failed - got '{got}'"
    pattern: str = "value does not match the regex pattern"
    max_length: str = "value may only be {bound} characters long"
    min_length: str = "value must be at least {bound} characters long"
    maximum: str = "value must have a maximum value of {bound}"
    minimum: str = "value must have a minimum value of {bound}"
    enum: str = "value '{got}' does not have a value in the enumeration '{names}'"
    format: str = "invalid format - {detail}\n"
    # several faults of one parameter are joined by a backslash and an n, not by a line feed
    joint: str = "\\n"
    lenient_booleans: bool = False
    real_booleans: bool = False
    # an array `delete` also takes a list in one text (facts §15)
    joined_delete: bool = True


PVE = Words()


class _Fault(Exception):
    """What is wrong with one value."""


def validate(method: Method, given: Mapping[str, Any], words: Words = PVE) -> dict[str, Any]:
    """The parameters with the types of the declaration; defaults are not filled in.

    `given` holds texts (or lists of them, for repeated keys) or JSON values, by name. Booleans become 0/1, or real
    ones where the product has these. Raises ParameterError with one text a parameter.
    """
    errors: dict[str, list[str]] = {}
    checked: dict[str, Any] = {}
    present = {name: value for name, value in given.items() if value is not None}
    for name, declared in method.params.items():
        if name not in present:
            param = _variant(declared, present)
            if param is not None and not param.get("optional"):
                errors.setdefault(name, []).append(words.missing)
    for name, value in present.items():
        found = method.param(name)
        param = _variant(found, present) if found is not None else None
        if param is None:
            if method.additional and found is None:
                checked[name] = value
            else:
                errors.setdefault(name, []).append(words.unknown)
            continue
        required = param.get("requires")
        if required and required not in present:
            errors.setdefault(required, []).append(words.required.format(by=name))
        try:
            checked.update(_check(name, value, param, words))
        except _Fault as fault:
            errors.setdefault(name, []).append(str(fault))
    if errors:
        raise ParameterError({name: words.joint.join(texts) for name, texts in errors.items()})
    return checked


def _variant(param: Param, given: Mapping[str, Any]) -> Param | None:
    """The declaration as it is for the given object type; None if that type has no such property."""
    variants = param.get("oneOf")
    if variants:
        kind = given.get(param.get("type-property", "type"))
        return next((v for v in variants if kind in v.get("instance-types", (kind,))), None)
    kinds = param.get("instance-types")
    if kinds and given.get(param["type-property"]) not in kinds:
        return None
    return param


def _check(name: str, value: Any, param: Param, words: Words) -> dict[str, Any]:
    form = param.get("format")
    if param.get("type") == "array":
        joined = words.joined_delete and name == "delete" and isinstance(value, str)
        values = value if isinstance(value, list) else split_list(value) if joined else [value]
        items = param.get("items", {"type": "string"})
        return {name: [_scalar(f"{name}[{position}]", item, items, words) for position, item in enumerate(values)]}
    if isinstance(value, list) and isinstance(form, str) and form.endswith("-list"):
        value = ",".join(_text(item) for item in value)
    return {name: _scalar(name, value, param, words)}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(value)


def _scalar(path: str, value: Any, param: Param, words: Words) -> Any:
    """One value in its declared type; the first fault wins (facts §1.3: enum comes last)."""
    kind = param.get("type", "string")
    text = _text(value)
    converted = None if isinstance(value, (list, dict)) else _convert(text, kind, words)
    if converted is None:
        raise _Fault(words.type.format(type=kind, got=text))
    form = param.get("format")
    if isinstance(form, list):
        for position, item in enumerate(split_list(text)):
            _scalar(f"{path}[{position}]", item, form[0], words)
    elif form is not None:
        try:
            check_format(form, text, path)
        except ValueError as error:
            raise _Fault(words.format.format(detail=error)) from error
    pattern = param.get("pattern")
    if pattern is not None and re.fullmatch(pattern, text) is None:
        raise _Fault(words.pattern)
    if len(text) > param.get("maxLength", len(text)):
        raise _Fault(words.max_length.format(bound=param["maxLength"], got=len(text)))
    if len(text) < param.get("minLength", 0):
        raise _Fault(words.min_length.format(bound=param["minLength"], got=len(text)))
    if kind in ("integer", "number"):
        if converted > param.get("maximum", converted):
            raise _Fault(words.maximum.format(bound=param["maximum"], got=text))
        if converted < param.get("minimum", converted):
            raise _Fault(words.minimum.format(bound=param["minimum"], got=text))
    names = param.get("enum")
    if names is not None and text not in map(str, names):
        raise _Fault(words.enum.format(got=text, names=", ".join(map(str, names))))
    return converted


def _convert(text: str, kind: str, words: Words) -> Any:
    """The text in the declared type; None if it is not of that type."""
    if kind == "boolean":
        if words.lenient_booleans:
            try:
                found = parse_boolean(text)
            except ValueError:
                return None
        elif text in ("0", "1"):
            found = text == "1"
        else:
            return None
        return found if words.real_booleans else int(found)
    if kind == "integer":
        return int(text) if _INTEGER.fullmatch(text) and len(text) <= LONGEST_NUMBER else None
    if kind == "number":
        if _NUMBER.fullmatch(text) is None:
            return None
        number = float(text)
        if not math.isfinite(number):
            return None
        return int(number) if number.is_integer() else number
    return text
