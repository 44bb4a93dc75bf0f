# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/ha: resources, rules, groups and what the manager does with them (facts §7)."""

from __future__ import annotations

from typing import Any

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError
from agentstack.manager import config, motion

_CONTROL = frozenset({"sid", "type", "rule", "group", "delete", "digest", "purge"})


def _values(call: Call, *also: str) -> dict[str, Any]:
    return {key: value for key, value in call.params.items() if key in also or key not in _CONTROL}


# ---- resources ------------------------------------------------------------------------------------------------------


@pve("GET", "/cluster/ha/resources")
async def list_resources(call: Call) -> Json:
    entries, digest = config.RESOURCES_CFG.read(call.host)
    wanted = call.get("type")
    return shuffled(config.resource_answer(entry, digest) for entry in entries.values() if wanted in (None, entry.type))


@pve("POST", "/cluster/ha/resources")
async def create_resource(call: Call) -> Json:
    await config.create_resource(call.host, call["sid"], _values(call, "group"))


@pve("GET", "/cluster/ha/resources/{sid}")
async def read_resource(call: Call) -> Json:
    sid = config.sid_of(call.host, call["sid"])
    entries, digest = config.RESOURCES_CFG.read(call.host)
    if sid not in entries:
        raise AgentError(config.TEXTS["missing"].format(sid=sid))
    return config.resource_answer(entries[sid], digest)


@pve("PUT", "/cluster/ha/resources/{sid}")
async def update_resource(call: Call) -> Json:
    await config.update_resource(call.host, call["sid"], _values(call, "group"), call.get("delete"), call.get("digest"))


@pve("DELETE", "/cluster/ha/resources/{sid}")
async def delete_resource(call: Call) -> Json:
    await config.delete_resource(call.host, call["sid"], purge=bool(call.get("purge", 1)))


async def _move(call: Call, command: str) -> Json:
    host = call.host
    sid = config.sid_of(host, call["sid"])
    config.check_error_state(host, sid)
    answer = motion.answer(host, sid, call["node"])
    await host.manager.queue(f"{command} {sid} {call['node']}")
    return answer if config.has_rules(host) else None


@pve("POST", "/cluster/ha/resources/{sid}/migrate")
async def migrate_resource(call: Call) -> Json:
    return await _move(call, "migrate")


@pve("POST", "/cluster/ha/resources/{sid}/relocate")
async def relocate_resource(call: Call) -> Json:
    return await _move(call, "relocate")


# ---- rules ----------------------------------------------------------------------------------------------------------


@pve("GET", "/cluster/ha/rules")
async def list_rules(call: Call) -> Json:
    kind, resource = call.get("type"), call.get("resource")
    return [
        row
        for row in config.rules_answer(call.host)
        if kind in (None, row["type"]) and (resource is None or resource in split_list(row["resources"]))
    ]


@pve("POST", "/cluster/ha/rules")
async def create_rule(call: Call) -> Json:
    await config.create_rule(call.host, call["rule"], call["type"], _values(call))


@pve("GET", "/cluster/ha/rules/{rule}")
async def read_rule(call: Call) -> Json:
    for row in config.rules_answer(call.host):
        if row["rule"] == call["rule"]:
            return row
    raise AgentError(config.TEXTS["rule_missing"].format(rule=call["rule"]))


@pve("PUT", "/cluster/ha/rules/{rule}")
async def update_rule(call: Call) -> Json:
    await config.update_rule(
        call.host, call["rule"], call["type"], _values(call), call.get("delete"), call.get("digest")
    )


@pve("DELETE", "/cluster/ha/rules/{rule}")
async def delete_rule(call: Call) -> Json:
    await config.delete_rule(call.host, call["rule"])


# ---- groups ---------------------------------------------------------------------------------------------------------


def _group_row(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"nodes": ",".join(shuffled(split_list(row["nodes"])))}


@pve("GET", "/cluster/ha/groups")
async def list_groups(call: Call) -> Json:
    config.check_groups_exist(call.host, "index groups")
    entries, digest = config.GROUPS_CFG.read(call.host)
    return shuffled(_group_row(config.group_answer(entry, digest)) for entry in entries.values())


@pve("POST", "/cluster/ha/groups")
async def create_group(call: Call) -> Json:
    config.check_groups_exist(call.host, "create group")
    await config.create_group(call.host, call["group"], _values(call))


@pve("GET", "/cluster/ha/groups/{group}")
async def read_group(call: Call) -> Json:
    config.check_groups_exist(call.host, "read group")
    entries, digest = config.GROUPS_CFG.read(call.host)
    if call["group"] not in entries:
        raise AgentError(config.TEXTS["group_missing"].format(group=call["group"]))
    return _group_row(config.group_answer(entries[call["group"]], digest))


@pve("PUT", "/cluster/ha/groups/{group}")
async def update_group(call: Call) -> Json:
    config.check_groups_exist(call.host, "update group")
    await config.update_group(call.host, call["group"], _values(call), call.get("delete"), call.get("digest"))


@pve("DELETE", "/cluster/ha/groups/{group}")
async def delete_group(call: Call) -> Json:
    config.check_groups_exist(call.host, "delete group")
    await config.delete_group(call.host, call["group"])


# ---- status ---------------------------------------------------------------------------------------------------------


@pve("GET", "/cluster/ha/status/current")
async def current_status(call: Call) -> Json:
    return call.host.manager.current()


@pve("GET", "/cluster/ha/status/manager_status")
async def manager_status(call: Call) -> Json:
    return call.host.manager.full_status()


@pve("POST", "/cluster/ha/status/disarm-ha")
async def disarm(call: Call) -> Json:
    await call.host.manager.queue(f"disarm-ha {call['resource-mode']}")


@pve("POST", "/cluster/ha/status/arm-ha")
async def arm(call: Call) -> Json:
    await call.host.manager.queue("arm-ha")
