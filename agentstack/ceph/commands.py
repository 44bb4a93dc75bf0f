# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the maps change: each command is a function of the present maps and the command's arguments, nothing else.

Monitors apply the same commands in the same order, so whatever a command needs from outside (the time, a host's name)
comes in its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentstack.ceph.maps import ClusterMap, Monitor, Osd, Pool, Rule
from agentstack.errors import AgentError

TIB = 2**40
MAX_PGS_PER_OSD = 250
"""mon_max_pg_per_osd: copies of placement groups per OSD above which no pool can be made."""

Apply = Callable[..., Any]
COMMANDS: dict[str, Apply] = {}


def command(function: Apply) -> Apply:
    """Register a command under its function's name."""
    COMMANDS[function.__name__] = function
    return function


def apply(cluster: ClusterMap, name: str, arguments: dict[str, Any]) -> Any:
    """Change `cluster` by one command; returns its JSON result. Raises AgentError and then changes nothing."""
    result = COMMANDS[name](cluster, **arguments)
    cluster.epoch += 1
    return result


# --- monitors and managers ----------------------------------------------------------------------------------------


@command
def monitor_add(cluster: ClusterMap, name: str, host: str, address: str) -> None:
    """Take a monitor into the monmap."""
    if name in cluster.monitors:
        raise AgentError(f"monitor '{name}' already exists")
    if any(monitor.address == address for monitor in cluster.monitors.values()):
        raise AgentError(f"monitor address '{address}' already in use")
    cluster.monitors[name] = Monitor(name, host, address)


@command
def monitor_remove(cluster: ClusterMap, name: str) -> None:
    """Take a monitor out of the monmap."""
    if name not in cluster.monitors:
        raise AgentError(f"no such monitor id '{name}'")
    if len(cluster.monitors) == 1:
        raise AgentError("can't remove last monitor")
    del cluster.monitors[name]


@command
def manager_add(cluster: ClusterMap, name: str, host: str) -> None:
    """Register a manager; the first one becomes active."""
    if name in cluster.managers:
        raise AgentError(f"ceph manager directory '/var/lib/ceph/mgr/ceph-{name}' already exists")
    cluster.managers[name] = host
    if cluster.active_manager is None:
        cluster.active_manager = name


@command
def manager_remove(cluster: ClusterMap, name: str) -> None:
    """Forget a manager; the monitors choose another active one by `manager_active`."""
    cluster.managers.pop(name, None)
    if cluster.active_manager == name:
        cluster.active_manager = None


@command
def manager_active(cluster: ClusterMap, name: str | None) -> None:
    """Make a manager the active one, or note that there is none."""
    cluster.active_manager = name


# --- OSDs ---------------------------------------------------------------------------------------------------------


@command
def osd_new(cluster: ClusterMap, uuid: str, host: str, device: str, size: int, device_class: str) -> int:
    """Register an OSD, down and in; returns its id, the lowest free one. The same uuid gives the same id again."""
    for osd in cluster.osds.values():
        if osd.uuid == uuid:
            return osd.id
    number = next(candidate for candidate in range(len(cluster.osds) + 1) if candidate not in cluster.osds)
    cluster.osds[number] = Osd(number, uuid, host, device, size, device_class, round(size / TIB, 5))
    return number


@command
def osd_up(cluster: ClusterMap, number: int) -> None:
    """An OSD has booted."""
    osd = _osd(cluster, number)
    osd.up, osd.down_since = True, None
    if osd.auto_out:
        osd.reweight, osd.auto_out = 1.0, False


@command
def osd_down(cluster: ClusterMap, number: int, now: float) -> None:
    """An OSD is not heard of any more."""
    osd = _osd(cluster, number)
    osd.up, osd.down_since = False, now


@command
def osd_out(cluster: ClusterMap, number: int, automatic: bool = False) -> None:
    """Place no data on an OSD any more; `automatic`: because it has been down for too long."""
    osd = _osd(cluster, number)
    osd.reweight, osd.auto_out = 0.0, automatic


@command
def osd_in(cluster: ClusterMap, number: int) -> None:
    """Place data on an OSD again."""
    osd = _osd(cluster, number)
    osd.reweight, osd.auto_out = 1.0, False


@command
def osd_purge(cluster: ClusterMap, number: int) -> None:
    """Remove an OSD from all maps."""
    osd = _osd(cluster, number)
    if osd.up:
        raise AgentError(f"osd.{number} is not `down`")
    del cluster.osds[number]


@command
def osd_class(cluster: ClusterMap, number: int, device_class: str) -> None:
    """Set an OSD's device class."""
    _osd(cluster, number).device_class = device_class


def _osd(cluster: ClusterMap, number: int) -> Osd:
    try:
        return cluster.osds[number]
    except KeyError:
        raise AgentError(f"osd.{number} does not exist") from None


# --- pools, rules, flags ------------------------------------------------------------------------------------------


@command
def pool_create(cluster: ClusterMap, name: str, pg_num: int, now: int, **settings: Any) -> int:
    """Make a replicated pool; `settings` are fields of Pool, the rule by its name. Returns the pool's id."""
    if cluster.pool(name) is not None:
        raise AgentError(f"pool '{name}' already exists")
    number = cluster.last_pool + 1
    pool = Pool(number, name, settings.pop("size", 3), settings.pop("min_size", 2), pg_num, created=now)
    _check_pg_budget(cluster, pool)
    _assign(cluster, pool, settings)
    cluster.pools[number] = pool
    cluster.last_pool = number
    return number


@command
def pool_set(cluster: ClusterMap, name: str, **settings: Any) -> None:
    """Change settings of a pool. A new size takes min_size with it, as Ceph does (facts §11.2)."""
    pool = _pool(cluster, name)
    if "size" in settings and settings["size"] != pool.size:
        settings.setdefault("min_size", settings["size"] - settings["size"] // 2)
    _assign(cluster, pool, settings)


@command
def pool_delete(cluster: ClusterMap, name: str) -> None:
    """Remove a pool and all its data."""
    del cluster.pools[_pool(cluster, name).id]


@command
def rule_create(cluster: ClusterMap, name: str, domain: str = "host", device_class: str | None = None) -> int:
    """Make a replicated rule below the root `default`; the same rule again is no error."""
    present = cluster.rule(name)
    if present is not None:
        if (present.domain, present.device_class) != (domain, device_class):
            raise AgentError(f"rule {name} already exists")
        return present.id
    number = max(cluster.rules) + 1
    cluster.rules[number] = Rule(number, name, domain=domain, device_class=device_class)
    return number


@command
def flag(cluster: ClusterMap, name: str, value: bool) -> None:
    """Set or clear a cluster-wide flag."""
    cluster.flags = sorted({*cluster.flags, name} if value else {*cluster.flags} - {name})


def _pool(cluster: ClusterMap, name: str) -> Pool:
    pool = cluster.pool(name)
    if pool is None:
        raise AgentError(f"unrecognized pool '{name}'")
    return pool


def _assign(cluster: ClusterMap, pool: Pool, settings: dict[str, Any]) -> None:
    values = dict(settings)
    rule = values.pop("crush_rule", None)
    if rule is not None:
        known = cluster.rule(rule)
        if known is None:
            raise AgentError(f"specified rule {rule} doesn't exist")
        values["rule"] = known.id
    if values.get("min_size", pool.min_size) > values.get("size", pool.size):
        raise AgentError(f"pool min_size must be between 1 and size, which is set to {values.get('size', pool.size)}")
    for key in values:
        if not hasattr(pool, key):
            raise AgentError(f"unrecognized variable '{key}'")
    for key, value in values.items():
        setattr(pool, key, value)


def _check_pg_budget(cluster: ClusterMap, new: Pool) -> None:
    osds = sum(osd.included for osd in cluster.osds.values())
    if not osds:
        return
    copies = sum(pool.pg_num * pool.size for pool in cluster.pools.values()) + new.pg_num * new.size
    if copies > MAX_PGS_PER_OSD * osds:
        raise AgentError(
            f"pg_num {new.pg_num} size {new.size} for this pool would result in {copies // osds} cumulative PGs per "
            f"OSD ({copies} total PG replicas on {osds} 'in' root OSDs by crush rule) which exceeds the "
            f"mon_max_pg_per_osd value of {MAX_PGS_PER_OSD}"
        )
