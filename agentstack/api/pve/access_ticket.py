# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in: /access/ticket (facts §3.1)."""

from __future__ import annotations

import re

from agentstack._shared.lists import split_list
from agentstack.access import Identity, Unauthorized
from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError

_USERID = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+")

AREAS = {
    "vms": ("/vms", r"VM\.|Permissions\.Modify"),
    "storage": ("/storage", r"Datastore\.|Permissions\.Modify"),
    "access": ("/access", r"(?:User|Group)\.|Permissions\.Modify"),
    "nodes": ("/nodes", r"Sys\.|Permissions\.Modify"),
    "sdn": ("/sdn", r"SDN\.|Permissions\.Modify"),
    "dc": ("/", r"Sys\.(?:Audit|Modify)|SDN\.(?:Allocate|Audit|Use)"),
    "mapping": ("/mapping", r"Mapping\.|Permissions\.Modify"),
}
"""The areas of `cap`: where privileges are looked up and which of them belong there."""


@pve("GET", "/access/ticket")
async def no_ticket(call: Call) -> Json:
    """Does nothing; there for user interfaces that ask before anybody is logged in."""
    return None


@pve("POST", "/access/ticket")
async def create_ticket(call: Call) -> Json:
    access = call.host.access
    userid = call["username"]
    realm = call.get("realm")
    if realm and not userid.endswith(f"@{realm}"):
        userid = f"{userid}@{realm}"
    try:
        if _USERID.fullmatch(userid) is None:
            raise Unauthorized("authentication failure")
        half = await access.sign_in(userid, call["password"], call.get("otp"), call.get("tfa-challenge"))
        if call.get("path"):
            access.check(Identity(userid), call["path"], split_list(call["privs"]))
    except (Unauthorized, AgentError) as error:
        call.host.files.cluster_log(4, "pvedaemon", "root@pam", f"authentication failure; user={userid}")
        # no details, but a body (observed: calls)
        raise AgentError("authentication failure", status=401) from error
    if half is not None:
        token = access.new_ticket(userid)[1]
        return {"username": userid, "ticket": half, "CSRFPreventionToken": token, "NeedTFA": 1}
    found = {"username": userid, "cap": capabilities(call, userid)}
    if call.get("path"):
        return found
    call.host.files.cluster_log(6, "pvedaemon", "root@pam", f"successful auth for user '{userid}'")
    found["ticket"], found["CSRFPreventionToken"] = access.new_ticket(userid)
    if call.host.cluster.in_cluster and access.may(Identity(userid), "/", ["Sys.Audit"]):
        found["clustername"] = call.host.cluster.cluster_name
    return found


def capabilities(call: Call, userid: str) -> dict[str, dict[str, int]]:
    """What a user interface may offer to a user: area → privilege → 1, over all paths of the area."""
    access = call.host.access
    paths = {"/", *access.cfg.acl}
    found: dict[str, dict[str, int]] = {}
    for area, (root, pattern) in AREAS.items():
        here = [path for path in {root, *paths} if path == root or path.startswith(root.rstrip("/") + "/")]
        held = {privilege for path in here for privilege in access.permissions(userid, path)}
        found[area] = dict.fromkeys(sorted(privilege for privilege in held if re.match(pattern, privilege)), 1)
    return found
