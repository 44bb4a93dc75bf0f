# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is sent, a parameter's check ends in a value of the declared type or in the server's words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentstack.api.dialect import PBS, PVE, Dialect
from agentstack.api.formats import NESTED, check_format
from agentstack.api.parameters import validate
from agentstack.api.tables import BASES, Method, load
from agentstack.errors import ParameterError

DIALECTS = {"pve9": PVE, "pve8": PVE, "pbs4": PBS}

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

SEPARATORS = ",;:=@!/.- \n\0%{}[]()'\""
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=SEPARATORS + "abkv019", max_size=30),
    st.integers(-(10**9), 10**9).map(str),
    st.sampled_from(["9" * 5000, "1e999", "-0", "0x10", "٣", "nan", "1_000", "+1", ".", "", " 1", "true", "²"]),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


def _methods(release: str) -> list[Method]:
    return [method for verbs in load(release).values() for method in verbs.values() if method.params or method.indexed]


@pytest.mark.parametrize("release", BASES)
@quick
@given(st.data())
def test_any_value_of_any_parameter(release: str, data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(_methods(release)))
    names = [*method.params, *(f"{stem}{number}" for stem in method.indexed for number in ("0", "07", "²"))]
    given_values = data.draw(st.dictionaries(st.sampled_from([*names, "nosuch"]), VALUES, max_size=4))
    _check(DIALECTS[release], method, given_values)


def _check(dialect: Dialect, method: Method, given_values: dict[str, Any]) -> None:
    refusal: ParameterError | None = None
    found: dict[str, Any] = {}
    try:
        found = validate(method, given_values, dialect.words)
    except ParameterError as error:
        refusal = error
    assert refusal is None or (refusal.errors and all(refusal.errors.values()))
    for name, value in found.items():
        kind = (method.param(name) or {}).get("type")
        if kind == "boolean":
            assert value in (0, 1)
        elif kind == "integer":
            assert isinstance(value, int)
        elif kind == "number":
            assert math.isfinite(value)


def _formats() -> Iterator[str]:
    yield from NESTED
    yield from (f"{name}-list" for name in NESTED)


@quick
@given(st.sampled_from(list(_formats())), TEXTS)
def test_a_format_says_no_with_a_value_error(name: str, text: str) -> None:
    refusal: ValueError | None = None
    try:
        check_format(name, text, "p")
    except ValueError as error:
        refusal = error
    assert refusal is None or str(refusal)
