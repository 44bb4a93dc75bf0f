# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about access to a cluster. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._pve_access import ROOT, kind_of
from ._site_elements import called, listed, names_in, present
from ._site_nodes import Node

# the areas of the tree of paths (facts §17)
PATH = re.compile(r"/((access|mapping|nodes|pool|sdn|storage|vms)(/.+)?)?")
SERVERS_OWN = re.compile(r"PVE.*|Administrator|NoAccess", re.IGNORECASE)
OWN_REALMS = ("pam", "pve")
FOREIGN = "If others look after it, list it with state: ignore."


def access_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """What one variable names and another does not have, and what no server takes."""
    yield from _not_removable(variables)
    groups = names_in(variables, "pve_groups", "groupid")
    for where, user in present(variables, "pve_users"):
        if not re.fullmatch(r"[^\s:/@]+@[A-Za-z][\w.-]+", str(user["userid"])):
            yield f"{where}: userid must be like name@realm."
        for group in user.get("groups") or []:
            if groups is not None and group not in groups:
                yield f"{where}: the group {group} is not in pve_groups ({listed(groups)}). {FOREIGN}"
    for where, role in present(variables, "pve_roles"):
        if SERVERS_OWN.fullmatch(str(role["roleid"])):
            yield f"{where}: names like {role['roleid']} are for the server's own roles."
    yield from _tokens(variables)
    yield from _rules(variables, groups)
    yield from _realms(variables)
    yield from _sync_jobs(variables)
    yield from _pools(variables)


def _not_removable(variables: Mapping[str, Any]) -> Iterator[str]:
    kept = {"pve_users": ("userid", (ROOT,)), "pve_realms": ("realm", OWN_REALMS)}
    for variable, (field, names) in kept.items():
        for index, element in enumerate(variables.get(variable) or []):
            if element.get("state") == "absent" and element[field] in names:
                yield f"{variable}[{index}] ({called(element)}): {element[field]} cannot be removed."


def _unknown_user(user: str, users: set[str] | None) -> bool:
    """Users of directories are made by these, and those of the server's own realms by whoever lists users at all."""
    return users is not None and user.rpartition("@")[2] in OWN_REALMS and user not in users | {ROOT}


def _tokens(variables: Mapping[str, Any]) -> Iterator[str]:
    users = names_in(variables, "pve_users", "userid")
    for where, token in present(variables, "pve_api_tokens"):
        user, mark, _name = str(token["tokenid"]).partition("!")
        if not mark or "@" not in user:
            yield f"{where}: tokenid must be like user@realm!name."
        elif _unknown_user(user, users):
            yield f"{where}: the user {user} is not in pve_users ({listed(users or set())}). {FOREIGN}"
        if not token.get("secret_file"):
            yield f"{where}: secret_file is missing: the server says the secret only once."


def _rules(variables: Mapping[str, Any], groups: set[str] | None) -> Iterator[str]:
    users = names_in(variables, "pve_users", "userid")
    tokens = names_in(variables, "pve_api_tokens", "tokenid")
    roles = names_in(variables, "pve_roles", "roleid")
    for where, rule in present(variables, "pve_acls"):
        who = str(rule["auth_id"]).removeprefix("@")
        kind = kind_of(who)
        if kind == "tokens" and tokens is not None and who not in tokens:
            yield f"{where}: the API token {who} is not in pve_api_tokens ({listed(tokens)}). {FOREIGN}"
        if kind == "users" and _unknown_user(who, users):
            yield f"{where}: the user {who} is not in pve_users ({listed(users or set())}). {FOREIGN}"
        if kind == "groups" and groups is not None and who not in groups:
            yield f"{where}: the group {who} is not in pve_groups ({listed(groups)}). {FOREIGN}"
        if roles is not None and rule["role"] not in roles and not SERVERS_OWN.fullmatch(str(rule["role"])):
            yield f"{where}: the role {rule['role']} is not in pve_roles ({listed(roles)}). {FOREIGN}"
        if not PATH.fullmatch(str(rule["path"]).rstrip("/") or "/"):
            yield (
                f"{where}: there is no path {rule['path']}. Paths begin with /access, /mapping, /nodes, /pool, /sdn, "
                "/storage or /vms, or are / for all of them."
            )


def _realms(variables: Mapping[str, Any]) -> Iterator[str]:
    default = [where for where, realm in present(variables, "pve_realms") if realm.get("default")]
    for where in default[1:]:
        yield f"{where}: {default[0]} is the default realm already. Only one can be."
    for where, realm in present(variables, "pve_realms"):
        if (realm["realm"] in OWN_REALMS) and realm.get("type") not in (None, realm["realm"]):
            yield f"{where}: {realm['realm']} is built in; its type is {realm['realm']}."


def _sync_jobs(variables: Mapping[str, Any]) -> Iterator[str]:
    realms = names_in(variables, "pve_realms", "realm")
    types = {realm["realm"]: realm.get("type") for _where, realm in present(variables, "pve_realms")}
    for where, job in present(variables, "pve_realm_sync_jobs"):
        realm = job.get("realm")
        if realm is None:
            continue
        if realm in OWN_REALMS or types.get(realm) == "openid":
            yield f"{where}: the realm {realm} has no directory. Realms of type ldap and ad have one."
        elif realms is not None and realm not in realms:
            yield f"{where}: the realm {realm} is not in pve_realms ({listed(realms)}). {FOREIGN}"


def _pools(variables: Mapping[str, Any]) -> Iterator[str]:
    pool_of: dict[str, str] = {}
    for where, pool in present(variables, "pve_pools"):
        for guest in pool.get("guests") or []:
            if str(guest) in pool_of:
                yield f"{where}: guest {guest} stands in {pool_of[str(guest)]} too. A guest is in one pool only."
            pool_of.setdefault(str(guest), where)
