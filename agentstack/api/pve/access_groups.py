# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/groups and /access/roles (facts §17; observed: calls)."""

from __future__ import annotations

from collections.abc import Iterable

from agentstack._shared.lists import split_list
from agentstack.access.roles import builtin_roles
from agentstack.access.user_cfg import Group, UserCfg
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError, ParameterError

_SEE_GROUP = ["User.Modify", "Sys.Audit", "Group.Allocate"]


def _group(cfg: UserCfg, name: str) -> Group:
    if name not in cfg.groups:
        raise AgentError(f"group '{name}' does not exist")
    return cfg.groups[name]


@pve("GET", "/access/groups")
async def list_groups(call: Call) -> Json:
    access = call.host.access
    rows = []
    for name, group in access.cfg.groups.items():
        if access.may(call.identity, f"/access/groups/{name}", _SEE_GROUP, any=True):
            row = {"groupid": name, "users": ",".join(shuffled(group.users))}
            rows.append({**row, "comment": group.comment} if group.comment else row)
    return shuffled(rows)


@pve("GET", "/access/groups/{groupid}")
async def get_group(call: Call) -> Json:
    group = _group(call.host.access.cfg, call["groupid"])
    found = {"members": shuffled(group.users)}
    return {**found, "comment": group.comment} if group.comment else found


@pve("POST", "/access/groups")
async def create_group(call: Call) -> Json:
    async with call.host.access.editing("create group failed") as cfg:
        if call["groupid"] in cfg.groups:
            raise AgentError(f"group '{call['groupid']}' already exists")
        cfg.groups[call["groupid"]] = Group(comment=call.get("comment", ""))
    return None


@pve("PUT", "/access/groups/{groupid}")
async def update_group(call: Call) -> Json:
    async with call.host.access.editing("update group failed") as cfg:
        group = _group(cfg, call["groupid"])
        if call.get("comment") is not None:
            group.comment = call["comment"]
    return None


@pve("DELETE", "/access/groups/{groupid}")
async def delete_group(call: Call) -> Json:
    async with call.host.access.editing("delete group failed") as cfg:
        _group(cfg, call["groupid"])
        del cfg.groups[call["groupid"]]
        for node in cfg.acl.values():
            node.groups.pop(call["groupid"], None)
    return None


def _listed(privileges: Iterable[str]) -> str:
    return ",".join(shuffled(privileges))


@pve("GET", "/access/roles")
async def list_roles(call: Call) -> Json:
    rows = [
        {"roleid": name, "privs": _listed(privileges), "special": 1}
        for name, privileges in builtin_roles(call.host.release).items()
    ]
    rows += [
        {"roleid": name, "privs": _listed(privileges), "special": 0}
        for name, privileges in call.host.access.cfg.roles.items()
    ]
    return shuffled(rows)


@pve("GET", "/access/roles/{roleid}")
async def get_role(call: Call) -> Json:
    roles = {**call.host.access.cfg.roles, **builtin_roles(call.host.release)}
    if call["roleid"] not in roles:
        raise AgentError(f"role '{call['roleid']}' does not exist")
    return dict.fromkeys(roles[call["roleid"]], 1)


@pve("POST", "/access/roles")
async def create_role(call: Call) -> Json:
    name = call["roleid"]
    if name.lower().startswith("pve"):
        raise ParameterError({"roleid": "cannot use role ID starting with the (case-insensitive) 'PVE' namespace"})
    async with call.host.access.editing("create role failed") as cfg:
        if name in cfg.roles or name in builtin_roles(call.host.release):
            raise AgentError(f"role '{name}' already exists")
        cfg.roles[name] = set(split_list(call.get("privs")))
    return None


@pve("PUT", "/access/roles/{roleid}")
async def update_role(call: Call) -> Json:
    name = call["roleid"]
    async with call.host.access.editing("update role failed") as cfg:
        _check_own_role(call, cfg, name, "modified")
        found = set(split_list(call.get("privs")))
        cfg.roles[name] = found | cfg.roles[name] if call.get("append") else found
    return None


@pve("DELETE", "/access/roles/{roleid}")
async def delete_role(call: Call) -> Json:
    name = call["roleid"]
    async with call.host.access.editing("delete role failed") as cfg:
        _check_own_role(call, cfg, name, "deleted")
        del cfg.roles[name]
        for node in cfg.acl.values():
            for subjects in (node.users, node.groups, node.tokens):
                for subject in [subject for subject, roles in subjects.items() if name in roles]:
                    del subjects[subject][name]
                    if not subjects[subject]:
                        del subjects[subject]
    return None


def _check_own_role(call: Call, cfg: UserCfg, name: str, what: str) -> None:
    if name in builtin_roles(call.host.release):
        raise AgentError(f"auto-generated role '{name}' cannot be {what}")
    if name not in cfg.roles:
        raise AgentError(f"role '{name}' does not exist")
