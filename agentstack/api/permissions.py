# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluating a method's permission expression (`check` of the tables) for a call (facts §1.3, §3.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agentstack._shared.lists import split_list
from agentstack.access.identity import Identity
from agentstack.api.tables import Method
from agentstack.errors import AgentError

_PLACEHOLDER = re.compile(r"\{([^}]+)\}")

DELEGATED = (("/storage/", "Datastore.Allocate"), ("/vms/", "VM.Allocate"), ("/pool/", "Pool.Allocate"))
"""Privileges that let one give access to the objects below a path, besides Permissions.Modify."""


class Accounts(Protocol):
    """What has to be known about users: `agentstack.access.Access`, or that of the backup server."""

    def check(self, identity: Identity, path: str, privs: list[str], any: bool = False) -> None:
        """Raise 403 unless all (any) privileges are there."""

    def groups_of(self, userid: str) -> list[str]:
        """The groups of a user."""


def denied(detail: str = "") -> AgentError:
    """The answer to a call that is not allowed."""
    return AgentError(f"Permission check failed{f' ({detail})' if detail else ''}", status=403)


def authorize(method: Method, identity: Identity, params: Mapping[str, Any], accounts: Accounts) -> None:
    """Raise 403 unless the caller may call the method with these (unchecked) parameters."""
    if identity.is_root or method.user in ("all", "world"):
        return
    if method.check is None:
        raise denied("user != root@pam")
    _Evaluation(identity, params, accounts).run(method.check)


class _Evaluation:
    def __init__(self, identity: Identity, params: Mapping[str, Any], accounts: Accounts) -> None:
        self.identity = identity
        self.params = params
        self.accounts = accounts
        self.words: Mapping[str, Callable[..., None]] = {
            "and": self._and,
            "or": self._or,
            "perm": self._perm,
            "perm-modify": self._perm_modify,
            "userid-param": self._userid_param,
            "userid-group": self._userid_group,
            "user": self._user,
        }

    def run(self, expression: list[Any]) -> None:
        word, *arguments = expression
        self.words[word](*arguments)

    def _fill(self, template: str) -> str:
        path = _PLACEHOLDER.sub(lambda match: str(self.params.get(match[1], "")), template)
        return "/" + "/".join(part for part in path.split("/") if part)

    def _and(self, *parts: list[Any]) -> None:
        for part in parts:
            self.run(part)

    def _or(self, *parts: list[Any]) -> None:
        for part in parts:
            try:
                self.run(part)
            except AgentError:
                continue
            return
        raise denied()

    def _perm(self, template: str, privs: list[str], *options: Any) -> None:
        choices = dict(zip(options[::2], options[1::2], strict=True))
        needed = choices.get("require_param")
        if needed is not None and self.params.get(needed) is None:
            raise denied()
        self.accounts.check(self.identity, self._fill(template), privs, any=bool(choices.get("any")))

    def _perm_modify(self, template: str) -> None:
        path = self._fill(template)
        privs = ["Permissions.Modify", *(priv for prefix, priv in DELEGATED if path.startswith(prefix))]
        self.accounts.check(self.identity, path, privs, any=True)

    def _userid_param(self, what: str) -> None:
        userid = str(self.params.get("userid", self.params.get(what, "")))
        if what == "Realm.AllocateUser":
            realm = userid.rpartition("@")[2]
            self.accounts.check(self.identity, f"/access/realm/{realm}", ["Realm.AllocateUser"])
        elif userid != self.identity.userid:
            raise denied()

    def _userid_group(self, privs: list[str], *options: Any) -> None:
        """The privileges on all users' groups, on one of the user's groups, or on those the call names."""
        choices = dict(zip(options[::2], options[1::2], strict=True))
        try:
            self.accounts.check(self.identity, "/access/groups", privs, any=True)
        except AgentError:
            groups = self.accounts.groups_of(str(self.params.get("userid", "")))
            named = split_list(str(self.params.get("groups") or ""))
            mode = choices.get("groups_param")
            # a new user has no group yet: it must be given some, and all must be the caller's to manage
            wanted = [named] if mode == "create" else [[group] for group in groups]
            if not any(candidate and self._all(candidate, privs) for candidate in wanted):
                raise
            if mode == "update" and named and not self._all(named, privs):
                raise

    def _all(self, groups: list[str], privs: list[str]) -> bool:
        try:
            for group in groups:
                self.accounts.check(self.identity, f"/access/groups/{group}", privs, any=True)
        except AgentError:
            return False
        return True

    def _user(self, name: str) -> None:
        if name not in ("all", "world"):
            raise denied()
