# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA groups (release 8), read as node-affinity rules, and their migration to rules in release 9 (facts §7.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agentstack._shared.ha_rules import NodeAffinity, parse_nodes
from agentstack.ha.environment import Environment, LogLevel, ResourceConfig

MINIMUM_VERSION = "9.0.0~16"
FIRST_ROUND = 3
RETRY_ROUNDS = 6


def rule_name(group: str) -> str:
    return f"ha-group-{group}"


def _flag(section: Mapping[str, object], key: str) -> bool:
    return str(section.get(key, 0)) in ("1", "true", "True", "yes", "on")


def members(resources: Mapping[str, ResourceConfig], group: str) -> list[str]:
    return sorted(sid for sid, resource in resources.items() if resource.get("group") == group)


def as_rules(
    groups: Mapping[str, Mapping[str, object]], resources: Mapping[str, ResourceConfig]
) -> dict[str, NodeAffinity]:
    """The node-affinity rule that each group in use stands for."""
    rules = {}
    for group, section in groups.items():
        sids = members(resources, group)
        if sids:
            name = rule_name(group)
            nodes = parse_nodes(section.get("nodes", ""))
            rules[name] = NodeAffinity(name, frozenset(sids), nodes, _flag(section, "restricted"))
    return rules


def forbids_failback(groups: Mapping[str, Mapping[str, object]], resource: ResourceConfig) -> bool:
    section = groups.get(resource.get("group", ""))
    return section is not None and _flag(section, "nofailback")


def _order(char: str) -> tuple[int, str]:
    if char == "~":
        return 0, ""
    return (2, char) if char.isalpha() else (3, char)


def version_key(version: str) -> list[Any]:
    """Sort key in Debian's order: ``~`` before the end, the end before anything else, numbers as numbers."""
    key: list[Any] = []
    for text, number in re.findall(r"([^0-9]*)([0-9]*)", version):
        key.append([_order(char) for char in text] + [(1, "")])
        key.append(int(number or 0))
    return key


def new_enough(version: str) -> bool:
    return version_key(version) >= version_key(MINIMUM_VERSION)


class GroupMigration:
    """The active manager's attempts to turn groups.cfg into rules: in its third round, then every sixth."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._wait = FIRST_ROUND

    def round(self, node_states: Mapping[str, str], nodes: Iterable[str]) -> bool:
        """Count one round; True: the groups have been migrated now."""
        groups = self._env.read_groups() if self._env.release >= 9 else {}
        if not groups:
            return False
        self._wait -= 1
        if self._wait > 0:
            return False
        self._wait = RETRY_ROUNDS
        self._log("notice", "start ha group migration...")
        obstacle = self._obstacle(node_states, nodes)
        if obstacle is not None:
            self._log("err", f"abort ha groups migration: {obstacle}")
            self._log("err", "ha groups migration failed")
            self._log("notice", f"retry ha groups migration in {RETRY_ROUNDS} rounds (~ {RETRY_ROUNDS * 10} seconds)")
            return False
        self._migrate(groups)
        return True

    def _obstacle(self, node_states: Mapping[str, str], nodes: Iterable[str]) -> str | None:
        for node in sorted(nodes):
            state = node_states.get(node, "unknown")
            self._log("notice", f"ha groups migration: node '{node}' is in state '{state}'")
            if state != "online":
                return f"node '{node}' is not online"
            lrm = self._env.read_lrm_status(node)
            lrm_state, mode = lrm.get("state", "unknown"), lrm.get("mode", "unknown")
            self._log("notice", f"ha groups migration: lrm '{node}' is in state '{lrm_state}' and mode '{mode}'")
            if mode != "active":
                return f"lrm '{node}' is not in mode 'active'"
            if lrm_state not in ("active", "wait_for_agent_lock"):
                return f"lrm '{node}' is not in state 'active' or 'wait_for_agent_lock'"
            version = self._env.node_version(node)
            if version is None:
                return f"could not retrieve the version of node '{node}'"
            self._log("notice", f"ha groups migration: node '{node}' has version '{version}'")
            if not new_enough(version):
                return f"node '{node}' needs at least pve-manager version '{MINIMUM_VERSION}'"
        return None

    def _migrate(self, groups: Mapping[str, Mapping[str, object]]) -> None:
        resources = self._env.read_resources()
        rules: dict[str, Mapping[str, object]] = dict(self._env.read_rules())
        for name, affinity in as_rules(groups, resources).items():
            group = name.removeprefix(rule_name(""))
            section = groups[group]
            rules[name] = {
                "type": "node-affinity",
                "resources": ",".join(sorted(affinity.resources)),
                "nodes": section.get("nodes", ""),
                "strict": int(affinity.strict),
                "comment": section.get("comment") or f"Generated from HA group '{group}'.",
            }
        self._env.write_rules(rules)
        self._log("notice", "ha groups migration: migration to rules config successful")
        changes: dict[str, dict[str, object]] = {}
        for sid, resource in resources.items():
            if "group" in resource:
                changes[sid] = {"group": None}
                if forbids_failback(groups, resource):
                    changes[sid]["failback"] = 0
        self._env.write_resource_options(changes)
        self._log("notice", "ha groups migration: migration to resources config successful")
        self._env.delete_groups()
        self._log("notice", "ha groups migration: group config deletion successful")
        self._log("notice", "ha groups migration successful")

    def _log(self, level: LogLevel, message: str) -> None:
        self._env.log(level, message)
