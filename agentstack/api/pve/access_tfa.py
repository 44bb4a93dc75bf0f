# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/tfa: second factors of users (facts §3.2)."""

from __future__ import annotations

from typing import Any

from agentstack.access import ROOT, Unauthorized, tfa
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.permissions import denied
from agentstack.api.pve.access_users import no_such_user
from agentstack.errors import AgentError, ParameterError

TEXTS = {"password": "password is required to modify TFA data"}

KEYS = "x"
"""What a user's line in user.cfg says of second factors of the present kind: that there are some."""


@pve("GET", "/access/tfa")
async def list_tfa(call: Call) -> Json:
    """Only users with a second factor are listed."""
    access = call.host.access
    audits = access.may(call.identity, "/access/groups", ["User.Modify", "Sys.Audit"], any=True)
    rows = []
    for userid, data in access.factors.users().items():
        if audits or userid == call.identity.userid:
            locks = {"totp-locked": 1} if data.get("totp-locked") else {}
            locks |= {"tfa-locked-until": data["tfa-locked-until"]} if "tfa-locked-until" in data else {}
            rows.append({"userid": userid, "entries": tfa.entries(data), **locks})
    return shuffled(rows)


@pve("GET", "/access/tfa/{userid}")
async def list_user_tfa(call: Call) -> Json:
    return tfa.entries(call.host.access.factors.of(call["userid"]))


@pve("GET", "/access/tfa/{userid}/{id}")
async def read_tfa(call: Call) -> Json:
    return tfa.entry(call.host.access.factors.of(call["userid"]), call["id"])


@pve("POST", "/access/tfa/{userid}")
async def add_tfa(call: Call) -> Json:
    userid, kind = call["userid"], call["type"]
    await _may_change(call)
    if userid not in call.host.access.cfg.users:
        raise no_such_user(userid)
    found: dict[str, Any]
    now = call.host.clock.now()
    if kind not in ("totp", "recovery"):
        raise AgentError(tfa.TEXTS[kind])
    async with call.host.access.factors.editing(userid) as data:
        if kind == "totp":
            found = {"id": tfa.add_totp(data, call.get("totp"), call.get("value"), call.get("description"), now)}
        else:
            if any(call.get(name) for name in ("totp", "value", "challenge")):
                raise AgentError(tfa.TEXTS["recovery_plain"])
            found = {"id": "recovery", "recovery": tfa.add_recovery(data, now)}
    await _mark(call, userid, KEYS)
    return found


@pve("PUT", "/access/tfa/{userid}/{id}")
async def update_tfa(call: Call) -> Json:
    await _may_change(call)
    enable = None if call.get("enable") is None else bool(call["enable"])
    async with call.host.access.factors.editing(call["userid"]) as data:
        tfa.change(data, call["id"], call.get("description"), enable)


@pve("DELETE", "/access/tfa/{userid}/{id}")
async def delete_tfa(call: Call) -> Json:
    await _may_change(call)
    async with call.host.access.factors.editing(call["userid"]) as data:
        tfa.remove(data, call["id"])
        left = bool(tfa.entries(data))
    if not left:
        await _mark(call, call["userid"], "")


@pve("GET", "/access/users/{userid}/tfa")
async def user_types(call: Call) -> Json:
    """The kinds of second factors of a user; all of them only if asked with `multiple`."""
    access, userid = call.host.access, call["userid"]
    if userid not in access.cfg.users:
        raise no_such_user(userid)
    realm = access.realms.read()[0].get(userid.rpartition("@")[2])
    factor = access.realms.factor_type(realm) if realm is not None else None
    found: dict[str, Any] = {"realm": factor} if factor else {}
    if call.get("multiple"):
        return {**found, "types": tfa.types(access.factors.of(userid))}
    return {**found, "user": "oath"} if "totp" in tfa.types(access.factors.of(userid)) else found


@pve("PUT", "/access/users/{userid}/unlock-tfa")
async def unlock(call: Call) -> Json:
    """Whether there was anything to unlock."""
    if call["userid"] not in call.host.access.cfg.users:
        raise no_such_user(call["userid"])
    async with call.host.access.factors.editing(call["userid"]) as data:
        return int(tfa.unlock(data))


async def _may_change(call: Call) -> None:
    """Everybody but root@pam proves once more who they are; only root@pam changes root@pam's factors."""
    if call.identity.is_root:
        return
    if call["userid"] == ROOT:
        raise denied()
    if call.get("password") is None:
        raise ParameterError({"password": TEXTS["password"]})
    try:
        await call.host.access.login(call.identity.userid, call["password"])
    except Unauthorized as error:
        raise AgentError(error.message, status=401) from error


async def _mark(call: Call, userid: str, keys: str) -> None:
    async with call.host.access.editing("updating user failed") as cfg:
        if userid in cfg.users:
            cfg.users[userid].keys = keys
