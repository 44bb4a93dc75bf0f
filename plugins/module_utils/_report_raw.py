# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report is made of, as the servers said it. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._guest_facts import GuestFacts
from ._ha import HaStatus
from ._link_steps import LinkStatus
from ._membership import Membership
from ._pure.crush_map import CrushMap
from ._pure.ha_forecast import Picture

Row = Mapping[str, Any]


@dataclass
class CephRaw:
    """Ceph's own answers."""

    status: Row
    pools: Sequence[Row] = ()
    osds: Row = field(default_factory=dict)
    crush: CrushMap | None = None


@dataclass
class BackupServer:
    """One backup server: its snapshots with ``store`` and ``ns``, or why there are none."""

    name: str
    addresses: tuple[str, ...] = ()
    snapshots: Sequence[Row] = ()
    stores: Sequence[Row] = ()
    syncs: Sequence[Row] = ()
    error: str = ""


@dataclass
class Raw:
    """All of it. ``links``: by node what it sees of each link, or the reason why that is not known."""

    now: int
    membership: Membership
    facts: GuestFacts
    ha: HaStatus = field(default_factory=HaStatus)
    config_nodes: Sequence[Row] = ()
    totem: Row = field(default_factory=dict)
    qdevice: Row = field(default_factory=dict)
    options: Row = field(default_factory=dict)
    backup_jobs: Sequence[Row] = ()
    replication_states: Mapping[str, Row] = field(default_factory=dict)
    ceph: CephRaw | None = None
    links: Mapping[str, Mapping[int, LinkStatus] | str] = field(default_factory=dict)
    servers: Sequence[BackupServer] = ()
    picture: Picture | None = None
    drills: Sequence[Row] = ()
    restores: Sequence[Row] = ()
    unread: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BackupClass:
    """Guests that are backed up alike, by a job of this name. ``max_age`` in seconds; None: by the job's schedule."""

    name: str
    max_age: float | None = None


@dataclass(frozen=True)
class Wishes:
    """What the inventory says beside: nodes (name, site, voter), classes by guest, and what is allowed."""

    title: str = ""
    nodes: Sequence[Row] = ()
    backup_max_age: float = 26 * 3600
    services_known: Sequence[Any] = ()
    classes: Mapping[str, Row] = field(default_factory=dict)
    backup_classes: Sequence[BackupClass] = ()
    recovery_promised: float = 180
    service_promised: float = 240

    def site(self, node: str) -> str:
        """The site that a node stands in, if it is said."""
        return str(next((each.get("site") or "" for each in self.nodes if each.get("name") == node), ""))

    def voter(self, node: str) -> bool:
        """Whether a node only votes."""
        return any(each.get("name") == node and each.get("voter") for each in self.nodes)
