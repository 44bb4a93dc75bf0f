# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/users and /access/password (facts §17; observed: calls)."""

from __future__ import annotations

from typing import Any

from agentstack._shared.lists import split_list
from agentstack.access import ROOT
from agentstack.access.user_cfg import User, UserCfg
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.permissions import denied
from agentstack.errors import AgentError, ParameterError

TEXTS = ("comment", "firstname", "lastname", "keys")


def no_such_user(userid: str) -> AgentError:
    """The error for an unknown user."""
    return AgentError(f"no such user ('{userid}')")


def _describe(call: Call, user: User) -> dict[str, Any]:
    found: dict[str, Any] = {"enable": int(user.enable), "expire": user.expire}
    if user.email is None and call.host.release.startswith("8."):
        # a root@pam that no line of the file names (observed: calls, both releases)
        del found["expire"]
    found |= {name: getattr(user, name) for name in TEXTS if getattr(user, name)}
    return found if user.email is None else {**found, "email": user.email}


def _tokens(user: User) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, token in user.tokens.items():
        found[name] = {"expire": token.expire, "privsep": int(token.privsep)}
        if token.comment:
            found[name]["comment"] = token.comment
    return found


@pve("GET", "/access/users")
async def list_users(call: Call) -> Json:
    access, cfg = call.host.access, call.host.access.cfg
    sees_all = access.may(call.identity, "/access/groups", ["User.Modify", "Sys.Audit"], any=True)
    rows = []
    realms = access.realms.read()[0]
    factors = access.factors.users()
    for userid, user in cfg.users.items():
        groups = cfg.groups_of(userid)
        visible = sees_all or userid == call.identity.userid
        visible = visible or any(
            access.may(call.identity, f"/access/groups/{group}", ["User.Modify", "Sys.Audit"], any=True)
            for group in groups
        )
        if not visible or call.get("enabled") not in (None, int(user.enable)):
            continue
        row = {"userid": userid, **_describe(call, user)}
        realm = userid.rpartition("@")[2]
        if realm in realms:
            row["realm-type"] = realms[realm].type
        locks = factors.get(userid, {})
        row |= {"totp-locked": 1} if locks.get("totp-locked") else {}
        row |= {"tfa-locked-until": locks["tfa-locked-until"]} if "tfa-locked-until" in locks else {}
        if call.get("full"):
            row["groups"] = ",".join(shuffled(groups))
            row["tokens"] = [{"tokenid": name, **token} for name, token in _tokens(user).items()]
        rows.append(row)
    return shuffled(rows)


@pve("GET", "/access/users/{userid}")
async def get_user(call: Call) -> Json:
    cfg = call.host.access.cfg
    user = cfg.users.get(call["userid"])
    if user is None:
        raise no_such_user(call["userid"])
    return {**_describe(call, user), "groups": shuffled(cfg.groups_of(call["userid"])), "tokens": _tokens(user) or None}


@pve("POST", "/access/users")
async def create_user(call: Call) -> Json:
    userid = call["userid"]
    async with call.host.access.editing("create user failed") as cfg:
        if userid in cfg.users:
            raise AgentError(f"user '{userid}' already exists")
        user = cfg.users[userid] = User(email="")
        _change(call, user)
        _join_groups(cfg, userid, split_list(call.get("groups")))
        if call.get("password") is not None:
            await call.host.access.set_password(userid, call["password"])
    return None


@pve("PUT", "/access/users/{userid}")
async def update_user(call: Call) -> Json:
    userid = call["userid"]
    async with call.host.access.editing("update user failed") as cfg:
        user = cfg.users.get(userid)
        if user is None:
            raise no_such_user(userid)
        user.email = user.email or ""
        _change(call, user)
        if call.get("groups") is not None:
            if not call.get("append"):
                _leave_groups(cfg, userid)
            _join_groups(cfg, userid, split_list(call["groups"]))
    return None


@pve("DELETE", "/access/users/{userid}")
async def delete_user(call: Call) -> Json:
    """An absent user is no error (observed: calls)."""
    userid = call["userid"]
    async with call.host.access.editing("delete user failed") as cfg:
        cfg.users.pop(userid, None)
        _leave_groups(cfg, userid)
        for node in cfg.acl.values():
            node.users.pop(userid, None)
            node.tokens = {token: roles for token, roles in node.tokens.items() if not token.startswith(f"{userid}!")}
        await call.host.access.forget_password(userid)
        if call.host.access.factors.of(userid):
            async with call.host.access.factors.editing(userid) as data:
                data.clear()
        secrets = call.host.access.token_secrets()
        kept = {token: secret for token, secret in secrets.items() if not token.startswith(f"{userid}!")}
        if kept != secrets:
            await call.host.access.store_token_secrets(kept)
    return None


def _change(call: Call, user: User) -> None:
    for name in (*TEXTS, "email", "expire"):
        if call.get(name) is not None:
            setattr(user, name, call[name])
    if call.get("enable") is not None:
        user.enable = bool(call["enable"])


def _join_groups(cfg: UserCfg, userid: str, groups: list[str]) -> None:
    for group in groups:
        if group not in cfg.groups:
            raise AgentError(f"no such group '{group}'")
        cfg.groups[group].users.add(userid)


def _leave_groups(cfg: UserCfg, userid: str) -> None:
    for group in cfg.groups.values():
        group.users.discard(userid)


@pve("PUT", "/access/password")
async def change_password(call: Call) -> Json:
    access, userid = call.host.access, call["userid"]
    if userid == ROOT and not call.identity.is_root:
        raise denied()
    if not call.identity.is_root:
        confirmation = call.get("confirmation-password")
        if confirmation is None:
            raise ParameterError({"confirmation-password": "missing confirmation password"})
        await access.login(call.identity.userid, confirmation)
    if userid not in access.cfg.users:
        raise no_such_user(userid)
    await access.set_password(userid, call["password"])
    return None
