# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/users/{userid}/token: API tokens (facts §3.3, §17; observed: calls)."""

from __future__ import annotations

import uuid
from typing import Any

from agentstack._shared.lists import split_list
from agentstack.access.user_cfg import Token, User, UserCfg
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.pve.access_users import no_such_user
from agentstack.errors import AgentError, ParameterError


def _user(cfg: UserCfg, userid: str) -> User:
    user = cfg.users.get(userid)
    if user is None:
        raise no_such_user(userid)
    return user


def _token(cfg: UserCfg, userid: str, name: str) -> Token:
    token = _user(cfg, userid).tokens.get(name)
    if token is None:
        raise AgentError(f"no such token '{name}' for user '{userid}'")
    return token


def _describe(token: Token) -> dict[str, Any]:
    found: dict[str, Any] = {"expire": token.expire, "privsep": int(token.privsep)}
    return {**found, "comment": token.comment} if token.comment else found


@pve("GET", "/access/users/{userid}/token")
async def list_tokens(call: Call) -> Json:
    user = _user(call.host.access.cfg, call["userid"])
    return shuffled({"tokenid": name, **_describe(token)} for name, token in user.tokens.items())


@pve("GET", "/access/users/{userid}/token/{tokenid}")
async def get_token(call: Call) -> Json:
    return _describe(_token(call.host.access.cfg, call["userid"], call["tokenid"]))


@pve("POST", "/access/users/{userid}/token/{tokenid}")
async def create_token(call: Call) -> Json:
    userid, name = call["userid"], call["tokenid"]
    if name in _user(call.host.access.cfg, userid).tokens:
        raise ParameterError({"tokenid": "Token already exists."})
    async with call.host.access.editing("generating token failed") as cfg:
        _user(cfg, userid).tokens[name] = Token(
            call.get("expire", 0), bool(call.get("privsep", 1)), call.get("comment", "")
        )
        value = await _new_secret(call, f"{userid}!{name}")
    # what was given comes back as it was sent (observed: privsep "1")
    info: dict[str, Any] = {
        key: str(call[key]) for key in ("comment", "expire", "privsep") if call.get(key) is not None
    }
    return {"full-tokenid": f"{userid}!{name}", "value": value, "info": {"privsep": 1, **info}}


@pve("PUT", "/access/users/{userid}/token/{tokenid}")
async def update_token(call: Call) -> Json:
    userid, name = call["userid"], call["tokenid"]
    found: dict[str, Any] = {}
    async with call.host.access.editing("updating token failed") as cfg:
        token = _token(cfg, userid, name)
        for key in split_list(call.get("delete")):
            if key not in ("comment", "expire", "privsep"):
                raise AgentError(f"no such option '{key}'")
            setattr(token, key, getattr(Token(), key))
        for key in ("comment", "expire"):
            if call.get(key) is not None:
                setattr(token, key, call[key])
        if call.get("privsep") is not None:
            token.privsep = bool(call["privsep"])
        if call.get("regenerate"):
            found = {"full-tokenid": f"{userid}!{name}", "value": await _new_secret(call, f"{userid}!{name}")}
    return {**_describe(token), **found}


@pve("DELETE", "/access/users/{userid}/token/{tokenid}")
async def delete_token(call: Call) -> Json:
    userid, name = call["userid"], call["tokenid"]
    async with call.host.access.editing("deleting token failed") as cfg:
        _token(cfg, userid, name)
        del cfg.users[userid].tokens[name]
        for node in cfg.acl.values():
            node.tokens.pop(f"{userid}!{name}", None)
        secrets = call.host.access.token_secrets()
        secrets.pop(f"{userid}!{name}", None)
        await call.host.access.store_token_secrets(secrets)
    return None


async def _new_secret(call: Call, token: str) -> str:
    value = str(uuid.uuid4())
    await call.host.access.store_token_secrets({**call.host.access.token_secrets(), token: value})
    return value
