# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which roles and privileges somebody has on a path (facts §3.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agentstack.access.user_cfg import UserCfg

_VALID = re.compile(
    r"/(?:"
    r"access(?:/groups(?:/[^/]+)?|/realm(?:/[^/]+)?)?"
    r"|nodes(?:/[^/]+)?"
    r"|pool(?:/[A-Za-z0-9.\-_]+){0,3}"
    r"|sdn(?:/(?:controllers|dns|ipams|fabrics|zones|route-maps|prefix-lists)(?:/[^/]+){0,3})?"
    r"|storage(?:/[^/]+)?"
    r"|vms(?:/[1-9][0-9]{2,8})?"
    r"|mapping(?:/(?:cpu|dir|pci|usb|notifications)(?:/[^/]+)?)?"
    r")?"
)

Roles = dict[str, bool]
"""Role → whether it also holds below the path."""


def normalize_path(path: str) -> str | None:
    """An ACL path without doubled or trailing slashes; None if it does not start with one."""
    if not path.startswith("/"):
        return None
    return "/" + "/".join(part for part in path.split("/") if part)


def is_valid_path(path: str) -> bool:
    """Whether there can be an object at this (normalised) path."""
    return _VALID.fullmatch(path) is not None


def _levels(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: n + 1]) for n in range(len(parts)))]


def _effective(roles: Mapping[str, bool], final: bool) -> Roles:
    found = {role: propagate for role, propagate in roles.items() if final or propagate}
    return {"NoAccess": found["NoAccess"]} if "NoAccess" in found else found


def roles_of(cfg: UserCfg, subject: str, path: str) -> Roles:
    """The roles of a user or token id on a path: the deepest entry counts, a user's own before those of groups."""
    groups = [] if "!" in subject else cfg.groups_of(subject)
    roles: Roles = {}
    for level in _levels(path):
        node = cfg.acl.get(level)
        if node is None:
            continue
        final = level == path
        own = _effective((node.tokens if "!" in subject else node.users).get(subject, {}), final)
        if not own:
            shared: Roles = {}
            for group in groups:
                shared |= node.groups.get(group, {})
            own = _effective(shared, final)
        if own:
            roles = own
    return roles


def privileges_of(cfg: UserCfg, builtin: Mapping[str, frozenset[str]], subject: str, path: str) -> dict[str, bool]:
    """Privilege → propagate on a path, with what a guest or storage gets from its pool."""
    roles = roles_of(cfg, subject, path)
    found = _privileges(cfg, builtin, roles)
    if "NoAccess" not in roles:
        for pool in _pools_of(cfg, path):
            for privilege, propagate in _privileges(cfg, builtin, roles_of(cfg, subject, f"/pool/{pool}")).items():
                found.setdefault(privilege, propagate)
    return found


def _privileges(cfg: UserCfg, builtin: Mapping[str, frozenset[str]], roles: Roles) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for role, propagate in roles.items():
        for privilege in builtin.get(role, cfg.roles.get(role, ())):
            found[privilege] = found.get(privilege, False) or propagate
    return found


def _pools_of(cfg: UserCfg, path: str) -> list[str]:
    kind, _, name = path.strip("/").partition("/")
    if kind == "vms" and name.isdecimal():
        return [pool for pool, members in cfg.pools.items() if int(name) in members.vms]
    if kind == "storage" and name:
        return [pool for pool, members in cfg.pools.items() if name in members.storages]
    return []
