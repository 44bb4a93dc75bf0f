# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""API tokens and access rules of a backup server (facts §20.5). Private to this collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._errors import InputError, QuorateError
from ._pbs import PbsCollection
from ._plan import CREATE, UPDATE, Change, Wanted, raise_all
from ._secret_files import begin_secret, has_secret, prepare_directory, was_begun, write_secret
from ._spec import PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN, INTEGER, TEXT, Form

USERS = "/access/users"
SECRET, IN_FILE, LOST = "secret", "in the file", "lost"


def _tokenid(value: Any) -> str:
    user, mark, name = str(value).partition("!")
    if not (mark and name and "@" in user):
        raise ValueError(f"'{value}' is not like user@realm!name")
    return str(value)


def _path(value: Any) -> str:
    return "/" + str(value).strip("/")


TOKENS = Spec(
    kind="API token",
    option="tokens",
    keys=("tokenid",),
    path=USERS,
    item_path=USERS,
    fields=(
        Field("tokenid", Form(_tokenid, str, "str"), required=True, sent=False),
        Field("comment"),
        Field("enable", BOOLEAN, default=True),
        Field("expire", INTEGER, default=0),
        Field("secret_file", Form(str, str, "path"), needed=True, listed=False, sent=False),
        Field("regenerate", BOOLEAN, listed=False, sent=False),
    ),
)


class Tokens(PbsCollection):
    """The API tokens of all users. What is written is the token here, and its secret on this machine."""

    spec = TOKENS

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All users with their tokens, in one call."""
        users = self.api.client.get(USERS, include_tokens=True)
        self._users = {str(user["userid"]) for user in users}
        return self.by_key([token for user in users for token in user.get("tokens") or []])

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Beside what differs: tokens whose secret is not where it should be."""
        changes = super().plan(wanted, actual, whole=whole)
        errors: list[QuorateError] = []
        for want in wanted:
            path, key = want.item.get("secret_file"), TOKENS.key(want.item)
            if want.state != PRESENT or not path or key not in actual or has_secret(path):
                continue
            # nobody can have used a secret that a run asked for and never kept
            if not want.item.get("regenerate") and not was_begun(path):
                errors.append(
                    InputError(
                        f"the token is there, and its secret is not in {path}; the server said it once",
                        where=f"{want.where}: secret_file",
                        hint="Bring the file back, or say regenerate: true, which ends what uses the old secret.",
                    )
                )
                continue
            change = next((each for each in changes if each.key == key), None)
            if change is None:
                change = Change(UPDATE, TOKENS.kind, TOKENS.label(want.item), key, want.item, actual[key])
                change = replace(change, where=want.where, element=want.element)
                changes.append(change)
            renewed = replace(change, before={**change.before, SECRET: LOST}, after={**change.after, SECRET: IN_FILE})
            changes[changes.index(change)] = renewed
        raise_all(errors)
        return changes

    def check(self, changes: Sequence[Change]) -> None:
        """The token's user must be there."""
        for change in changes:
            user = _user(change.key)
            if change.action == CREATE and user not in self._users:
                if not self.api.check_mode:
                    raise InputError(
                        f"there is no user {user}", where=change.where, hint=f"There are: {', '.join(self._users)}."
                    )
                self.api.unknown.append(f"{change.where}: there is no user {user} yet")

    def create(self, change: Change) -> None:
        """POST, and keep the secret of the answer."""
        path = str(change.item["secret_file"])
        prepare_directory(path, f"{change.where}: secret_file")
        begin_secret(path)
        answer = self.api.client.post(_url(change.key), TOKENS.payload(change.item))
        write_secret(path, str(answer["value"]))

    def update(self, change: Change) -> None:
        """PUT; a new secret, if the old one is lost, is in the answer."""
        payload: dict[str, Any] = TOKENS.payload(change.set)
        if change.unset:
            payload["delete"] = [TOKENS.field(name).api_name for name in change.unset]
        path = str(change.item.get("secret_file"))
        renew = SECRET in change.after
        if renew:
            prepare_directory(path, f"{change.where}: secret_file")
            payload["regenerate"] = True
        answer = self.api.client.put(_url(change.key), payload)
        if renew:
            write_secret(path, str(answer["secret"]))

    def delete(self, change: Change) -> None:
        """DELETE; the file stays."""
        self.api.client.delete(_url(change.key))


def _user(key: Key) -> str:
    return str(key[0]).partition("!")[0]


def _url(key: Key) -> str:
    return f"{USERS}/{_user(key)}/token/{str(key[0]).partition('!')[2]}"


ROLES = (
    *("Admin", "Audit", "NoAccess"),
    *("DatastoreAdmin", "DatastoreReader", "DatastoreBackup", "DatastorePowerUser", "DatastoreAudit"),
    *("RemoteAudit", "RemoteAdmin", "RemoteSyncOperator", "RemoteSyncPushOperator"),
    *("RemoteDatastorePowerUser", "RemoteDatastoreAdmin"),
)

ACLS = Spec(
    kind="rule",
    option="acls",
    keys=("path", "auth_id", "role"),
    label_format="{path} {auth_id} {role}",
    path="/access/acl",
    item_path="/access/acl",
    fields=(
        Field("path", Form(_path, str, "str"), required=True),
        Field("auth_id", TEXT, "auth-id", required=True),
        Field("role", required=True),
        Field("propagate", BOOLEAN, default=True),
    ),
)


class Acls(PbsCollection):
    """Entries of acl.cfg, all of which are set and dropped by the same call."""

    spec = ACLS

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Roles that no server has are found before anything is written."""
        raise_all(
            [
                InputError(
                    f"there is no role {want.item['role']}", where=want.where, hint=f"There are: {', '.join(ROLES)}."
                )
                for want in wanted
                if want.item["role"] not in ROLES
            ]
        )
        return wanted

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The list has other names for the same things."""
        answers = self.api.client.get(ACLS.path)
        return self.by_key([{**answer, "auth-id": answer["ugid"], "role": answer["roleid"]} for answer in answers])

    def check(self, changes: Sequence[Change]) -> None:
        """Who is given something must be there."""
        given = [change for change in changes if change.action == CREATE]
        if not given:
            return
        users = self.api.client.get(USERS, include_tokens=True)
        known = {str(user["userid"]) for user in users}
        known |= {str(token["tokenid"]) for user in users for token in user.get("tokens") or []}
        errors: list[QuorateError] = []
        for change in given:
            who = str(change.item["auth_id"])
            if who in known:
                continue
            if self.api.check_mode:
                self.api.unknown.append(f"{change.where}: there is no {who} yet")
            else:
                hint = f"There are: {', '.join(sorted(known))}."
                errors.append(InputError(f"there is no user or API token {who}", where=change.where, hint=hint))
        raise_all(errors)

    def create(self, change: Change) -> None:
        """PUT."""
        self.api.client.put(ACLS.path, ACLS.payload(change.item))

    def update(self, change: Change) -> None:
        """PUT, which replaces."""
        self.create(change)

    def delete(self, change: Change) -> None:
        """PUT, with ``delete`` as a switch."""
        payload = ACLS.payload({name: change.actual[name] for name in ACLS.keys})
        self.api.client.put(ACLS.path, {**payload, "delete": True})
