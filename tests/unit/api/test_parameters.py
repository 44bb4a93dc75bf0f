# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters are judged in the server's words (facts §1.3, §2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.api.dialect import PBS
from agentstack.api.parameters import validate
from agentstack.api.tables import Method, load
from agentstack.errors import ParameterError

MISSING = "property is missing and it is not optional"
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"


def method(**params: dict[str, Any]) -> Method:
    """A method that takes these parameters; `x__n` is the indexed `x[n]`."""
    return Method(
        "POST",
        "/x",
        {name: param for name, param in params.items() if not name.endswith("__n")},
        indexed={name[:-3]: param for name, param in params.items() if name.endswith("__n")},
    )


def errors(declared: Method, **given: Any) -> dict[str, str]:
    with pytest.raises(ParameterError) as caught:
        validate(declared, given)
    return caught.value.errors


@pytest.mark.parametrize(
    ("param", "value", "expected"),
    [
        ({"type": "boolean"}, "1", 1),
        ({"type": "boolean"}, "0", 0),
        ({"type": "boolean"}, True, 1),
        ({"type": "integer"}, "-3", -3),
        ({"type": "integer", "minimum": 1, "maximum": 8}, 8, 8),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "number"}, "10", 10),
        ({"type": "string"}, 7, "7"),
        ({"type": "string", "enum": ["a", "b"]}, "b", "b"),
        ({"type": "string", "pattern": r"\d+"}, "12", "12"),
        ({"type": "string", "format": "pve-node-list"}, ["pve1", "pve2"], "pve1,pve2"),
        ({"type": "array", "items": {"type": "integer"}}, "5", [5]),
        ({"type": "array", "items": {"type": "string"}}, ["a", "b"], ["a", "b"]),
        ({"type": "string", "format": "email-opt"}, "", ""),
    ],
)
def test_accepted(param: dict[str, Any], value: Any, expected: Any) -> None:
    found = validate(method(x=param), {"x": value})["x"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("param", "value", "why"),
    [
        ({"type": "boolean"}, "true", "type check ('boolean') failed - got 'true'"),
        ({"type": "boolean"}, "", "type check ('boolean') failed - got ''"),
        ({"type": "integer"}, "1.5", "type check ('integer') failed - got '1.5'"),
        ({"type": "integer", "minimum": 100}, "5", "value must have a minimum value of 100"),
        ({"type": "integer", "maximum": 8}, "9", "value must have a maximum value of 8"),
        ({"type": "string", "maxLength": 2}, "abc", "value may only be 2 characters long"),
        ({"type": "string", "minLength": 8}, "abc", "value must be at least 8 characters long"),
        ({"type": "string", "pattern": r"\d"}, "12", "value does not match the regex pattern"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "value 'c' does not have a value in the enumeration 'a, b'"),
        # the first fault wins, enum comes last
        ({"type": "string", "enum": ["abc"], "maxLength": 2}, "abd", "value may only be 2 characters long"),
        ({"type": "string", "format": "pve-configid"}, "z", "invalid format - invalid configuration ID 'z'\n"),
        (
            {"type": "string", "format": "pve-storage-id"},
            "x y",
            "invalid format - storage ID 'x y' contains illegal characters\n",
        ),
        (
            {"type": "string", "format": "pve-ha-resource-or-vm-id"},
            "100x",
            "invalid format - value does not look like a valid ha resource id\n",
        ),
        (
            {"type": "string", "format": "pve-replication-job-id"},
            "bad",
            "invalid format - invalid replication job id 'bad'\n",
        ),
        (
            {"type": "string", "format": "pve-calendar-event"},
            "bogus!!",
            "invalid format - invalid calendar event 'bogus!!' - unable to parse calendar event\n\n",
        ),
    ],
)
def test_refused(param: dict[str, Any], value: str, why: str) -> None:
    assert errors(method(x=param), x=value) == {"x": why}


def test_missing_unknown_and_required() -> None:
    declared = method(
        x={"type": "string"},
        y={"type": "string", "optional": 1, "requires": "z"},
        z={"type": "string", "optional": 1},
    )
    assert errors(declared, y="1", bogus="1") == {
        "x": MISSING,
        "z": "missing property required by 'y'",
        "bogus": UNKNOWN,
    }


def test_several_faults_of_one_parameter_are_joined_by_a_literal_backslash_n() -> None:
    declared = method(x={"type": "string"}, y={"type": "string", "requires": "x"})
    assert errors(declared, y="1") == {"x": MISSING + r"\nmissing property required by 'y'"}


def test_indexed_names() -> None:
    declared = method(link__n={"type": "string", "optional": 1})
    assert validate(declared, {"link0": "a", "link12": "b"}) == {"link0": "a", "link12": "b"}
    assert errors(declared, link00="a", link="b", linkx="c") == dict.fromkeys(("link00", "link", "linkx"), UNKNOWN)


RULE = load("pve9")["/cluster/options"]["PUT"]


def test_property_strings_name_the_key() -> None:
    """Observed: PUT /cluster/options."""
    assert errors(RULE, ha="shutdown_policy=bogus") == {
        "ha": "invalid format - format error\nha.shutdown_policy: value 'bogus' does not have a value in the "
        "enumeration 'freeze, failover, conditional, migrate'\n"
    }
    assert errors(RULE, ha="bogus") == {
        "ha": "invalid format - value without key, but schema does not define a default key\n"
    }


def test_properties_of_other_types_are_unknown() -> None:
    """Observed: POST /cluster/ha/rules with a wrong type, PUT without one."""
    declared = method(
        type={"type": "string", "enum": ["a", "b"]},
        only_a={"type": "string", "type-property": "type", "instance-types": ["a"]},
        both={"type": "string", "optional": 1, "type-property": "type", "instance-types": ["a", "b"]},
        all={"type": "string", "optional": 1},
    )
    assert validate(declared, {"type": "a", "only_a": "1"}) == {"type": "a", "only_a": "1"}
    assert errors(declared, type="a") == {"only_a": MISSING}
    assert validate(declared, {"type": "b", "all": "1"}) == {"type": "b", "all": "1"}
    assert errors(declared, type="b", only_a="1") == {"only_a": UNKNOWN}
    assert errors(declared, both="1") == {"type": MISSING, "both": UNKNOWN}
    assert set(errors(declared, type="x", both="1", all="1")) == {"type", "both"}


def test_backup_server_words_and_booleans() -> None:
    declared = method(x={"type": "boolean", "optional": 1}, n={"type": "integer", "maximum": 5, "optional": 1})
    assert validate(declared, {"x": "yes"}, PBS.words) == {"x": True}
    with pytest.raises(ParameterError) as caught:
        validate(declared, {"n": "7", "y": ""}, PBS.words)
    assert caught.value.errors == {
        "n": "value must have a maximum value of 5 (got 7)",
        "y": "schema does not allow additional properties.",
    }
    two = PBS.parameter_reply(caught.value)
    assert two is not None
    assert two.message is not None
    assert two.message.startswith("parameter verification failed:\n- ")


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=4)


@given(st.dictionaries(st.sampled_from(["ha", "migration", "bwlimit", "max_workers", "delete", "x", "crs"]), JSON))
def test_anything_is_either_taken_or_explained(given: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    refused: dict[str, str] = {}
    try:
        found = validate(RULE, given)
    except ParameterError as error:
        refused = error.errors
    if refused:
        assert set(refused) <= set(given)
    else:
        assert set(found) == {name for name, value in given.items() if value is not None}


@given(st.text())
def test_a_boolean_is_exactly_0_or_1(text: str) -> None:
    declared = method(x={"type": "boolean"})
    if text in ("0", "1"):
        assert validate(declared, {"x": text}) == {"x": int(text)}
    else:
        assert set(errors(declared, x=text)) == {"x"}
