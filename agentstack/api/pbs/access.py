# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access: logging in, passwords, roles, access control (facts §20.2, §20.5)."""

from __future__ import annotations

import hashlib
from typing import Any

from agentstack._shared.lists import split_list
from agentstack.access.identity import Identity, Unauthorized
from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.realms import all_realms
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.access import DENIED, FAILED
from agentstack.pbs.roles import ROLES, is_valid_path
from agentstack.pbs.sections import DIGEST


@pbs("POST", "/access/ticket")
async def create_ticket(call: Call) -> Json:
    access, userid = call.host.pbs.access, call["username"]
    try:
        access.login(userid, call.get("password", ""))
        if call.get("path"):
            access.check(Identity(userid), call["path"], split_list(call.get("privs", "")))
            return {"username": userid}
    except AgentError as error:
        raise AgentError(FAILED, status=Unauthorized.status) from error
    ticket, csrf = access.new_ticket(userid)
    return {"username": userid, "ticket": ticket, "CSRFPreventionToken": csrf}


@pbs("DELETE", "/access/ticket")
async def delete_ticket(call: Call) -> Json:
    """Tickets are not kept: there is nothing to remove but the browser's cookie."""


@pbs("PUT", "/access/password")
async def set_password(call: Call) -> Json:
    """One's own, or with Permissions.Modify another one's; not with a token."""
    access, userid = call.host.pbs.access, call["userid"]
    if call.identity.token is not None:
        raise AgentError(DENIED, status=403)
    if userid != call.identity.userid:
        access.check(call.identity, "/access/users", ["Permissions.Modify"])
    if not access.exists(userid):
        raise AgentError(f"user '{userid}' does not exist.")
    access.set_password(userid, call["password"])


@pbs("GET", "/access/domains")
async def domains(call: Call) -> Json:
    return all_realms(call)


@pbs("GET", "/access/roles")
async def roles(call: Call) -> Json:
    return [{"roleid": name, "privs": sorted(privileges)} for name, privileges in ROLES.items()]


@pbs("GET", "/access/permissions")
async def permissions(call: Call) -> Json:
    access, authid = call.host.pbs.access, call.get("auth-id", call.identity.authid)
    own = (call.identity.authid, call.identity.userid)
    if authid not in own and not authid.startswith(f"{call.identity.authid}!"):
        access.check(call.identity, "/access", ["Sys.Audit"])
    if call.get("path"):
        paths = [call["path"]]
    else:
        paths = sorted({"/", "/access", "/datastore", "/remote", "/system", *access.acl.entries})
    found = {path: dict(sorted(access.permissions(authid, path).items())) for path in paths}
    return {path: held for path, held in found.items() if held}


@pbs("GET", "/access/acl")
async def list_acl(call: Call) -> Json:
    """All entries with Sys.Audit on /access, else those of oneself and one's tokens."""
    access = call.host.pbs.access
    everything = access.may(call.identity, "/access/acl", ["Sys.Audit"])
    wanted, rows = call.get("path"), list[dict[str, Any]]()
    for path, subject, role, propagate in access.acl:
        if wanted and path != wanted and (call.get("exact") or not path.startswith(wanted.rstrip("/") + "/")):
            continue
        if everything or subject.partition("!")[0] == call.identity.userid:
            rows.append({"path": path, "ugid": subject, "ugid_type": "user", "roleid": role, "propagate": propagate})
    call.extra["digest"] = _digest(call)
    return rows


@pbs("PUT", "/access/acl")
async def update_acl(call: Call) -> Json:
    access, path, subject = call.host.pbs.access, call["path"], call.get("auth-id")
    if not access.may(call.identity, path, ["Permissions.Modify"]):
        # one may always restrict one's own tokens, and give them what one has
        own_token = subject is not None and "!" in subject and subject.startswith(f"{call.identity.authid}!")
        if call.identity.token is not None or not own_token:
            raise AgentError(DENIED, status=403)
    if call.get("digest") not in (None, _digest(call)):
        raise AgentError(DIGEST)
    if call.get("group") is not None:
        raise AgentError("parameter 'group' - groups are currently not supported.")
    if subject is None:
        raise AgentError("missing 'userid' or 'group' parameter.")
    delete = call.get("delete", False)
    if not delete and not access.exists(subject):
        raise AgentError("no such API token." if "!" in subject else "no such user.")
    if not delete and not is_valid_path(path):
        raise ParameterError({"path": f"invalid acl path '{path}'."})
    acl = access.acl
    if delete:
        acl.drop(path, subject, call["role"])
    else:
        acl.put(path, subject, call["role"], call.get("propagate", True))
    access.store_acl(acl)


def _digest(call: Call) -> str:
    return hashlib.sha256(call.host.pbs.access.acl_digest()).hexdigest()
