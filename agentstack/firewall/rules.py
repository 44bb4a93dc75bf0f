# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a rule makes sense where it is to stand (facts §19)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentstack.errors import AgentError, ParameterError
from agentstack.firewall.config import FirewallConfig, Rule
from agentstack.firewall.formats import WITH_PORTS, check_address
from agentstack.firewall.macros import MACROS
from agentstack.firewall.scopes import Scope

TEXTS = {
    "missing": "property is missing",
    "requires": "missing property - '{name}' requires this property",
    "type": "unknown rule type '{type}'",
    "action": "unknown action '{action}'",
    "group": "security group '{group}' does not exist",
    "macro": "unknown macro '{macro}'",
    "ports": "protocol '{proto}' does not support ports",
    "proto_macro": "macro '{macro}' brings its own protocol",
    "icmp": "protocol '{proto}' does not support ICMP types",
    "iface": "invalid interface name for this object type",
    "alias": "no such alias '{name}'",
    "ipset": "no such ipset '{name}'",
    "mixed": "detected mixed ipv4/ipv6 addresses in source/destination",
    "position": "no rule at position {pos}",
}

ACTIONS = frozenset({"ACCEPT", "DROP", "REJECT"})
_ICMP = frozenset({"icmp", "icmpv6", "ipv6-icmp", "1", "58"})
_GUEST_IFACE = re.compile(r"net\d+")


def clean(values: Mapping[str, Any]) -> Rule:
    """A rule from the parameters of a call; `action` of the three plain ones is stored in capitals."""
    rule = dict(values)
    if str(rule.get("action", "")).upper() in ACTIONS:
        rule["action"] = rule["action"].upper()
    return rule


def check(rule: Rule, scope: Scope, config: FirewallConfig, datacenter: FirewallConfig) -> None:
    """Raise ParameterError with every fault of a rule."""
    errors: dict[str, str] = {}
    kind = rule.get("type")
    if kind is None or rule.get("action") is None:
        errors = {name: TEXTS["missing"] for name in ("type", "action") if rule.get(name) is None}
    elif kind not in scope.directions:
        errors["type"] = TEXTS["type"].format(type=kind)
    elif kind == "group":
        if rule["action"].lower() not in datacenter.groups:
            errors["action"] = TEXTS["group"].format(group=rule["action"])
    elif rule["action"] not in ACTIONS:
        errors["action"] = TEXTS["action"].format(action=rule["action"])
    errors |= _service_faults(rule)
    if rule.get("iface") and scope.name == "guest" and _GUEST_IFACE.fullmatch(rule["iface"]) is None:
        errors["iface"] = TEXTS["iface"]
    errors |= _address_faults(rule, config, datacenter)
    if errors:
        raise ParameterError(errors)


def _service_faults(rule: Rule) -> dict[str, str]:
    errors: dict[str, str] = {}
    proto = str(rule.get("proto", "")).lower()
    if (macro := rule.get("macro")) and macro.lower() not in {name.lower() for name in MACROS}:
        errors["macro"] = TEXTS["macro"].format(macro=macro)
    for name in ("sport", "dport"):
        if not rule.get(name) or macro:
            continue
        if not proto:
            errors["proto"] = TEXTS["requires"].format(name=name)
        elif proto in _ICMP and name == "dport":
            # what ICMP types were called before they had a property of their own
            continue
        elif proto not in WITH_PORTS:
            errors[name] = TEXTS["ports"].format(proto=proto)
    if rule.get("icmp-type"):
        if not proto:
            errors["proto"] = TEXTS["requires"].format(name="icmp-type")
        elif proto not in _ICMP:
            errors["icmp-type"] = TEXTS["icmp"].format(proto=proto)
    return errors


def _address_faults(rule: Rule, config: FirewallConfig, datacenter: FirewallConfig) -> dict[str, str]:
    errors: dict[str, str] = {}
    versions = set()
    for side in ("source", "dest"):
        text = rule.get(side)
        if not text:
            continue
        version = check_address(text)
        if version is not None:
            versions.add(version)
        elif not _is_known(text, config, datacenter):
            kind, name = ("ipset", text[1:]) if text.startswith("+") else ("alias", text)
            errors[side] = TEXTS[kind].format(name=name)
    if len(versions) > 1:
        errors["source"] = TEXTS["mixed"]
    return errors


def _is_known(text: str, config: FirewallConfig, datacenter: FirewallConfig) -> bool:
    prefix, _, name = text.lstrip("+").lower().rpartition("/")
    places = {"dc": (datacenter,), "guest": (config,)}.get(prefix, (config, datacenter))
    # sets of virtual networks are made by the node, not by anybody's configuration
    if prefix == "sdn":
        return True
    if text.startswith("+"):
        return any(name in {known.lower() for known in place.ipsets} for place in places)
    return any(name in {known.lower() for known in place.aliases} for place in places)


def position(rules: list[Rule], pos: int) -> Rule:
    """The rule at a position; raises AgentError if there is none."""
    if not 0 <= pos < len(rules):
        raise AgentError(TEXTS["position"].format(pos=pos))
    return rules[pos]


def move(rules: list[Rule], pos: int, target: int) -> None:
    """Put the rule at `pos` in front of the one at `target`, or at the end."""
    rule = position(rules, pos)
    rest = [other for other in rules if other is not rule]
    place = sum(1 for other in rules[:target] if other is not rule)
    rules[:] = [*rest[:place], rule, *rest[place:]]
