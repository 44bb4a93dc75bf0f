# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/pve/user.cfg: users, tokens, groups, pools, roles and access control, one record a line (observed: files).

    user:USERID:ENABLE:EXPIRE:FIRSTNAME:LASTNAME:EMAIL:COMMENT:KEYS:
    token:USERID!NAME:EXPIRE:PRIVSEP:COMMENT:
    group:NAME:USERS:COMMENT:
    pool:NAME:COMMENT:VMIDS:STORAGES:
    role:NAME:PRIVILEGES:
    acl:PROPAGATE:PATH:USERS,@GROUPS,TOKENS:ROLES:

Free texts are percent-encoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from agentstack._shared.lists import split_list

_UNSAFE = re.compile(rb"[^\x20-\x7e]|[%:]")


@dataclass
class Token:
    """An API token; `expire` in epoch seconds, 0 for never."""

    expire: int = 0
    privsep: bool = True
    comment: str = ""


@dataclass
class User:
    """A user; `expire` in epoch seconds, 0 for never; `keys` are second factors of the old kind.

    `email` is None only for the root@pam that is there before any line names it.
    """

    enable: bool = True
    expire: int = 0
    firstname: str = ""
    lastname: str = ""
    email: str | None = None
    comment: str = ""
    keys: str = ""
    tokens: dict[str, Token] = field(default_factory=dict)


@dataclass
class Group:
    """A group with its members' user ids."""

    users: set[str] = field(default_factory=set)
    comment: str = ""


@dataclass
class Pool:
    """A resource pool."""

    comment: str = ""
    vms: set[int] = field(default_factory=set)
    storages: set[str] = field(default_factory=set)


@dataclass
class AclNode:
    """Who has which roles at one path: subject → role → propagate. Subjects are user ids, group names, token ids."""

    users: dict[str, dict[str, bool]] = field(default_factory=dict)
    groups: dict[str, dict[str, bool]] = field(default_factory=dict)
    tokens: dict[str, dict[str, bool]] = field(default_factory=dict)


@dataclass
class UserCfg:
    """The whole file; `root@pam` is always there, the built-in roles never."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    roles: dict[str, set[str]] = field(default_factory=dict)
    acl: dict[str, AclNode] = field(default_factory=dict)

    def groups_of(self, userid: str) -> list[str]:
        """The names of the groups a user belongs to."""
        return [name for name, group in self.groups.items() if userid in group.users]

    def pool_of(self, vmid: int) -> str | None:
        """The pool a guest belongs to."""
        return next((name for name, pool in self.pools.items() if vmid in pool.vms), None)


def encode_text(text: str) -> str:
    """A free text as it stands in the file."""
    return _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], text.encode()).decode()


def parse_user_cfg(text: str) -> UserCfg:
    """Read the file; lines that are no records are skipped, as the server does with a warning in its log."""
    cfg = UserCfg(users={"root@pam": User()})
    for line in text.splitlines():
        kind, *fields = line.strip().split(":")
        fields += [""] * 8
        if kind == "user":
            first, last, email, comment = (unquote(found) for found in fields[3:7])
            cfg.users[fields[0]] = User(fields[1] == "1", int(fields[2] or 0), first, last, email, comment, fields[7])
        elif kind == "token":
            userid, _, name = fields[0].partition("!")
            token = Token(int(fields[1] or 0), fields[2] == "1", unquote(fields[3]))
            # a token may stand before its user's line only if the user has none yet
            cfg.users.setdefault(userid, User()).tokens[name] = token
        elif kind == "group":
            cfg.groups[fields[0]] = Group(set(split_list(fields[1])), unquote(fields[2]))
        elif kind == "pool":
            cfg.pools[fields[0]] = Pool(
                unquote(fields[1]), {int(v) for v in split_list(fields[2])}, set(split_list(fields[3]))
            )
        elif kind == "role":
            cfg.roles[fields[0]] = set(split_list(fields[1]))
        elif kind == "acl":
            _add_acl(cfg, fields)
    return cfg


def _add_acl(cfg: UserCfg, fields: list[str]) -> None:
    node = cfg.acl.setdefault(fields[1], AclNode())
    for subject in split_list(fields[2]):
        if subject.startswith("@"):
            subjects, name = node.groups, subject[1:]
        elif "!" in subject:
            subjects, name = node.tokens, subject
        else:
            subjects, name = node.users, subject
        for role in split_list(fields[3]):
            subjects.setdefault(name, {})[role] = fields[0] == "1"


def format_user_cfg(cfg: UserCfg) -> str:
    """Write the file: blocks with an empty line after each, records by name."""
    lines: list[str] = []
    for userid, user in sorted(cfg.users.items()):
        texts = [encode_text(text) for text in (user.firstname, user.lastname, user.email or "", user.comment)]
        lines.append(":".join(["user", userid, str(int(user.enable)), str(user.expire), *texts, user.keys, ""]))
        for name, token in sorted(user.tokens.items()):
            comment = encode_text(token.comment)
            lines.append(f"token:{userid}!{name}:{token.expire}:{int(token.privsep)}:{comment}:")
    lines.append("")
    for name, group in sorted(cfg.groups.items()):
        lines.append(f"group:{name}:{','.join(sorted(group.users))}:{encode_text(group.comment)}:")
    lines.append("")
    for name, pool in sorted(cfg.pools.items()):
        vms = ",".join(str(vmid) for vmid in sorted(pool.vms))
        lines.append(f"pool:{name}:{encode_text(pool.comment)}:{vms}:{','.join(sorted(pool.storages))}:")
    lines.append("")
    for name, privs in sorted(cfg.roles.items()):
        lines.append(f"role:{name}:{','.join(sorted(privs))}:")
    lines.append("")
    for path, node in sorted(cfg.acl.items()):
        lines += _acl_lines(path, node)
    return "\n".join(lines) + "\n"


def _acl_lines(path: str, node: AclNode) -> list[str]:
    """One line for every set of roles that some subjects share (observed: files)."""
    shared: dict[tuple[bool, str], list[str]] = {}
    for mark, subjects in (("@", node.groups), ("", node.users), ("", node.tokens)):
        for name, roles in subjects.items():
            for propagate in (False, True):
                found = ",".join(sorted(role for role, how in roles.items() if how is propagate))
                if found:
                    shared.setdefault((propagate, found), []).append(mark + name)
    return [f"acl:{int(propagate)}:{path}:{','.join(names)}:{roles}:" for (propagate, roles), names in shared.items()]
