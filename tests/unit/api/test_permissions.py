# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Permission expressions of the declarations (facts §1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agentstack.access.identity import Identity
from agentstack.api.permissions import authorize
from agentstack.api.tables import Method
from agentstack.errors import AgentError


class Accounts:
    """Privileges by path for everybody."""

    def __init__(self, held: Mapping[str, set[str]], groups: list[str]) -> None:
        self.held = held
        self.groups = groups

    def check(self, identity: Identity, path: str, privs: list[str], any: bool = False) -> None:
        missing = [priv for priv in privs if priv not in self.held.get(path, set())]
        if missing and not (any and len(missing) < len(privs)):
            raise AgentError(f"Permission check failed ({path}, {'|'.join(missing)})", status=403)

    def groups_of(self, userid: str) -> list[str]:
        return self.groups


USER = Identity("a@pve")
AUDIT, MODIFY = ["perm", "/", ["Sys.Audit"]], ["perm", "/vms/{vmid}", ["VM.Allocate"]]
SELF_OR_MANAGER = ["or", ["userid-param", "self"], ["userid-group", ["User.Modify"]]]
CREATE_USER = [
    "and",
    ["userid-param", "Realm.AllocateUser"],
    ["userid-group", ["User.Modify"], "groups_param", "create"],
]
CLONE = ["or", MODIFY, ["perm", "/pool/{pool}", ["VM.Allocate"], "require_param", "pool"]]


@pytest.mark.parametrize(
    ("check", "held", "params", "refusal"),
    [
        (AUDIT, {"/": {"Sys.Audit"}}, {}, None),
        (AUDIT, {}, {}, "(/, Sys.Audit)"),
        (["perm", "/", ["A", "B"], "any", 1], {"/": {"B"}}, {}, None),
        (["perm", "/", ["A", "B"], "any", 1], {}, {}, "(/, A|B)"),
        (MODIFY, {"/vms/100": {"VM.Allocate"}}, {"vmid": "100"}, None),
        (MODIFY, {"/vms/101": {"VM.Allocate"}}, {"vmid": "100"}, "(/vms/100, VM.Allocate)"),
        (["and", AUDIT, MODIFY], {"/": {"Sys.Audit"}}, {"vmid": 1}, "(/vms/1, VM.Allocate)"),
        (["or", AUDIT, MODIFY], {"/": {"Sys.Audit"}}, {"vmid": 1}, None),
        (["or", AUDIT, MODIFY], {}, {"vmid": 1}, ""),
        (CLONE, {"/pool/p": {"VM.Allocate"}}, {"vmid": 1, "pool": "p"}, None),
        (CLONE, {"/pool/p": {"VM.Allocate"}}, {"vmid": 1}, ""),
        (SELF_OR_MANAGER, {}, {"userid": "a@pve"}, None),
        (SELF_OR_MANAGER, {}, {"userid": "b@pve"}, ""),
        (SELF_OR_MANAGER, {"/access/groups": {"User.Modify"}}, {"userid": "b@pve"}, None),
        (SELF_OR_MANAGER, {"/access/groups/g": {"User.Modify"}}, {"userid": "b@pve"}, None),
        (CREATE_USER, {"/access/realm/pve": {"Realm.AllocateUser"}}, {"userid": "b@pve"}, "(/access/groups,"),
        (
            CREATE_USER,
            {"/access/realm/pve": {"Realm.AllocateUser"}, "/access/groups/new": {"User.Modify"}},
            {"userid": "b@pve", "groups": "new"},
            None,
        ),
        (["perm-modify", "{path}"], {"/storage/x": {"Datastore.Allocate"}}, {"path": "/storage/x"}, None),
        (["perm-modify", "{path}"], {}, {"path": "/nodes"}, "(/nodes, Permissions.Modify)"),
        (None, {}, {}, "(user != root@pam)"),
    ],
)
def test_expressions(
    check: list[Any] | None, held: dict[str, set[str]], params: dict[str, Any], refusal: str | None
) -> None:
    method = Method("PUT", "/x", {}, check=check)
    accounts = Accounts(held, ["g"])
    authorize(method, Identity("root@pam"), params, accounts)
    if refusal is None:
        authorize(method, USER, params, accounts)
        return
    with pytest.raises(AgentError, match="Permission check failed") as caught:
        authorize(method, USER, params, accounts)
    assert caught.value.status == 403
    assert refusal in caught.value.message


@pytest.mark.parametrize("user", ["all", "world"])
def test_methods_for_everybody(user: str) -> None:
    authorize(Method("GET", "/x", {}, user=user), USER, {}, Accounts({}, []))


def test_a_token_of_root_is_not_root() -> None:
    with pytest.raises(AgentError, match=r"Permission check failed \(user != root@pam\)"):
        authorize(Method("POST", "/x", {}), Identity("root@pam", "root@pam!t"), {}, Accounts({}, []))
