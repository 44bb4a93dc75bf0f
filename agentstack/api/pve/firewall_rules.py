# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of every firewall, and the security groups that rules can name (facts §19)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentstack._shared.lists import split_list
from agentstack.api import formats
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError
from agentstack.firewall import rules as checks
from agentstack.firewall.config import FirewallConfig, Group, Rule
from agentstack.firewall.formats import CHECKERS, check_address
from agentstack.firewall.scopes import CLUSTER, EVERY, Scope, datacenter

TEXTS = {
    "no_group": "no such security group '{group}'",
    "group_exists": "Security group '{group}' already exists",
    "group_used": "Security group '{group}' is not empty",
}

FIELDS = ("type", "action", "enable", "macro", "proto", "source", "dest", "sport", "dport", "iface", "log", "icmp-type",
          "comment")  # fmt: skip

RulesOf = Callable[[Call, FirewallConfig], list[Rule]]

for form, checker in CHECKERS.items():
    formats.register(form, checker)


def _own(_: Call, config: FirewallConfig) -> list[Rule]:
    return config.rules


def _group(call: Call, config: FirewallConfig) -> Group:
    name = call["group"].lower()
    if name not in config.groups:
        raise AgentError(TEXTS["no_group"].format(group=call["group"]))
    return config.groups[name]


def _of_group(call: Call, config: FirewallConfig) -> list[Rule]:
    return _group(call, config).rules


def _shown(pos: int, rule: Rule, digest: str) -> dict[str, Any]:
    version = None
    for side in ("source", "dest"):
        version = version or (check_address(rule[side]) if rule.get(side) else None)
    found = {"pos": pos, **rule, "digest": digest}
    return {**found, "ipversion": version} if version else found


def register_rules(scope: Scope, path: str, rules_of: RulesOf) -> None:
    """The methods of one list of rules."""

    @pve("GET", path)
    async def list_rules(call: Call) -> Json:
        config, digest = scope.read(call)
        return [_shown(pos, rule, digest) for pos, rule in enumerate(rules_of(call, config))]

    @pve("POST", path)
    async def create_rule(call: Call) -> Json:
        async with scope.changing(call) as config:
            rules = rules_of(call, config)
            rule = checks.clean({"enable": 0, **{name: call[name] for name in FIELDS if call.get(name) is not None}})
            _check(scope, call, rule, config)
            rules.insert(min(call.get("pos", 0), len(rules)), rule)
        return None

    @pve("GET", f"{path}/{{pos}}")
    async def read_rule(call: Call) -> Json:
        config, digest = scope.read(call)
        return _shown(call["pos"], checks.position(rules_of(call, config), call["pos"]), digest)

    @pve("PUT", f"{path}/{{pos}}")
    async def update_rule(call: Call) -> Json:
        async with scope.changing(call) as config:
            rules = rules_of(call, config)
            rule = checks.position(rules, call["pos"])
            if call.get("moveto") is not None:
                checks.move(rules, call["pos"], call["moveto"])
                return None
            changed = dict(rule)
            for name in split_list(call.get("delete")):
                changed.pop(name, None)
            changed |= {name: call[name] for name in FIELDS if call.get(name) is not None}
            changed = checks.clean(changed)
            _check(scope, call, changed, config)
            rules[call["pos"]] = changed
        return None

    @pve("DELETE", f"{path}/{{pos}}")
    async def delete_rule(call: Call) -> Json:
        async with scope.changing(call) as config:
            rules = rules_of(call, config)
            checks.position(rules, call["pos"])
            del rules[call["pos"]]
        return None


def _check(scope: Scope, call: Call, rule: Rule, config: FirewallConfig) -> None:
    checks.check(rule, scope, config, config if scope is CLUSTER else datacenter(call.host))


for each in EVERY:
    register_rules(each, f"{each.base}/rules", _own)
register_rules(CLUSTER, f"{CLUSTER.base}/groups/{{group}}", _of_group)


@pve("GET", "/cluster/firewall/groups")
async def list_groups(call: Call) -> Json:
    config, digest = CLUSTER.read(call)
    return shuffled(
        {"group": name, "digest": digest, **({"comment": group.comment} if group.comment else {})}
        for name, group in config.groups.items()
    )


@pve("POST", "/cluster/firewall/groups")
async def create_group(call: Call) -> Json:
    """Also renames a group, and changes its comment: `rename` is the present name."""
    name, old = call["group"].lower(), call.get("rename")
    async with CLUSTER.changing(call) as config:
        if old is None:
            if name in config.groups:
                raise AgentError(TEXTS["group_exists"].format(group=call["group"]))
            config.groups[name] = Group(comment=call.get("comment", ""))
            return None
        if old.lower() not in config.groups:
            raise AgentError(TEXTS["no_group"].format(group=old))
        if name != old.lower() and name in config.groups:
            raise AgentError(TEXTS["group_exists"].format(group=call["group"]))
        group = config.groups.pop(old.lower())
        group.comment = call.get("comment", group.comment)
        config.groups[name] = group
        for rule in config.rules:
            if rule["type"] == "group" and rule["action"].lower() == old.lower():
                rule["action"] = name
    return None


@pve("DELETE", "/cluster/firewall/groups/{group}")
async def delete_group(call: Call) -> Json:
    async with CLUSTER.changing(call) as config:
        if _group(call, config).rules:
            raise AgentError(TEXTS["group_used"].format(group=call["group"]))
        del config.groups[call["group"].lower()]
    return None
