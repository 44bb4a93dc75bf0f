# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where guests land when a node is lost, by the HA manager's own choice of nodes, and whether they fit there.

The scheduler does not look at room: by default it counts services. So what it chooses is computed first, as the
manager does it (facts §7.6), one service after another by name; then it is asked whether the memory is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .ha_placement import Preference, select_node
from .ha_rule_checks import infeasible
from .ha_rules import Affinities, derive, parse_rules
from .ha_types import Load, ServiceStatus
from .ha_usage import BasicUsage, LoadUsage, Usage

COUNTED = ("started", "stopped")
"""Requested states of guests that the manager recovers; the others stay where they are."""


@dataclass(frozen=True)
class Room:
    """One node. Sizes in bytes; ``reserved``: what the host, ZFS's cache and OSDs take of ``memory``."""

    name: str
    memory: int
    reserved: int = 0
    processors: float = 0.0
    online: bool = True

    @property
    def capacity(self) -> int:
        """Bytes for guests."""
        return max(self.memory - self.reserved, 0)


@dataclass(frozen=True)
class Tenant:
    """One guest, by its name as a resource (``vm:101``). ``requested``: the state asked of HA; None: not under HA."""

    sid: str
    node: str
    memory: int
    processors: float = 0.0
    running: bool = True
    requested: str | None = "started"

    @property
    def recovered(self) -> bool:
        """Whether HA moves it when its node is lost."""
        return self.requested in COUNTED

    @property
    def takes(self) -> int:
        """Bytes that it takes where it is: what does not run and is not to run takes none."""
        return self.memory if self.running or self.requested == "started" else 0


@dataclass(frozen=True)
class Landing:
    """Where one guest goes; ``target`` None: no node may run it. ``fits``: its memory is free there by then."""

    sid: str
    target: str | None
    memory: int
    fits: bool

    def describe(self) -> dict[str, object]:
        """As plain data."""
        return {"sid": self.sid, "target": self.target, "memory": self.memory, "fits": self.fits}


@dataclass(frozen=True)
class Loss:
    """What the loss of one node does. ``used``: bytes of guests on each node left, afterwards.

    ``down``: guests that ran there, are not under HA, and so stay away with the node.
    """

    node: str
    landings: tuple[Landing, ...]
    down: tuple[str, ...]
    used: Mapping[str, int] = field(default_factory=dict)
    capacity: Mapping[str, int] = field(default_factory=dict)

    @property
    def stranded(self) -> list[Landing]:
        """Guests that find no node, or no room where the scheduler puts them."""
        return [landing for landing in self.landings if not landing.fits]

    @property
    def fits(self) -> bool:
        """Whether all that HA recovers can run again."""
        return not self.stranded

    @property
    def fullest(self) -> tuple[str, float]:
        """The node that has the least room left among those that take something, and the used part of it."""
        taking = {landing.target for landing in self.landings} - {None}
        names = [name for name in self.used if name in taking] or list(self.used)
        shares = {
            name: self.used[name] / self.capacity[name] if self.capacity[name] else float(bool(self.used[name]))
            for name in names
        }
        return max(shares.items(), key=lambda pair: pair[1]) if shares else ("", 0.0)

    def text(self) -> str:
        """In words."""
        if not self.landings:
            return f"{self.node} gone → nothing to recover"
        homeless = [each.sid for each in self.stranded if each.target is None]
        crowded: dict[str, list[str]] = {}
        for each in self.stranded:
            if each.target is not None:
                crowded.setdefault(each.target, []).append(each.sid)
        parts = [f"no node may run {', '.join(homeless)}"] if homeless else []
        parts += [f"no room for {', '.join(sids)} on {target}" for target, sids in crowded.items()]
        name, share = self.fullest
        return f"{self.node} gone → " + ("; ".join(parts) or f"{name} {share:.0%}")

    def describe(self) -> dict[str, object]:
        """As plain data."""
        name, share = self.fullest
        return {
            "node": self.node,
            "fits": self.fits,
            "landings": [landing.describe() for landing in self.landings],
            "down": list(self.down),
            "used": dict(self.used),
            "capacity": dict(self.capacity),
            "fullest": name,
            "load": round(share, 4),
            "text": self.text(),
        }


@dataclass(frozen=True)
class Picture:
    """A cluster. ``rules``: sections as in rules.cfg; ``mode``: the scheduler's, ``basic``, ``static``, ``dynamic``."""

    rooms: Sequence[Room]
    tenants: Sequence[Tenant]
    rules: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    mode: str = "basic"
    release: int = 9

    def affinities(self) -> Affinities:
        """What the rules that hold mean for each resource."""
        rules = parse_rules(self.rules)
        return derive(rules.without(infeasible(rules, [room.name for room in self.rooms])))


def forecast(picture: Picture, lost: Iterable[Sequence[str]] | None = None) -> list[Loss]:
    """What each loss does; ``lost``: sets of nodes that go at once, every single online node if it is not given."""
    affinities = picture.affinities()
    sets = [[room.name] for room in picture.rooms if room.online] if lost is None else lost
    return [_one(picture, affinities, names) for names in sets]


def tightest(losses: Iterable[Loss]) -> Loss | None:
    """The loss that leaves the least room; one after which guests do not fit before all others."""
    return max(losses, key=lambda loss: (not loss.fits, loss.fullest[1]), default=None)


def _one(picture: Picture, affinities: Affinities, lost: Sequence[str]) -> Loss:
    left = {room.name: room for room in picture.rooms if room.online and room.name not in lost}
    online = sorted(left)
    usage = _usage(picture, online)
    services: dict[str, ServiceStatus] = {}
    for tenant in picture.tenants:
        away = tenant.node not in left
        status: ServiceStatus = {"state": "recovery" if away else "started", "node": tenant.node}
        if tenant.requested == "stopped" and not away:
            status["state"] = "stopped"
        if tenant.recovered:
            services[tenant.sid] = status
            usage.place(tenant.sid, status)
        elif tenant.running and picture.release >= 9:
            # release 8 does not see what HA does not manage (facts §7.6)
            usage.place(tenant.sid, status)
    used = dict.fromkeys(online, 0)
    for tenant in picture.tenants:
        if tenant.node in used:
            used[tenant.node] += tenant.takes
    landings = []
    for tenant in sorted((each for each in picture.tenants if each.node in lost), key=lambda each: each.sid):
        if not tenant.recovered:
            continue
        target = select_node(tenant.sid, services, affinities, usage, online, failback=True, preference=Preference.BEST)
        fits = False
        if target is not None:
            services[tenant.sid] = {
                "state": "started" if tenant.requested == "started" else "request_stop",
                "node": target,
            }
            usage.place(tenant.sid, services[tenant.sid])
            takes = tenant.memory if tenant.requested == "started" else 0
            fits = used[target] + takes <= left[target].capacity or not takes
            used[target] += takes
        landings.append(Landing(tenant.sid, target, tenant.memory, fits))
    down = tuple(each.sid for each in picture.tenants if each.node in lost and each.running and not each.recovered)
    return Loss("+".join(lost), tuple(landings), down, used, {name: room.capacity for name, room in left.items()})


def _usage(picture: Picture, online: Sequence[str]) -> Usage:
    """The load as the manager sees it. What is measured changes all the time: dynamic is computed as static."""
    identity = picture.release >= 9
    if picture.mode == "static" or (picture.mode == "dynamic" and identity):
        nodes = {room.name: Load(maxcpu=room.processors, maxmem=room.memory) for room in picture.rooms}
        loads = {each.sid: Load(maxcpu=each.processors, maxmem=each.memory) for each in picture.tenants}
        return LoadUsage("static", nodes, online, loads, measured={}, identity=identity)
    return BasicUsage(online, identity)
