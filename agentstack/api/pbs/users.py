# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/users: users and their API tokens (facts §20.5)."""

from __future__ import annotations

from typing import Any

from agentstack.access.identity import ROOT
from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.realms import all_realms
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.sections import Sections, Values, check_digest

_USER = ("comment", "email", "enable", "expire", "firstname", "lastname")
_TOKEN = ("comment", "enable", "expire")


def _user(users: Sections, userid: str) -> Values:
    if userid not in users.of("user"):
        raise AgentError(f"user '{userid}' does not exist.", status=404)
    return users.of("user")[userid]


def _token(users: Sections, call: Call) -> tuple[str, Values]:
    _user(users, call["userid"])
    tokenid = f"{call['userid']}!{call['token-name']}"
    if tokenid not in users.of("token"):
        raise AgentError(f"token '{call['token-name']}' of user '{call['userid']}' does not exist.", status=404)
    return tokenid, users.of("token")[tokenid]


def _tokens(users: Sections, userid: str) -> list[dict[str, Any]]:
    found = users.of("token").items()
    return [{"tokenid": tokenid, **values} for tokenid, values in found if tokenid.startswith(f"{userid}!")]


def _change(call: Call, values: Values, names: tuple[str, ...]) -> None:
    for name in call.get("delete", []):
        values.pop(name, None)
    values.update({name: call[name] for name in names if name in call.params})


@pbs("GET", "/access/users")
async def list_users(call: Call) -> Json:
    """All with Sys.Audit or Permissions.Modify on /access/users, else oneself."""
    access, rows = call.host.pbs.access, list[dict[str, Any]]()
    everybody = access.may(call.identity, "/access/users", ["Sys.Audit", "Permissions.Modify"], any=True)
    users = access.users
    for userid, values in users.of("user").items():
        if everybody or userid == call.identity.userid:
            tokens = {"tokens": _tokens(users, userid)} if call.get("include_tokens") else {}
            rows.append({"userid": userid, **values, **tokens})
    call.extra["digest"] = users.digest
    return rows


@pbs("POST", "/access/users")
async def create_user(call: Call) -> Json:
    access, userid = call.host.pbs.access, call["userid"]
    users = access.users
    if userid in users.of("user"):
        raise ParameterError({"userid": f"user '{userid}' already exists."})
    realm = userid.rpartition("@")[2]
    if all(row["realm"] != realm for row in all_realms(call)):
        raise AgentError(f"no such realm '{realm}'")
    if "password" in call.params:
        access.set_password(userid, call["password"])
    users.of("user")[userid] = {name: call[name] for name in _USER if name in call.params}
    access.store_users(users)


@pbs("GET", "/access/users/{userid}")
async def read_user(call: Call) -> Json:
    users = call.host.pbs.access.users
    values = _user(users, call["userid"])
    call.extra["digest"] = users.digest
    return {"userid": call["userid"], **values}


@pbs("PUT", "/access/users/{userid}")
async def update_user(call: Call) -> Json:
    access = call.host.pbs.access
    users = access.users
    check_digest(users, call.get("digest"))
    values = _user(users, call["userid"])
    if "password" in call.params:
        access.set_password(call["userid"], call["password"])
    _change(call, values, _USER)
    access.store_users(users)


@pbs("DELETE", "/access/users/{userid}")
async def delete_user(call: Call) -> Json:
    access, userid = call.host.pbs.access, call["userid"]
    users = access.users
    check_digest(users, call.get("digest"))
    if userid == ROOT:
        raise AgentError("cannot delete user 'root@pam'")
    _user(users, userid)
    for token in _tokens(users, userid):
        del users.of("token")[token["tokenid"]]
    del users.of("user")[userid]
    access.forget_user(userid)
    access.store_users(users)


@pbs("GET", "/access/users/{userid}/token")
async def list_tokens(call: Call) -> Json:
    users = call.host.pbs.access.users
    _user(users, call["userid"])
    call.extra["digest"] = users.digest
    return [{**token, "token-name": token["tokenid"].partition("!")[2]} for token in _tokens(users, call["userid"])]


@pbs("GET", "/access/users/{userid}/token/{token-name}")
async def read_token(call: Call) -> Json:
    users = call.host.pbs.access.users
    tokenid, values = _token(users, call)
    call.extra["digest"] = users.digest
    return {"tokenid": tokenid, **values}


@pbs("POST", "/access/users/{userid}/token/{token-name}")
async def create_token(call: Call) -> Json:
    access, userid, name = call.host.pbs.access, call["userid"], call["token-name"]
    users = access.users
    check_digest(users, call.get("digest"))
    _user(users, userid)
    tokenid = f"{userid}!{name}"
    if tokenid in users.of("token"):
        raise ParameterError({"token-name": f"token '{name}' for user '{userid}' already exists."})
    users.of("token")[tokenid] = {key: call[key] for key in _TOKEN if key in call.params}
    value = access.new_secret(tokenid)
    access.store_users(users)
    return {"tokenid": tokenid, "value": value}


@pbs("PUT", "/access/users/{userid}/token/{token-name}")
async def update_token(call: Call) -> Json:
    access = call.host.pbs.access
    users = access.users
    check_digest(users, call.get("digest"))
    tokenid, values = _token(users, call)
    _change(call, values, _TOKEN)
    access.store_users(users)
    return {"secret": access.new_secret(tokenid)} if call.get("regenerate") else {}


@pbs("DELETE", "/access/users/{userid}/token/{token-name}")
async def delete_token(call: Call) -> Json:
    access = call.host.pbs.access
    users = access.users
    check_digest(users, call.get("digest"))
    tokenid, _ = _token(users, call)
    del users.of("token")[tokenid]
    access.forget_token(tokenid)
    access.store_users(users)
