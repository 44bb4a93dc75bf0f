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
    "pve_users": ("users", "users"),
    "pve_groups": ("groups", "groups"),
    "pve_roles": ("roles", "roles"),
    "pve_realms": ("realms", "realms"),
    "pve_realm_sync_jobs": ("realm_sync_jobs", "jobs"),
    "pve_api_tokens": ("api_tokens", "tokens"),
    "pve_acls": ("acls", "acls"),
    "pve_pools": ("pools", "pools"),
    "pve_notification_endpoints": ("notification_endpoints", "endpoints"),
    "pve_notification_matchers": ("notification_matchers", "matchers"),
    "pve_metric_servers": ("metric_servers", "servers"),
    "pve_backup_storages": ("storages", "storages"),
    "pve_backup_jobs": ("backup_jobs", "jobs"),
    "pve_repositories": ("node_repositories", "repositories"),
    "pve_subscriptions": ("node_subscription", "subscriptions"),
    "pve_dns": ("node_dns", "dns"),
    "pve_hosts_entries": ("node_hosts", "hosts"),
    "pve_time_zones": ("node_time", "times"),
    "pve_systems": ("node_system", "systems"),
    "pve_network_interfaces": ("node_network", "interfaces"),
    "pve_certificates": ("node_certificates", "certificates"),
    "pve_acme_accounts": ("acme_accounts", "accounts"),
    "pve_acme_plugins": ("acme_plugins", "plugins"),
    "pve_acme_domains": ("acme_domains", "domains"),
    "pve_acme_certificates": ("acme_certificates", "certificates"),
    "pve_firewall_aliases": ("firewall_aliases", "aliases"),
    "pve_ip_sets": ("ip_sets", "sets"),
    "pve_security_groups": ("security_groups", "groups"),
    "pve_firewall_rules": ("firewall_rules", "rules"),
    "pve_firewalls": ("firewall_options", "firewalls"),
    "pbs_datastores": ("pbs_datastores", "datastores"),
    "pbs_namespaces": ("pbs_namespaces", "namespaces"),
    "pbs_users": ("pbs_users", "users"),
    "pbs_tokens": ("pbs_tokens", "tokens"),
    "pbs_acls": ("pbs_acls", "acls"),
    "pbs_prune_jobs": ("pbs_prune_jobs", "jobs"),
    "pbs_verify_jobs": ("pbs_verify_jobs", "jobs"),
    "pbs_remotes": ("pbs_remotes", "remotes"),
    "pbs_sync_jobs": ("pbs_sync_jobs", "jobs"),
    "pbs_notification_endpoints": ("pbs_notification_endpoints", "endpoints"),
    "pbs_notification_matchers": ("pbs_notification_matchers", "matchers"),
    "pbs_traffic_controls": ("pbs_traffic_controls", "rules"),
}
"""The module and its option that each variable is for."""

AREAS = (
    *("base", "backup_server", "cluster", "witness", "options", "zfs", "ceph", "storage", "guests", "access"),
    *("notifications", "replication", "ha", "backup", "firewall", "acme"),
)
"""What ``pve_safety.manage`` may name: the roles of the site that change something."""

OWN: dict[str, dict[str, Any]] = {
    "pve_safety": {
        "type": "dict",
        "options": {
            "manage": {"type": "list", "elements": "str", "choices": list(AREAS)},
            "max_changes": {"type": "str"},
            "lock": {"type": "bool"},
            "lease": {"type": "int"},
            "restore_points": {"type": "int"},
            "audit": {"type": "bool"},
        },
    },
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
    "pve_maintenance": {
        "type": "dict",
        "options": {
            "others": {"type": "str", "choices": ["migrate", "shutdown", "leave"]},
            "guests": {"type": "dict"},
            "ceph_noout": {"type": "bool"},
            "on_failure": {"type": "str", "choices": ["put_back", "stay"]},
            "timeout": {"type": "int"},
            "shutdown_timeout": {"type": "int"},
            "rest_timeout": {"type": "int"},
        },
    },
    "pve_upgrade": {"type": "dict", "options": {"timeout": {"type": "int"}, "rest_timeout": {"type": "int"}}},
    "pve_shutdown": {
        "type": "dict",
        "options": {
            "stubborn": {"type": "str", "choices": ["stop", "leave"]},
            "guests": {"type": "dict"},
            "guest_timeout": {"type": "int"},
            "timeout": {"type": "int"},
            "rest_timeout": {"type": "int"},
        },
    },
    "pve_startup": {"type": "dict", "options": {"timeout": {"type": "int"}, "rest_timeout": {"type": "int"}}},
    "pve_power": {
        "type": "dict",
        "options": {
            **{action: {"type": "list", "elements": "str"} for action in ("on", "off", "cycle", "status")},
            "ipmi": {"type": "dict"},
        },
    },
    "pve_preflight_severity": {"type": "dict"},
    "pve_ha_services_known": {"type": "list", "elements": "raw"},
    "pve_report_backup_servers": {"type": "list", "elements": "str"},
    "pve_preflight_measure": {"type": "bool"},
    "pve_update_secrets": {"type": "bool"},
    "pbs_update_secrets": {"type": "bool"},
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
    "pve_ceph_replace_lost": {"type": "bool"},
    "pve_replication_wait": {"type": "bool"},
    "pve_network_rollback_after": {"type": "int"},
    "pve_network_allow_address_change": {"type": "bool"},
    "pve_firewall_rollback_after": {"type": "int"},
    "pve_backup_classes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "schedule": {"type": "str", "required": True},
            "storage": {"type": "str", "required": True},
            "guests": {"type": "list", "elements": "int"},
            "pool": {"type": "str"},
            "tags": {"type": "list", "elements": "str"},
            "all": {"type": "bool"},
            "max_age": {"type": "str"},
            "job": {"type": "dict"},
        },
    },
    "pve_backup_token_may_prune": {"type": "bool"},
    "pve_backup_window": {
        "type": "dict",
        "options": {
            "rate": {"type": "str", "required": True},
            "window": {"type": "str", "required": True},
            "changed": {"type": "str"},
        },
    },
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


def option_of(name: str) -> dict[str, Any]:
    """The argument spec of a variable; an empty one if there is none."""
    return _spec(name) or {}


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
    names = (
        *("vmid", "name", "storage", "sid", "guest", "number", "id", "userid", "tokenid", "path", "ns"),
        *("groupid", "roleid", "realm", "poolid"),
    )
    return next((f" ({element[name]})" for name in names if element.get(name) is not None), "")
