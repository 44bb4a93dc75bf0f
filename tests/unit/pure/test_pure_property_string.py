# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack._shared.property_string import (
    PropertyStringError,
    Schema,
    Value,
    format_property_string,
    parse_property_string,
)

HA: Schema = {"shutdown_policy": {"type": "string", "enum": ["freeze", "failover", "conditional", "migrate"]}}
LINK: Schema = {
    "address": {"type": "string", "default_key": 1, "format": "ip"},
    "priority": {"type": "integer", "minimum": 0, "maximum": 255, "optional": True},
}
CRS: Schema = {
    "ha": {"type": "string", "enum": ["basic", "static", "dynamic"], "default_key": 1, "optional": True},
    "ha-rebalance-on-start": {"type": "boolean", "optional": True},
    "ha-auto-rebalance": {"type": "boolean", "optional": True},
    "ha-auto-rebalance-margin": {"type": "number", "optional": True, "requires": "ha-auto-rebalance"},
}
NET: Schema = {
    "model": {"type": "string", "default_key": 1, "enum": ["virtio", "e1000"]},
    "macaddr": {"type": "string", "optional": True, "pattern": "(?:[0-9A-F]{2}:){5}[0-9A-F]{2}"},
    "virtio": {"alias": "macaddr", "keyAlias": "model"},
    "tag": {"type": "integer", "optional": True},
    "note": {"type": "string", "optional": True, "minLength": 2, "maxLength": 4},
}


@pytest.mark.parametrize(
    ("text", "schema", "expected"),
    [
        ("shutdown_policy=migrate", HA, {"shutdown_policy": "migrate"}),
        ("10.0.0.1", LINK, {"address": "10.0.0.1"}),
        ("priority=5,10.0.0.1", LINK, {"address": "10.0.0.1", "priority": 5}),
        (" address=10.0.0.1 , priority=5,", LINK, {"address": "10.0.0.1", "priority": 5}),
        ("ha=static,ha-rebalance-on-start=1", CRS, {"ha": "static", "ha-rebalance-on-start": True}),
        ("ha-rebalance-on-start=Off", CRS, {"ha-rebalance-on-start": False}),
        (
            "ha-auto-rebalance=yes,ha-auto-rebalance-margin=0.5",
            CRS,
            {"ha-auto-rebalance": True, "ha-auto-rebalance-margin": 0.5},
        ),
        ("virtio=BC:24:11:00:00:01,tag=5", NET, {"model": "virtio", "macaddr": "BC:24:11:00:00:01", "tag": 5}),
        ("", CRS, {}),
    ],
)
def test_parse(text: str, schema: Schema, expected: dict[str, Value]) -> None:
    assert parse_property_string(text, schema) == expected


@pytest.mark.parametrize(
    ("text", "schema", "message"),
    [
        ("bogus", HA, "value without key, but schema does not define a default key"),
        (
            "shutdown_policy=bogus",
            HA,
            "format error\nha.shutdown_policy: value 'bogus' does not have a value in the enumeration"
            " 'freeze, failover, conditional, migrate'",
        ),
        ("", HA, "format error\nha.shutdown_policy: property is missing and it is not optional"),
        ("other=1", HA, "invalid key in comma-separated list property: other"),
        ("10.0.0.1,address=10.0.0.2", LINK, "duplicate key in comma-separated list property: address"),
        ("virtio=BC:24:11:00:00:01,model=e1000", NET, "duplicate key in comma-separated list property: model"),
        ("=5", LINK, "missing key in comma-separated list property"),
        ("10.0.0.1,priority=", LINK, "missing key in comma-separated list property"),
        ("10.0.0.1,priority=x", LINK, "format error\nha.priority: type check ('integer') failed - got 'x'"),
        ("10.0.0.1,priority=256", LINK, "format error\nha.priority: value must have a maximum value of 255"),
        ("10.0.0.1,priority=-1", LINK, "format error\nha.priority: value must have a minimum value of 0"),
        (
            "pve1",
            LINK,
            "format error\nha.address: invalid format - 'pve1' does not appear to be an IPv4 or IPv6 address",
        ),
        (
            "ha-rebalance-on-start=2",
            CRS,
            "format error\nha.ha-rebalance-on-start: type check ('boolean') failed - got '2'",
        ),
        (
            "ha-auto-rebalance-margin=5",
            CRS,
            "format error\nha.ha-auto-rebalance: missing property required by 'ha-auto-rebalance-margin'",
        ),
        ("e1000,macaddr=1", NET, "format error\nha.macaddr: value does not match the regex pattern"),
        ("e1000,note=1", NET, "format error\nha.note: value must be at least 2 characters long"),
        ("e1000,note=12345", NET, "format error\nha.note: value may only be 4 characters long"),
        (
            "x,priority=x",
            LINK,
            "format error\nha.address: invalid format - 'x' does not appear to be an IPv4 or IPv6 address"
            "\nha.priority: type check ('integer') failed - got 'x'",
        ),
    ],
)
def test_refused(text: str, schema: Schema, message: str) -> None:
    with pytest.raises(PropertyStringError) as caught:
        parse_property_string(text, schema, path="ha", formats={"ip": ipaddress.ip_address})
    assert str(caught.value) == message


def test_errors_by_key() -> None:
    with pytest.raises(PropertyStringError) as caught:
        parse_property_string("1,priority=x", LINK)
    assert caught.value.errors == {"priority": "type check ('integer') failed - got 'x'"}


def test_format() -> None:
    values: dict[str, Value | None] = {"priority": 5, "address": "10.0.0.1"}
    assert format_property_string(values, LINK) == "10.0.0.1,priority=5"
    assert format_property_string(values, LINK, bare_default=False) == "address=10.0.0.1,priority=5"
    assert format_property_string({"ha-rebalance-on-start": True, "ha": None}, CRS) == "ha-rebalance-on-start=1"


@pytest.mark.parametrize("values", [{"other": "x"}, {"address": "a,b"}, {"address": ""}])
def test_unwritable(values: dict[str, Value]) -> None:
    with pytest.raises(PropertyStringError):
        format_property_string(values, LINK)


TEXT = st.text(string.ascii_letters + string.digits + ".:/-_=", min_size=1, max_size=8)


@given(st.fixed_dictionaries({"model": st.sampled_from(["virtio", "e1000"])}, optional={"tag": st.integers()}))
def test_round_trip(values: dict[str, Value]) -> None:
    assert parse_property_string(format_property_string(values, NET), NET) == values


@given(TEXT, st.none() | st.integers(0, 255))
def test_round_trip_of_any_bare_value(address: str, priority: int | None) -> None:
    values: dict[str, Value] = {"address": address}
    if priority is not None:
        values["priority"] = priority
    assert parse_property_string(format_property_string(values, LINK), LINK) == values
