# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's maps: what the monitors agree on. Pure data; `commands` says how it changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from agentstack.ceph.crush import Bucket, Tree

ROOT_ID = -1


@dataclass
class Monitor:
    """A monitor in the monmap: its name, the host it runs on, its address in the public network."""

    name: str
    host: str
    address: str


@dataclass
class Osd:
    """One OSD. `size` in bytes, `weight`: CRUSH weight (TiB), `reweight`: 0 (out) to 1 (in)."""

    id: int
    uuid: str
    host: str
    device: str
    size: int
    device_class: str
    weight: float
    up: bool = False
    reweight: float = 1.0
    down_since: float | None = None
    """Wall clock of the mark "down"; an OSD that stays down for the down-out interval is marked out."""
    auto_out: bool = False
    """Marked out by the monitors, not by the operator: comes in again by itself when it boots."""

    @property
    def included(self) -> bool:
        """Whether data may be placed here ("in")."""
        return self.reweight > 0


@dataclass
class Rule:
    """A replicated CRUSH rule: take `root` (restricted to a device class), one leaf per failure `domain`."""

    id: int
    name: str
    root: str = "default"
    domain: str = "host"
    device_class: str | None = None


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
    stored: int = 0


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
    osds: dict[int, Osd] = field(default_factory=dict)
    pools: dict[int, Pool] = field(default_factory=dict)
    rules: dict[int, Rule] = field(default_factory=lambda: {0: Rule(0, "replicated_rule")})
    flags: list[str] = field(default_factory=list)
    last_pool: int = 0
    release: str = "squid"
    version: str = "19.2.3"

    def pool(self, name: str) -> Pool | None:
        """The pool of that name, if any."""
        return next((pool for pool in self.pools.values() if pool.name == name), None)

    def rule(self, name: str) -> Rule | None:
        """The CRUSH rule of that name, if any."""
        return next((rule for rule in self.rules.values() if rule.name == name), None)

    def hosts(self) -> list[str]:
        """Hosts with OSDs, by name."""
        return sorted({osd.host for osd in self.osds.values()})

    def host_ids(self) -> dict[str, int]:
        """Bucket ids of the hosts: below the root's, in the order in which hosts got their first OSD."""
        names: dict[str, int] = {}
        for number in sorted(self.osds):
            names.setdefault(self.osds[number].host, -3 - 2 * len(names))
        return names

    def tree(self, device_class: str | None = None) -> Tree:
        """The CRUSH hierarchy root default → hosts → OSDs, of all devices or those of one class."""
        ids = self.host_ids()
        buckets = {name: Bucket(ids[name], name, "host") for name in ids}
        for osd in self.osds.values():
            if device_class in (None, osd.device_class):
                buckets[osd.host].items[osd.id] = osd.weight
        root = Bucket(ROOT_ID, "default", "root", {bucket.id: bucket.weight for bucket in buckets.values()})
        return Tree([root, *buckets.values()])

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ClusterMap:
        """The maps held by a document of `to_json` (JSON turns the numeric keys into strings)."""
        values = dict(document)
        values["monitors"] = {name: Monitor(**entry) for name, entry in values["monitors"].items()}
        values["osds"] = {int(key): Osd(**entry) for key, entry in values["osds"].items()}
        values["pools"] = {int(key): Pool(**entry) for key, entry in values["pools"].items()}
        values["rules"] = {int(key): Rule(**entry) for key, entry in values["rules"].items()}
        return cls(**values)
