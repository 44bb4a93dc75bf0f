# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/options: datacenter.cfg, strings in and objects out (facts §8; observed: calls, files)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack._shared.property_string import default_key, parse_property_string
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.tables import load
from agentstack.cluster.datacenter import FILE, format_options, read_options

if TYPE_CHECKING:
    from agentstack.cluster.files import ClusterFiles

LOCK = "file-datacenter_cfg"

DEFAULTS = {"mac_prefix": "BC:24:11"}
STAY_TEXT = ("bwlimit",)
"""Property strings that are answered as they are stored."""


def parsed_options(files: ClusterFiles) -> dict[str, Any]:
    """The options with property strings as objects, in the types of their schema."""
    declared = load("pve9")["/cluster/options"]["PUT"].params
    found: dict[str, Any] = {}
    for name, text in read_options(files).items():
        param = declared.get(name, {})
        schema = param.get("format")
        if isinstance(schema, Mapping) and name not in STAY_TEXT:
            found[name] = {
                key: int(value) if isinstance(value, bool) else value
                for key, value in parse_property_string(text, schema, path=name).items()
            }
        elif name == "registered-tags":
            found[name] = split_list(text)
        elif param.get("type") in ("integer", "boolean"):
            found[name] = int(text)
        else:
            found[name] = text
    return found


@pve("GET", "/cluster/options")
async def get_options(call: Call) -> Json:
    found = parsed_options(call.host.files)
    if not call.host.access.may(call.identity, "/", ["Sys.Audit"]):
        # everybody may know what a user interface needs
        shown = ("console", "tag-style", "user-tag-access", "allowed-tags")
        return {key: value for key, value in {**found, "allowed-tags": _allowed_tags(found)}.items() if key in shown}
    return {**DEFAULTS, "description": "", **found, "allowed-tags": _allowed_tags(found)}


def _allowed_tags(found: Mapping[str, Any]) -> list[str]:
    listed = split_list(found.get("user-tag-access", {}).get("user-allow-list"))
    return sorted({*listed, *found.get("registered-tags", ())})


@pve("PUT", "/cluster/options")
async def set_options(call: Call) -> Json:
    given = dict(call.params)
    unset = split_list(given.pop("delete", ""))
    declared = load("pve9")["/cluster/options"]["PUT"].params
    async with call.host.files.lock(LOCK):
        options = read_options(call.host.files)
        for name in unset:
            options.pop(name, None)
        for name, value in given.items():
            options[name] = _stored(str(value), declared[name].get("format"))
        await call.host.files.write(FILE, format_options(options))
    return None


def _stored(text: str, schema: Any) -> str:
    """A property string with its default key written out: `secure` is stored as `type=secure`."""
    default = default_key(schema) if isinstance(schema, Mapping) else None
    if default is None:
        return text
    return ",".join(part if "=" in part else f"{default}={part}" for part in text.split(","))
