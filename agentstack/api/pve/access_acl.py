# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/acl and /access/permissions (facts §3.4, §17; observed: calls)."""

from __future__ import annotations

from collections.abc import Container, Iterator

from agentstack._shared.lists import split_list
from agentstack.access.acl import is_valid_path, normalize_path
from agentstack.access.roles import builtin_roles
from agentstack.access.user_cfg import AclNode, UserCfg
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.permissions import denied
from agentstack.errors import AgentError, ParameterError

_SUBJECTS = ("users", "groups", "tokens")
_ROOTS = ("/", "/access", "/access/groups", "/mapping", "/nodes", "/pool", "/sdn", "/storage", "/vms")


@pve("GET", "/access/acl")
async def list_acl(call: Call) -> Json:
    access = call.host.access
    audits = access.may(call.identity, "/access", ["Sys.Audit"])
    rows = []
    for path, node in access.cfg.acl.items():
        if not audits and not access.may(call.identity, path, ["Permissions.Modify"]):
            continue
        for kind in _SUBJECTS:
            for subject, roles in getattr(node, kind).items():
                rows += [
                    {"path": path, "type": kind[:-1], "ugid": subject, "roleid": role, "propagate": int(propagate)}
                    for role, propagate in roles.items()
                ]
    return shuffled(rows)


@pve("PUT", "/access/acl")
async def update_acl(call: Call) -> Json:
    if not any(call.get(kind) for kind in _SUBJECTS):
        raise ParameterError(dict.fromkeys(_SUBJECTS, "either 'users', 'groups' or 'tokens' is required."))
    path = normalize_path(call["path"])
    if path is None or not is_valid_path(path):
        raise ParameterError({"path": f"invalid ACL path '{call['path']}'"})
    async with call.host.access.editing("ACL update failed") as cfg:
        roles = split_list(call["roles"])
        _check_roles(call, cfg, path, roles)
        node = cfg.acl.setdefault(path, AclNode())
        for kind, subject in _named(call, cfg):
            held = getattr(node, kind).setdefault(subject, {})
            for role in roles:
                if call.get("delete"):
                    held.pop(role, None)
                else:
                    held[role] = bool(call.get("propagate", 1))
            if not held:
                del getattr(node, kind)[subject]
        if not (node.users or node.groups or node.tokens):
            del cfg.acl[path]
    return None


def _check_roles(call: Call, cfg: UserCfg, path: str, roles: list[str]) -> None:
    """Roles must exist; who may only delegate (see `perm-modify`) can give no more than they have."""
    builtin = builtin_roles(call.host.release)
    access = call.host.access
    for role in roles:
        if role not in builtin and role not in cfg.roles:
            raise AgentError(f"role '{role}' does not exist")
        granted = builtin.get(role, cfg.roles.get(role, ()))
        if not access.may(call.identity, path, ["Permissions.Modify"]) and not access.may(call.identity, path, granted):
            raise denied(f"{path}, Permissions.Modify")


def _named(call: Call, cfg: UserCfg) -> Iterator[tuple[str, str]]:
    tokens = {f"{userid}!{name}" for userid, user in cfg.users.items() for name in user.tokens}
    known: dict[str, Container[str]] = {"users": cfg.users, "groups": cfg.groups, "tokens": tokens}
    for kind in _SUBJECTS:
        for subject in split_list(call.get(kind)):
            # what is to be removed may already be gone
            if subject not in known[kind] and not call.get("delete"):
                raise AgentError(f"{kind[:-1]} '{subject}' does not exist")
            yield kind, subject


@pve("GET", "/access/permissions")
async def list_permissions(call: Call) -> Json:
    access = call.host.access
    authid = call.get("userid", call.identity.authid)
    mine = authid == call.identity.authid or authid.startswith(f"{call.identity.userid}!")
    if not mine:
        access.check(call.identity, "/access", ["Sys.Audit"])
    if authid.partition("!")[0] not in access.cfg.users:
        raise AgentError(f"no such user ('{authid.partition('!')[0]}')")
    paths = [call["path"]] if call.get("path") else [*_ROOTS, *access.cfg.acl]
    found = {path: access.permissions(authid, path) for path in paths}
    shown = {path: {name: int(propagate) for name, propagate in held.items()} for path, held in found.items()}
    return {path: held for path, held in shown.items() if held or call.get("path")}
