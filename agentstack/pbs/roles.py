# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges, roles and access control of a backup server (facts §20.5; its documentation, "User Management")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_ROLES: Mapping[str, str] = {
    "Audit": "Sys.Audit Datastore.Audit",
    "NoAccess": "",
    "DatastoreAdmin": "Datastore.Audit Datastore.Modify Datastore.Read Datastore.Verify Datastore.Backup "
    "Datastore.Prune",
    "DatastoreReader": "Datastore.Audit Datastore.Verify Datastore.Read",
    "DatastoreBackup": "Datastore.Backup",
    "DatastorePowerUser": "Datastore.Prune Datastore.Backup",
    "DatastoreAudit": "Datastore.Audit",
    "RemoteAudit": "Remote.Audit",
    "RemoteAdmin": "Remote.Audit Remote.Modify Remote.Read",
    "RemoteSyncOperator": "Remote.Audit Remote.Read",
    "RemoteSyncPushOperator": "Remote.Audit Remote.Read Remote.DatastoreBackup",
    "RemoteDatastorePowerUser": "Remote.Audit Remote.Read Remote.DatastoreBackup Remote.DatastorePrune",
    "RemoteDatastoreAdmin": "Remote.Audit Remote.Read Remote.DatastoreBackup Remote.DatastoreModify "
    "Remote.DatastorePrune",
    "TapeAudit": "Tape.Audit",
    "TapeAdmin": "Tape.Audit Tape.Modify Tape.Read Tape.Write",
    "TapeOperator": "Tape.Audit Tape.Read Tape.Write",
    "TapeReader": "Tape.Audit Tape.Read",
}
_ADMINS_ALONE = (
    "Sys.Modify",
    "Sys.PowerManagement",
    "Sys.Console",
    "Datastore.Allocate",
    "Permissions.Modify",
    "Realm.Allocate",
)

PRIVILEGES = frozenset(privilege for text in _ROLES.values() for privilege in text.split()) | set(_ADMINS_ALONE)
ROLES: Mapping[str, frozenset[str]] = {
    "Admin": PRIVILEGES,
    **{name: frozenset(text.split()) for name, text in _ROLES.items()},
}

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._\-]*"
_VALID = re.compile(
    r"/(?:"
    r"access(?:/(?:acl|users|domains|openid))?"
    rf"|datastore(?:/{_NAME}){{0,9}}"
    rf"|remote(?:/{_NAME}){{0,10}}"
    rf"|tape(?:/(?:device|pool)(?:/{_NAME})?|/job)?"
    rf"|system(?:/(?:certificates(?:/acme)?|disks|log|network(?:/(?:dns|interfaces(?:/[^/]+)?))?"
    rf"|notifications|services(?:/{_NAME})?|s3-endpoint(?:/{_NAME})?|status|tasks|time))?"
    r")?"
)


def is_valid_path(path: str) -> bool:
    """Whether there can be an object at this path."""
    return _VALID.fullmatch(path) is not None


@dataclass
class Acl:
    """Who has which role where: path → user or token → role → whether it also holds below."""

    entries: dict[str, dict[str, dict[str, bool]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Acl:
        """Read acl.cfg: `acl:PROPAGATE:PATH:AUTHID,…:ROLE,…` a line."""
        acl = cls()
        for line in text.splitlines():
            word, propagate, path, subjects, roles = line.split(":")
            if word == "acl":
                for subject in subjects.split(","):
                    for role in roles.split(","):
                        acl.put(path, subject, role, propagate == "1")
        return acl

    def format(self) -> str:
        """The content of acl.cfg."""
        lines: list[str] = []
        for path, subject, role, propagate in self:
            lines.append(f"acl:{int(propagate)}:{path}:{subject}:{role}\n")
        return "".join(lines)

    def __iter__(self) -> Iterator[tuple[str, str, str, bool]]:
        for path in sorted(self.entries):
            for subject in sorted(self.entries[path]):
                for role in sorted(self.entries[path][subject]):
                    yield path, subject, role, self.entries[path][subject][role]

    def put(self, path: str, subject: str, role: str, propagate: bool) -> None:
        """Give a role."""
        self.entries.setdefault(path, {}).setdefault(subject, {})[role] = propagate

    def drop(self, path: str, subject: str, role: str) -> None:
        """Take a role away; nothing happens if it is not there."""
        subjects = self.entries.get(path, {})
        subjects.get(subject, {}).pop(role, None)
        if not subjects.get(subject):
            subjects.pop(subject, None)
        if not subjects:
            self.entries.pop(path, None)

    def forget(self, subject: str) -> None:
        """Take everything away from a user or token."""
        for path in list(self.entries):
            for role in list(self.entries[path].get(subject, {})):
                self.drop(path, subject, role)

    def forget_below(self, path: str) -> None:
        """Take everything away that was given on a path or below it."""
        for found in list(self.entries):
            if found == path or found.startswith(f"{path}/"):
                del self.entries[found]

    def privileges(self, subject: str, path: str) -> dict[str, bool]:
        """Privilege → propagate on a path; the deepest entry counts, and NoAccess takes everything."""
        roles: dict[str, bool] = {}
        for level in _levels(path):
            given = self.entries.get(level, {}).get(subject, {})
            here = {role: propagate for role, propagate in given.items() if propagate or level == path}
            if here:
                roles = here
        found: dict[str, bool] = {}
        if "NoAccess" not in roles:
            for role, propagate in roles.items():
                for privilege in ROLES[role]:
                    found[privilege] = found.get(privilege, False) or propagate
        return found


def _levels(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: depth + 1]) for depth in range(len(parts)))]
