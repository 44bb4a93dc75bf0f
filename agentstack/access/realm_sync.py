# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and groups taken over from a realm's directory into user.cfg (documentation: user management, facts §17).

Users are called NAME@REALM, groups NAME-REALM. What the directory no longer has is left alone unless
`remove-vanished` says otherwise.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack._shared.property_string import parse_property_string
from agentstack.access.realms import SYNC_SCHEMA, directory_of
from agentstack.access.user_cfg import Group, User, UserCfg
from agentstack.errors import AgentError, ParameterError
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.access.directory import Crowd, Person
    from agentstack.host import Host
    from agentstack.sections import Entry

TASK = "auth-realm-sync"
"""The type of a synchronisation's task."""

TEXTS = {
    "no_scope": "scope is not defined for realm '{realm}' and not passed explicitly",
    "cannot_sync": "Cannot sync realm type '{type}'! Only LDAP/AD realms can be synced.",
}

TEXT_SETTINGS = ("firstname", "lastname", "email", "comment", "keys")


@dataclass(frozen=True)
class Options:
    """What a synchronisation does. `vanished`: what goes of what is gone: acl, properties, entry."""

    scope: str
    enable_new: bool
    vanished: frozenset[str]

    @classmethod
    def read(cls, entry: Entry, given: Mapping[str, Any]) -> Options:
        """What is given, before the realm's own defaults. Raises ParameterError without a scope."""
        known = parse_property_string(str(entry.values.get("sync-defaults-options", "")), SYNC_SCHEMA)
        found = {**known, **{name: value for name, value in given.items() if value is not None}}
        if "scope" not in found:
            raise ParameterError({"scope": TEXTS["no_scope"].format(realm=entry.id)})
        vanished = {word for word in split_list(str(found.get("remove-vanished") or "none")) if word != "none"}
        # the names of before 7.2
        vanished |= {"entry", "properties"} if _truth(found.get("full", 0)) else set()
        vanished |= {"acl"} if _truth(found.get("purge", 0)) else set()
        return cls(str(found["scope"]), _truth(found.get("enable-new", 1)), frozenset(vanished))


def check_type(entry: Entry) -> None:
    """AgentError for a realm that has no directory."""
    if entry.type not in ("ad", "ldap"):
        raise AgentError(TEXTS["cannot_sync"].format(type=entry.type))


async def synchronise(host: Host, task: Task, entry: Entry, options: Options, *, dry_run: bool) -> None:
    """The work of :data:`TASK`."""
    task.log(f"{'(dry test run) ' if dry_run else ''}starting sync for realm {entry.id}")
    directory = directory_of(host, entry)
    # groups name their members by what users are called in the directory
    people = await asyncio.to_thread(directory.users)
    crowds = await asyncio.to_thread(directory.groups) if options.scope != "users" else []
    what = {"users": "users", "groups": "groups", "both": "users and groups"}[options.scope]
    task.log(f"got data from server, updating {what}")
    if dry_run:
        # the same work on what is thrown away
        _apply(copy.deepcopy(host.access.cfg), task, entry.id, people, crowds, options)
        task.log("NOTE: Dry test run, changes were NOT written to the configuration.")
        return
    async with host.access.editing("syncing realm failed") as cfg:
        gone = _apply(cfg, task, entry.id, people, crowds, options)
        secrets = host.access.token_secrets()
        kept = {token: secret for token, secret in secrets.items() if token.partition("!")[0] not in gone}
        if kept != secrets:
            await host.access.store_token_secrets(kept)
    task.log(f"successfully updated {what} configuration")


def _apply(
    cfg: UserCfg, task: Task, realm: str, people: list[Person], crowds: list[Crowd], options: Options
) -> list[str]:
    """Change what the options say; the users that were removed."""
    gone = _users(cfg, task, realm, people, options) if options.scope != "groups" else []
    if options.scope != "users":
        _groups(cfg, task, realm, people, crowds, options)
    return gone


def _users(cfg: UserCfg, task: Task, realm: str, people: Iterable[Person], options: Options) -> list[str]:
    task.log(f"syncing users (remove-vanished opts: {_shown(options)})")
    found = {f"{person.name}@{realm}": person for person in people}
    gone = sorted(userid for userid in cfg.users if userid.endswith(f"@{realm}") and userid not in found)
    for userid, person in found.items():
        user = cfg.users.get(userid)
        if user is None:
            task.log(f"adding user '{userid}'")
            user = cfg.users[userid] = User(enable=options.enable_new, email="")
        else:
            task.log(f"updating user '{userid}'")
            if "properties" in options.vanished:
                for name in TEXT_SETTINGS:
                    setattr(user, name, "")
        _set(user, person.settings)
    if "acl" in options.vanished:
        for userid in gone:
            task.log(f"purging ACLs for user '{userid}'")
            for node in cfg.acl.values():
                node.users.pop(userid, None)
                node.tokens = {name: roles for name, roles in node.tokens.items() if not name.startswith(f"{userid}!")}
    if "entry" not in options.vanished:
        return []
    for userid in gone:
        task.log(f"removing user '{userid}'")
        del cfg.users[userid]
        for group in cfg.groups.values():
            group.users.discard(userid)
    return gone


def _set(user: User, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        if name in TEXT_SETTINGS:
            setattr(user, name, value)
        elif name == "enable":
            user.enable = value.lower() in ("1", "true", "yes", "on")
        elif name == "expire" and value.isdecimal():
            user.expire = int(value)


def _groups(
    cfg: UserCfg, task: Task, realm: str, people: Iterable[Person], crowds: Iterable[Crowd], options: Options
) -> None:
    task.log(f"syncing groups (remove-vanished opts: {_shown(options)})")
    by_dn = {person.dn: f"{person.name}@{realm}" for person in people}
    found = {f"{crowd.name}-{realm}": crowd for crowd in crowds}
    gone = sorted(name for name in cfg.groups if name.endswith(f"-{realm}") and name not in found)
    for name, crowd in found.items():
        task.log(f"{'updating' if name in cfg.groups else 'adding'} group '{name}'")
        group = cfg.groups.setdefault(name, Group())
        group.users = {userid for dn, userid in by_dn.items() if dn in crowd.members and userid in cfg.users}
        if "properties" in options.vanished:
            group.comment = ""
    for name in gone:
        if "acl" in options.vanished:
            task.log(f"purging ACLs for group '{name}'")
            for node in cfg.acl.values():
                node.groups.pop(name, None)
        if "entry" in options.vanished:
            task.log(f"removing group '{name}'")
            del cfg.groups[name]


def _shown(options: Options) -> str:
    return ";".join(sorted(options.vanished)) or "none"


def _truth(value: object) -> bool:
    return str(value).lower() in ("1", "true", "yes", "on")
