# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the variables have the types that the modules will ask for. Private to this collection.

A module checks its own options, but only when its turn comes, when others have done their work already. The types are
those of the modules' argument specs, so that they stand in one place.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

MODULE_OPTIONS = {
    "pve_options": ("cluster_options", "options"),
    "pve_zfs_pools": ("zfs_pools", "pools"),
    "pve_storages": ("storages", "storages"),
    "pve_ceph_osds": ("ceph_osds", "osds"),
    "pve_ceph_pools": ("ceph_pools", "pools"),
    "pve_ceph_crush_buckets": ("ceph_crush", "buckets"),
    "pve_ceph_crush_rules": ("ceph_crush", "rules"),
    "pve_guests": ("guests", "guests"),
    "pve_replication_jobs": ("replication_jobs", "jobs"),
    "pve_ha_affinity": ("ha_rules", "rules"),
    "pve_ha_resources": ("ha_resources", "resources"),
    "pve_backup_storages": ("storages", "storages"),
    "pve_backup_jobs": ("backup_jobs", "jobs"),
    "pbs_datastores": ("pbs_datastores", "datastores"),
    "pbs_namespaces": ("pbs_namespaces", "namespaces"),
    "pbs_users": ("pbs_users", "users"),
    "pbs_tokens": ("pbs_tokens", "tokens"),
    "pbs_acls": ("pbs_acls", "acls"),
    "pbs_prune_jobs": ("pbs_prune_jobs", "jobs"),
    "pbs_verify_jobs": ("pbs_verify_jobs", "jobs"),
    "pbs_remotes": ("pbs_remotes", "remotes"),
    "pbs_sync_jobs": ("pbs_sync_jobs", "jobs"),
}
"""The module and its option that each variable is for."""

OWN: dict[str, dict[str, Any]] = {
    "pve_links": {
        "type": "list",
        "elements": "dict",
        "options": {
            "number": {"type": "int", "required": True},
            "network": {"type": "str"},
            "priority": {"type": "int"},
            "state": {"type": "str", "choices": ["present", "absent"]},
        },
    },
    "pve_witness": {
        "type": "dict",
        "options": {
            "address": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"]},
            "host_key": {"type": "str"},
            "password": {"type": "str"},
            "network": {"type": "str"},
            "force": {"type": "bool"},
            "timeout": {"type": "int"},
        },
    },
    "pve_preflight_severity": {"type": "dict"},
    "pve_load_max": {"type": "int"},
    "pve_network_min_speed": {"type": "int"},
    "pve_ceph": {
        "type": "dict",
        "options": {
            "release": {"type": "str", "required": True},
            "repository": {"type": "str", "choices": ["enterprise", "no-subscription", "test"]},
            "network": {"type": "str", "required": True},
            "cluster_network": {"type": "str"},
            "timeout": {"type": "int"},
            "stretch": {
                "type": "dict",
                "options": {
                    "tiebreaker": {"type": "str", "required": True},
                    "type": {"type": "str"},
                    "rule": {"type": "str"},
                },
            },
            "accept_site_loss": {"type": "bool"},
            "allow_data_movement": {"type": "bool"},
        },
    },
    "pve_ceph_flags": {"type": "dict"},
    "pve_backup_now": {
        "type": "dict",
        "options": {
            "storage": {"type": "str", "required": True},
            "guests": {"type": "list", "elements": "int"},
            "exclude": {"type": "list", "elements": "int"},
            "max_age": {"type": "str"},
            "syncs": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "host": {"type": "str", "required": True},
                    "job": {"type": "str", "required": True},
                },
            },
            "timeout": {"type": "int"},
        },
    },
    "pve_ceph_nodes": {"type": "list", "elements": "str"},
    "pve_ceph_monitors": {"type": "list", "elements": "str"},
    "pve_ceph_managers": {"type": "list", "elements": "str"},
    "pve_ceph_tolerate": {"type": "list", "elements": "str"},
}
"""Variables that no module takes as they are."""


def type_problems(name: str, value: Any) -> list[str]:
    """What an argument spec finds wrong with the variable `name`, element by element; other names are fine."""
    spec = _spec(name)
    if spec is None:
        return []
    if spec["type"] != "list":
        return _errors(spec, value, name)
    if not isinstance(value, list):
        return [f"{name}: must be a list, is {kind(value)}."]
    found = []
    for index, element in enumerate(value):
        if spec.get("elements") == "str":
            if not isinstance(element, str):
                found.append(f"{name}[{index}]: must be text, is {kind(element)}.")
        elif isinstance(element, Mapping):
            found += _errors(spec, [element], f"{name}[{index}]{_called(element)}")
        else:
            found.append(f"{name}[{index}]: must be a mapping, is {kind(element)}.")
    return found


def kind(value: Any) -> str:
    """What a value is, in the words of people who write inventories."""
    names = {bool: "true or false", str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return next((text for known, text in names.items() if isinstance(value, known)), type(value).__name__)


def _spec(name: str) -> dict[str, Any] | None:
    if name in OWN:
        return OWN[name]
    if name not in MODULE_OPTIONS:
        return None
    module, option = MODULE_OPTIONS[name]
    file = importlib.import_module(f"ansible_collections.quorate.pve.plugins.modules.{module}")
    spec: dict[str, Any] = file.ARGUMENT_SPEC[option]
    return spec


def _errors(spec: dict[str, Any], value: Any, where: str) -> list[str]:
    result = ArgumentSpecValidator({"value": spec}).validate({"value": value})
    return [f"{where}: {_plain(text)}" for text in result.error_messages]


def _plain(text: str) -> str:
    """The validator's words without the name of its own dictionary."""
    text = re.sub(r"^value\.(\S+)\. Supported parameters include: (.*)$", r"\1 is not known here; known are \2", text)
    text = re.sub(r" found in '?value'?(?: -> '?(\w+)'?)?", lambda match: f" in {match[1]}" if match[1] else "", text)
    text = re.sub(r"\.? and we were unable to convert to (\w+): ", r" and cannot be converted to \1: ", text)
    return text.rstrip(".") + "."


def _called(element: Mapping[str, Any]) -> str:
    names = ("vmid", "name", "storage", "sid", "guest", "number", "id", "userid", "tokenid", "path", "ns")
    return next((f" ({element[name]})" for name in names if element.get(name) is not None), "")
