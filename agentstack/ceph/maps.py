# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's maps: what the monitors agree on. Pure data; `commands` says how it changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from agentstack._shared import crush_map
from agentstack.ceph.crush import Bucket, Tree

ROOT_ID = -1

TYPES = crush_map.TYPES
"""Types of CRUSH buckets, from the leaves up (docs.ceph.com, "CRUSH maps")."""


@dataclass
class Monitor:
    """A monitor in the monmap: its name, the host it runs on, its address in the public network."""

    name: str
    host: str
    address: str
    location: dict[str, str] = field(default_factory=dict)
    """Where it stands: type of bucket -> name."""


@dataclass
class Key:
    """The key of an entity, and what it allows: service (`mon`) -> capabilities (`allow profile osd`)."""

    key: str
    caps: dict[str, str] = field(default_factory=dict)


@dataclass
class CrushBucket:
    """An inner node of the CRUSH hierarchy. `parent`: id of the bucket above, None for a root or what stands apart."""

    id: int
    name: str
    type: str
    parent: int | None = None


@dataclass
class Osd:
    """One OSD. `size` in bytes, `weight`: CRUSH weight (TiB), `reweight`: 0 (out) to 1 (in).

    `host`: where it runs; `bucket`: where it stands in the CRUSH hierarchy.
    """

    id: int
    uuid: str
    host: str
    device: str
    size: int
    device_class: str
    weight: float
    bucket: int = ROOT_ID
    boot: str = ""
    """Which run of the daemon this is: a daemon that was started anew has to catch up first."""
    up: bool = False
    reweight: float = 1.0
    down_since: float | None = None
    """Wall clock of the mark "down"; an OSD that stays down for the down-out interval is marked out."""
    full: bool = False
    """Takes no more data."""
    auto_out: bool = False
    """Marked out by the monitors, not by the operator: comes in again by itself when it boots."""

    @property
    def included(self) -> bool:
        """Whether data may be placed here ("in")."""
        return self.reweight > 0


@dataclass
class Step:
    """`step choose|chooseleaf firstn COUNT type TYPE`; count 0: as many as the pool has copies."""

    op: str
    count: int
    type: str


@dataclass
class Rule:
    """A replicated CRUSH rule: take `root` (restricted to a device class), the steps, emit."""

    id: int
    name: str
    root: str = "default"
    device_class: str | None = None
    steps: list[Step] = field(default_factory=lambda: [Step("chooseleaf", 0, "host")])

    @property
    def domain(self) -> str:
        """The failure domain: the kind of bucket that no two copies share."""
        return self.steps[-1].type


@dataclass
class Stretch:
    """Stretch mode (docs.ceph.com, "Stretch Clusters"). `type`: of the buckets that are the sites."""

    tiebreaker: str
    rule: str
    type: str
    degraded: bool = False
    recovering: bool = False


@dataclass
class Pool:
    """A replicated pool; sizes are counts of copies, `target_size` in bytes."""

    id: int
    name: str
    size: int
    min_size: int
    pg_num: int
    rule: int = 0
    autoscale_mode: str = "warn"
    applications: list[str] = field(default_factory=list)
    pg_num_min: int | None = None
    target_size: int | None = None
    target_size_ratio: float | None = None
    created: int = 0
    pgp_num: int = 0
    """Groups that are placed apart; 0: all of them."""
    pg_num_target: int = 0
    """The number that merging goes on to; 0: none."""
    sites: int = 0
    """Buckets of the stretch type that must hold a copy before a group goes active; 0: no such condition."""

    @property
    def placed(self) -> int:
        """The number of placement groups for the purpose of placement (pgp_num)."""
        return self.pgp_num or self.pg_num


@dataclass
class ClusterMap:
    """All maps of one Ceph cluster. `epoch` counts every change."""

    fsid: str
    public_network: str
    cluster_network: str
    created: int
    epoch: int = 1
    monitors: dict[str, Monitor] = field(default_factory=dict)
    managers: dict[str, str] = field(default_factory=dict)
    """Manager name -> host."""
    active_manager: str | None = None
    keys: dict[str, Key] = field(default_factory=dict)
    """Entity (`mgr.pve1`) -> its key; see `auth`."""
    osds: dict[int, Osd] = field(default_factory=dict)
    pools: dict[int, Pool] = field(default_factory=dict)
    buckets: dict[int, CrushBucket] = field(default_factory=lambda: {ROOT_ID: CrushBucket(ROOT_ID, "default", "root")})
    rules: dict[int, Rule] = field(default_factory=lambda: {0: Rule(0, "replicated_rule")})
    flags: list[str] = field(default_factory=list)
    local_flags: dict[str, list[str]] = field(default_factory=dict)
    """Name of a bucket, of a device class or of an OSD (`osd.3`) -> flags of what it stands for alone."""
    config: dict[str, dict[str, str]] = field(default_factory=dict)
    """The monitors' configuration database: section (`mon`, `osd.3`) -> option -> value."""
    groups: dict[str, list[list[int]]] = field(default_factory=dict)
    """Placement groups whose data is elsewhere than CRUSH wants it: `POOL.SEED` -> OSDs that have all acknowledged
    writes, OSDs that had them before they went down (see `peering`)."""
    group_epoch: int = 1
    """Grows whenever OSDs, or what they hold, changes: writes carry it."""
    election_strategy: str = "classic"
    stretch: Stretch | None = None
    last_pool: int = 0
    release: str = "squid"
    version: str = "19.2.3"

    def pool(self, name: str) -> Pool | None:
        """The pool of that name, if any."""
        return next((pool for pool in self.pools.values() if pool.name == name), None)

    def rule(self, name: str) -> Rule | None:
        """The CRUSH rule of that name, if any."""
        return next((rule for rule in self.rules.values() if rule.name == name), None)

    def bucket(self, name: str) -> CrushBucket | None:
        """The CRUSH bucket of that name, if any."""
        return next((bucket for bucket in self.buckets.values() if bucket.name == name), None)

    def bucket_above(self, bucket: int | None, kind: str) -> CrushBucket | None:
        """The bucket of a type at or above a bucket."""
        while bucket is not None:
            found = self.buckets[bucket]
            if found.type == kind:
                return found
            bucket = found.parent
        return None

    def location(self, bucket: int | None) -> dict[str, str]:
        """Type -> name of a bucket and of all above it, the topmost first."""
        path = []
        while bucket is not None:
            found = self.buckets[bucket]
            path.append((found.type, found.name))
            bucket = found.parent
        return dict(reversed(path))

    def flags_of(self, osd: Osd) -> set[str]:
        """The flags that hold for one OSD: those of the cluster, its own, and those of where it stands."""
        places = (f"osd.{osd.id}", osd.device_class, *self.location(osd.bucket).values())
        return {*self.flags, *(flag for place in places for flag in self.local_flags.get(place, ()))}

    def children(self, bucket: int) -> list[int]:
        """What hangs below a bucket: ids of buckets (negative) and OSDs."""
        below = [child.id for child in self.buckets.values() if child.parent == bucket]
        return sorted(below, reverse=True) + sorted(osd.id for osd in self.osds.values() if osd.bucket == bucket)

    def hosts(self) -> list[str]:
        """Hosts with OSDs, by name."""
        return sorted({osd.host for osd in self.osds.values()})

    def tree(self, device_class: str | None = None) -> Tree:
        """The CRUSH hierarchy with weights, of all devices or those of one class."""
        buckets = {entry.id: Bucket(entry.id, entry.name, entry.type) for entry in self.buckets.values()}
        for osd in self.osds.values():
            if device_class in (None, osd.device_class) and osd.bucket in buckets:
                buckets[osd.bucket].items[osd.id] = osd.weight
        # from the leaves up, so that a bucket's weight is complete before its parent takes it
        for entry in sorted(self.buckets.values(), key=lambda entry: TYPES[entry.type]):
            if entry.parent is not None:
                buckets[entry.parent].items[entry.id] = buckets[entry.id].weight
        return Tree(list(buckets.values()))

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ClusterMap:
        """The maps held by a document of `to_json` (JSON turns the numeric keys into strings)."""
        values = dict(document)
        values["monitors"] = {name: Monitor(**entry) for name, entry in values["monitors"].items()}
        values["keys"] = {entity: Key(**entry) for entity, entry in values["keys"].items()}
        values["osds"] = {int(key): Osd(**entry) for key, entry in values["osds"].items()}
        values["pools"] = {int(key): Pool(**entry) for key, entry in values["pools"].items()}
        values["rules"] = {
            int(key): Rule(**{**entry, "steps": [Step(**step) for step in entry["steps"]]})
            for key, entry in values["rules"].items()
        }
        values["buckets"] = {int(key): CrushBucket(**entry) for key, entry in values["buckets"].items()}
        values["stretch"] = Stretch(**values["stretch"]) if values["stretch"] else None
        return cls(**values)
