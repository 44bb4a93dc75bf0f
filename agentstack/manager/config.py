# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA resources, rules and groups as the API keeps them in /etc/pve/ha (facts §7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack._shared.ha_rule_checks import check_rules
from agentstack._shared.lists import natural_sorted, parse_node_list, split_list
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests.config import BY_SERVICE
from agentstack.sections import Entry, SectionFile, SectionType, check_digest

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "no_guest": "resource '{sid}' does not exist in cluster",
    "wrong_type": "guest with ID {vmid} is not a {label}",
    "no_sid": "unable to detect SID from VMID - VM/CT {vmid} does not exist",
    "defined": "resource ID '{sid}' already defined",
    "missing": "no such resource '{sid}'",
    "unmanaged": "cannot delete service '{sid}', not HA managed!",
    "in_error": "service '{sid}' in error state, must be disabled and fixed first",
    "migrated": "ha groups have been migrated to rules",
    "group_parameter": "invalid parameter 'group': {why}",
    "no_group": "HA group '{group}' does not exist",
    "group_defined": "ha group ID '{group}' already defined",
    "group_missing": "no such ha group '{group}'",
    "group_used": "ha group is used by service '{sid}'",
    "rule_defined": "HA rule '{rule}' already defined",
    "rule_missing": "no such ha rule '{rule}'",
    "rule_missing_write": "HA rule '{rule}' does not exist",
    "rule_type": "unexpected property 'type'",
    "rule_invalid": "400 Rule '{rule}' is invalid.\n{details}",
    "unmigrated": "cannot create ha rule: ha groups have not been migrated yet",
    "unmanaged_resources": "cannot use unmanaged resource(s) {names}.",
    "unknown_nodes": "cannot use non-existent node(s) {names}.",
}

LOCK = "domain-ha"

_RESOURCE = SectionType(
    optional=frozenset({"state", "max_restart", "max_relocate", "comment", "failback", "group", "auto-rebalance"})
)
RESOURCES_CFG = SectionFile(
    "ha/resources.cfg",
    LOCK,
    {"vm": _RESOURCE, "ct": _RESOURCE},
    {"max_restart": "integer", "max_relocate": "integer", "failback": "boolean", "auto-rebalance": "boolean"},
    joined=True,
)
RULES_CFG = SectionFile(
    "ha/rules.cfg",
    LOCK,
    {
        "node-affinity": SectionType(("nodes", "resources"), frozenset(), frozenset({"strict", "disable", "comment"})),
        "resource-affinity": SectionType(("affinity", "resources"), frozenset(), frozenset({"disable", "comment"})),
    },
    {"strict": "boolean"},
)
GROUPS_CFG = SectionFile(
    "ha/groups.cfg",
    LOCK,
    {"group": SectionType(("nodes",), frozenset(), frozenset({"restricted", "nofailback", "comment"}))},
    {"restricted": "boolean", "nofailback": "boolean"},
)


def has_rules(host: Host) -> bool:
    """Tell whether the release knows rules (9) or only groups (8)."""
    return not host.release.startswith("8.")


def groups_are_migrated(host: Host) -> bool:
    """Groups are gone for good: in release 9 as soon as there is none (facts §7.1)."""
    return has_rules(host) and not GROUPS_CFG.read(host)[0]


def sid_of(host: Host, text: str) -> str:
    """The service id for `vm:100` or a bare guest number. Raises AgentError for a number without guest."""
    if not text.isdigit():
        return text
    place = configs.place(host, int(text))
    if place is None:
        raise AgentError(TEXTS["no_sid"].format(vmid=text))
    return f"{place.kind.service}:{text}"


def _check_guest(host: Host, sid: str) -> None:
    service, _, vmid = sid.partition(":")
    place = configs.place(host, int(vmid)) if vmid.isdigit() else None
    if place is None:
        raise AgentError(TEXTS["no_guest"].format(sid=sid))
    if place.kind.service != service:
        raise AgentError(TEXTS["wrong_type"].format(vmid=vmid, label=BY_SERVICE[service].label))


def _check_group(host: Host, values: Mapping[str, Any]) -> None:
    if "group" not in values:
        return
    if groups_are_migrated(host):
        raise AgentError(TEXTS["group_parameter"].format(why=TEXTS["migrated"]))
    if values["group"] not in GROUPS_CFG.read(host)[0]:
        raise AgentError(TEXTS["no_group"].format(group=values["group"]))


def _normalized(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: "started" if (key, value) == ("state", "enabled") else value for key, value in values.items()}


# ---- resources ------------------------------------------------------------------------------------------------------


def resource_answer(entry: Entry, digest: str) -> dict[str, Any]:
    """A resource as the API gives it: only what is set."""
    return entry.values | {"sid": entry.id, "type": entry.type, "digest": digest}


async def create_resource(host: Host, text: str, values: Mapping[str, Any]) -> None:
    """Put a guest under HA."""
    host.files.require_quorum()
    sid = sid_of(host, text)
    _check_group(host, values)
    _check_guest(host, sid)
    async with RESOURCES_CFG.locked(host, "create resource failed: "):
        entries, _ = RESOURCES_CFG.read(host)
        if sid in entries:
            raise AgentError(TEXTS["defined"].format(sid=sid))
        entries[sid] = Entry(sid, sid.partition(":")[0], _normalized(values))
        await RESOURCES_CFG.write(host, entries.values())


async def update_resource(
    host: Host, text: str, values: Mapping[str, Any], delete: str | None = None, digest: str | None = None
) -> None:
    """Change a resource."""
    sid = sid_of(host, text)
    _check_group(host, values)
    check_error_state(host, sid, values.get("state"))
    async with RESOURCES_CFG.locked(host, "update resources config failed: "):
        entries, current = RESOURCES_CFG.read(host)
        check_digest(current, digest)
        if sid not in entries:
            raise AgentError(TEXTS["missing"].format(sid=sid))
        RESOURCES_CFG.apply(entries[sid], _normalized(values), delete)
        await RESOURCES_CFG.write(host, entries.values())


def check_error_state(host: Host, sid: str, state: str | None = None) -> None:
    """Refuse anything but disabling for a service in the error state."""
    service = host.manager.manager_status().get("service_status", {}).get(sid, {})
    if service.get("state") == "error" and state != "disabled":
        raise AgentError(TEXTS["in_error"].format(sid=sid))


async def delete_resource(host: Host, text: str, *, purge: bool) -> None:
    """Take a guest out of HA; with `purge` (release 9) out of the rules too."""
    sid = sid_of(host, text)
    if sid not in RESOURCES_CFG.read(host)[0]:
        raise AgentError(TEXTS["unmanaged"].format(sid=sid))
    async with RESOURCES_CFG.locked(host, "delete resource failed: "):
        entries, _ = RESOURCES_CFG.read(host)
        entries.pop(sid, None)
        if purge and has_rules(host):
            await _drop_from_rules(host, sid)
        await RESOURCES_CFG.write(host, entries.values())


async def _drop_from_rules(host: Host, sid: str) -> None:
    rules, _ = RULES_CFG.read(host)
    kept = []
    for entry in rules.values():
        rest = [other for other in split_list(entry.values["resources"]) if other != sid]
        if rest:
            entry.values["resources"] = ",".join(rest)
            kept.append(entry)
    if len(kept) != len(rules) or any(sid in split_list(rule.values["resources"]) for rule in kept):
        await RULES_CFG.write(host, kept)


# ---- rules ----------------------------------------------------------------------------------------------------------


def rule_sections(entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """The rules as the engine reads them."""
    return {entry.id: {"type": entry.type, **entry.values} for entry in entries.values()}


def rules_answer(host: Host) -> list[dict[str, Any]]:
    """All rules in their order, with what is wrong with each."""
    entries, digest = RULES_CFG.read(host)
    errors = check_rules(rule_sections(entries), _node_names(host))
    rows = []
    for order, entry in enumerate(entries.values(), start=1):
        row = entry.values | {"rule": entry.id, "type": entry.type, "order": order, "digest": digest}
        row["resources"] = ",".join(natural_sorted(split_list(entry.values["resources"])))
        if entry.id in errors:
            row["errors"] = errors[entry.id]
        rows.append(row)
    return rows


def _node_names(host: Host) -> set[str]:
    return {node.name for node in host.cluster.nodes()}


def _check_rule(host: Host, entries: Mapping[str, Entry], rule: Entry) -> None:
    managed = RESOURCES_CFG.read(host)[0]
    unmanaged = [sid for sid in split_list(rule.values["resources"]) if sid not in managed]
    if unmanaged:
        raise AgentError(TEXTS["unmanaged_resources"].format(names=", ".join(unmanaged)))
    if "nodes" in rule.values:
        unknown = [node for node in parse_node_list(rule.values["nodes"]) if node not in _node_names(host)]
        if unknown:
            raise AgentError(TEXTS["unknown_nodes"].format(names=", ".join(unknown)))
    errors = check_rules(rule_sections(entries), _node_names(host)).get(rule.id)
    if errors:
        details = "\n".join(f"{name}: {', '.join(texts)}" for name, texts in sorted(errors.items()))
        raise AgentError(TEXTS["rule_invalid"].format(rule=rule.id, details=details))


async def create_rule(host: Host, ident: str, kind: str, values: Mapping[str, Any]) -> None:
    """Add a rule that can hold."""
    host.files.require_quorum()
    if not groups_are_migrated(host):
        raise AgentError(TEXTS["unmigrated"])
    RULES_CFG.check_create(kind, values)
    async with RULES_CFG.locked(host, "create ha rule failed: "):
        entries, _ = RULES_CFG.read(host)
        if ident in entries:
            raise AgentError(TEXTS["rule_defined"].format(rule=ident))
        entries[ident] = Entry(
            ident, kind, {key: value for key, value in values.items() if (key, value) != ("disable", 0)}
        )
        _check_rule(host, entries, entries[ident])
        await RULES_CFG.write(host, entries.values())


async def update_rule(
    host: Host, ident: str, kind: str, values: Mapping[str, Any], delete: str | None, digest: str | None
) -> None:
    """Change a rule; its type cannot change."""
    async with RULES_CFG.locked(host, "update HA rules failed: "):
        entries, current = RULES_CFG.read(host)
        check_digest(current, digest)
        if ident not in entries:
            raise AgentError(TEXTS["rule_missing_write"].format(rule=ident))
        entry = entries[ident]
        if entry.type != kind:
            raise AgentError(TEXTS["rule_type"])
        RULES_CFG.check_update(kind, values)
        RULES_CFG.apply(entry, values, delete)
        if not entry.values.get("disable"):
            _check_rule(host, entries, entry)
        await RULES_CFG.write(host, entries.values())


async def delete_rule(host: Host, ident: str) -> None:
    """Remove a rule; one that is not there is no error (observed)."""
    async with RULES_CFG.locked(host, "delete ha rule failed: "):
        entries, _ = RULES_CFG.read(host)
        if entries.pop(ident, None):
            await RULES_CFG.write(host, entries.values())


# ---- groups ---------------------------------------------------------------------------------------------------------


def check_groups_exist(host: Host, action: str) -> None:
    """Refuse every call about groups once they have become rules. `action`: "index groups", "create group" …"""
    if groups_are_migrated(host):
        raise AgentError(f"cannot {action}: {TEXTS['migrated']}")


def group_answer(entry: Entry, digest: str) -> dict[str, Any]:
    """A group as the API gives it."""
    return entry.values | {"group": entry.id, "type": entry.type, "digest": digest}


async def create_group(host: Host, ident: str, values: Mapping[str, Any]) -> None:
    """Add a group; whether its nodes exist is not looked at (observed)."""
    async with GROUPS_CFG.locked(host, "create ha group failed: "):
        entries, _ = GROUPS_CFG.read(host)
        if ident in entries:
            raise AgentError(TEXTS["group_defined"].format(group=ident))
        entries[ident] = Entry(ident, "group", dict(values))
        await GROUPS_CFG.write(host, entries.values())


async def update_group(
    host: Host, ident: str, values: Mapping[str, Any], delete: str | None, digest: str | None
) -> None:
    """Change a group."""
    async with GROUPS_CFG.locked(host, "update ha group failed: "):
        entries, current = GROUPS_CFG.read(host)
        check_digest(current, digest)
        if ident not in entries:
            raise AgentError(TEXTS["group_missing"].format(group=ident))
        GROUPS_CFG.apply(entries[ident], values, delete)
        await GROUPS_CFG.write(host, entries.values())


async def delete_group(host: Host, ident: str) -> None:
    """Remove a group that no resource uses; one that is not there is no error (observed)."""
    async with GROUPS_CFG.locked(host, "delete ha group failed: "):
        for resource in RESOURCES_CFG.read(host)[0].values():
            if resource.values.get("group") == ident:
                raise AgentError(TEXTS["group_used"].format(sid=resource.id))
        entries, _ = GROUPS_CFG.read(host)
        if entries.pop(ident, None):
            await GROUPS_CFG.write(host, entries.values())
