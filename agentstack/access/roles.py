# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges and built-in roles (facts §3.4, §17).

Every area's privileges fall into four classes: what only Administrator has (`root`), and what an area's admin, user
and auditor have. The built-in roles follow from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class _Area:
    root: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    audit: tuple[str, ...] = ()


_VM_ADMIN = (
    "VM.Allocate",
    "VM.Clone",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Migrate",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
)
_VM_USER = ("VM.Backup", "VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console", "VM.PowerMgmt")
_GUEST_AGENT = tuple(f"VM.GuestAgent.{what}" for what in ("FileRead", "FileSystemMgmt", "FileWrite", "Unrestricted"))

_AREAS: Mapping[str, _Area] = {
    "Sys": _Area(
        root=("Sys.AccessNetwork", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt", "Permissions.Modify"),
        admin=("Sys.Console", "Sys.Syslog"),
        audit=("Sys.Audit",),
    ),
    "Datastore": _Area(
        admin=("Datastore.Allocate", "Datastore.AllocateTemplate"),
        user=("Datastore.AllocateSpace",),
        audit=("Datastore.Audit",),
    ),
    "SDN": _Area(admin=("SDN.Allocate",), user=("SDN.Use",), audit=("SDN.Audit",)),
    "User": _Area(root=("Realm.Allocate",), admin=("Group.Allocate", "Realm.AllocateUser", "User.Modify")),
    "Pool": _Area(admin=("Pool.Allocate",), user=("Pool.Audit",), audit=("Pool.Audit",)),
    "Mapping": _Area(admin=("Mapping.Modify",), user=("Mapping.Use",), audit=("Mapping.Audit",)),
}

_VM: Mapping[str, _Area] = {
    "8": _Area(admin=(*_VM_ADMIN, "VM.Monitor"), user=_VM_USER, audit=("VM.Audit",)),
    "9": _Area(
        admin=(*_VM_ADMIN, *_GUEST_AGENT, "VM.Replicate"), user=_VM_USER, audit=("VM.Audit", "VM.GuestAgent.Audit")
    ),
}

_USER_ROLES = ("VM", "Datastore", "SDN", "Pool", "Mapping")
"""Areas with a role `PVE…User`."""


def _areas(release: str) -> dict[str, _Area]:
    return {"VM": _VM[release.split(".")[0]], **_AREAS}


@lru_cache
def privileges(release: str) -> frozenset[str]:
    """All privileges of a release (`9.2`, `8.4`)."""
    return frozenset(p for a in _areas(release).values() for p in (*a.root, *a.admin, *a.user, *a.audit))


@lru_cache
def builtin_roles(release: str) -> Mapping[str, frozenset[str]]:
    """The roles that cannot be changed, with their privileges."""
    areas = _areas(release)
    roles = {
        "Administrator": privileges(release),
        "NoAccess": frozenset[str](),
        "PVEAdmin": frozenset(p for a in areas.values() for p in (*a.admin, *a.user, *a.audit)),
        "PVEAuditor": frozenset(p for a in areas.values() for p in a.audit),
        "PVETemplateUser": frozenset({"VM.Audit", "VM.Clone"}),
    }
    for name, area in areas.items():
        roles[f"PVE{name}Admin"] = frozenset((*area.admin, *area.user, *area.audit))
        if name in _USER_ROLES:
            roles[f"PVE{name}User"] = frozenset((*area.user, *area.audit))
    return roles
