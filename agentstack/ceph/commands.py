# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the maps change: each command is a function of the present maps and the command's arguments, nothing else.

Monitors apply the same commands in the same order, so whatever a command needs from outside (the time, a host's name)
comes in its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agentstack.ceph.maps import ROOT_ID, ClusterMap, CrushBucket, Key, Monitor, Osd, Pool
from agentstack.ceph.peering import settle, signature, wanted
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
    before, present = wanted(cluster), signature(cluster)
    pg_nums = {pool.id: pool.pg_num for pool in cluster.pools.values()}
    result = COMMANDS[name](cluster, **arguments)
    cluster.epoch += 1
    if wanted(cluster) != before or signature(cluster) != present:
        settle(cluster, before, pg_nums)
        cluster.group_epoch += 1
    return result


def resettle(cluster: ClusterMap) -> None:
    """Within a command: let what has changed so far take its effect on the placement groups."""
    settle(cluster, wanted(cluster), {pool.id: pool.pg_num for pool in cluster.pools.values()})


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
def osd_new(
    cluster: ClusterMap, uuid: str, host: str, device: str, size: int, device_class: str, key: dict[str, Any]
) -> int:
    """Register an OSD, down and in, with its key; returns its id, the lowest free one. The same uuid gives the same id
    again."""
    for osd in cluster.osds.values():
        if osd.uuid == uuid:
            return osd.id
    number = next(candidate for candidate in range(len(cluster.osds) + 1) if candidate not in cluster.osds)
    place = cluster.bucket(host)
    if place is None:
        # the first OSD of a host brings its bucket (osd_crush_update_on_start)
        place = CrushBucket(free_bucket(cluster), host, "host", ROOT_ID)
        cluster.buckets[place.id] = place
    cluster.osds[number] = Osd(number, uuid, host, device, size, device_class, round(size / TIB, 5), place.id)
    cluster.keys[f"osd.{number}"] = Key(**key)
    return number


def free_bucket(cluster: ClusterMap) -> int:
    """The id of the next bucket: each second one, those between are the device classes' shadows."""
    return min(cluster.buckets, default=1) - 2


@command
def osd_up(cluster: ClusterMap, number: int, boot: str = "") -> None:
    """An OSD has booted; `boot`: id of this run. One that was not missed yet has been away nevertheless."""
    osd = _osd(cluster, number)
    if osd.up:
        osd.up = False
        resettle(cluster)
    osd.up, osd.down_since, osd.boot = True, None, boot
    if osd.auto_out and "noin" not in cluster.flags_of(osd):
        osd.reweight, osd.auto_out = 1.0, False


@command
def groups_complete(cluster: ClusterMap, epoch: int, groups: dict[str, list[int]]) -> int:
    """The primaries have copied all objects of groups (`POOL.SEED`) to OSDs; returns the group epoch that knows it.

    Raises AgentError when OSDs have changed since `epoch`.
    """
    if epoch != cluster.group_epoch:
        raise AgentError("placement groups have changed")
    now = wanted(cluster)
    for name, osds in groups.items():
        pool, _, seed = name.partition(".")
        want = now.get(int(pool), ())
        if int(seed, 16) < len(want) and name in cluster.groups:
            complete, had = cluster.groups[name]
            cluster.groups[name] = [[*complete, *(osd for osd in osds if osd not in complete)], had]
    return cluster.group_epoch + 1


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
def osd_full(cluster: ClusterMap, number: int, full: bool) -> None:
    """An OSD has come to the full ratio, or is below it again."""
    _osd(cluster, number).full = full


@command
def osd_in(cluster: ClusterMap, number: int) -> None:
    """Place data on an OSD again."""
    osd = _osd(cluster, number)
    osd.reweight, osd.auto_out = 1.0, False


@command
def osd_purge(cluster: ClusterMap, number: int) -> None:
    """Remove an OSD from all maps, with its key."""
    osd = _osd(cluster, number)
    if osd.up:
        raise AgentError(f"osd.{number} is not `down`")
    del cluster.osds[number]
    cluster.keys.pop(f"osd.{number}", None)
    place = cluster.buckets.get(osd.bucket)
    if place is not None and place.type == "host" and place.name != osd.host and not cluster.children(place.id):
        del cluster.buckets[place.id]


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
    if cluster.stretch is not None:
        stretch_pool(cluster, pool)
        settings.pop("crush_rule", None)
    _check_pg_budget(cluster, pool)
    _assign(cluster, pool, settings)
    cluster.pools[number] = pool
    cluster.last_pool = number
    return number


STRETCH_SIZE = 4
"""Copies of every pool in stretch mode: two in each of the two sites."""


def stretch_pool(cluster: ClusterMap, pool: Pool) -> None:
    """Give a pool what stretch mode demands of every pool."""
    assert cluster.stretch is not None
    rule = cluster.rule(cluster.stretch.rule)
    assert rule is not None
    half = STRETCH_SIZE // 2
    pool.size, pool.rule = STRETCH_SIZE, rule.id
    pool.min_size, pool.sites = (half // 2, 1) if cluster.stretch.degraded else (half, 2)


@command
def pool_set(cluster: ClusterMap, name: str, **settings: Any) -> None:
    """Change settings of a pool. A new size takes min_size with it, as Ceph does (facts §11.2)."""
    pool = _pool(cluster, name)
    if "size" in settings and settings["size"] != pool.size:
        if cluster.stretch is not None and settings["size"] != STRETCH_SIZE:
            raise AgentError(f"pool size must be {STRETCH_SIZE} in stretch mode")
        settings.setdefault("min_size", settings["size"] - settings["size"] // 2)
    number = settings.pop("pg_num", None)
    _assign(cluster, pool, settings)
    if number is not None:
        _set_pg_num(cluster, pool, int(number))


def _set_pg_num(cluster: ClusterMap, pool: Pool, number: int) -> None:
    """More groups are split off at once; fewer are merged when each lies where the one does that takes it in."""
    if number >= pool.pg_num:
        _check_pg_budget(cluster, replace(pool, pg_num=number))
        pool.pg_num, pool.pgp_num, pool.pg_num_target = number, 0, 0
    else:
        pool.pgp_num = pool.pg_num_target = number


@command
def pool_delete(cluster: ClusterMap, name: str) -> None:
    """Remove a pool and all its data."""
    del cluster.pools[_pool(cluster, name).id]


@command
def flag(cluster: ClusterMap, name: str, value: bool) -> None:
    """Set or clear a cluster-wide flag."""
    cluster.flags = sorted({*cluster.flags, name} if value else {*cluster.flags} - {name})


@command
def local_flags(cluster: ClusterMap, places: list[str], names: list[str], value: bool) -> None:
    """Set or clear flags of buckets, device classes or OSDs alone."""
    for place in places:
        flags = set(cluster.local_flags.get(place, ()))
        flags = flags | set(names) if value else flags - set(names)
        if flags:
            cluster.local_flags[place] = sorted(flags)
        else:
            cluster.local_flags.pop(place, None)


def _pool(cluster: ClusterMap, name: str) -> Pool:
    pool = cluster.pool(name)
    if pool is None:
        raise AgentError(f"unrecognized pool '{name}'")
    return pool


def _assign(cluster: ClusterMap, pool: Pool, settings: dict[str, Any]) -> None:
    values = dict(settings)
    if values.get("size", 0) == 1 and not _single_copies_allowed(cluster):
        raise AgentError("Error EPERM: configuring pool size as 1 is disabled by default.")
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


def _single_copies_allowed(cluster: ClusterMap) -> bool:
    """mon_allow_pool_size_one, which Ceph has off (docs.ceph.com, "Pool, PG and CRUSH config reference")."""
    said = (cluster.config.get(who, {}).get("mon_allow_pool_size_one") for who in ("mon", "global"))
    return next((value for value in said if value is not None), "false").lower() in ("true", "1", "yes", "on")


def _check_pg_budget(cluster: ClusterMap, new: Pool) -> None:
    osds = sum(osd.included for osd in cluster.osds.values())
    if not osds:
        return
    others = (pool for pool in cluster.pools.values() if pool.id != new.id)
    copies = sum(pool.pg_num * pool.size for pool in others) + new.pg_num * new.size
    if copies > MAX_PGS_PER_OSD * osds:
        raise AgentError(
            f"pg_num {new.pg_num} size {new.size} for this pool would result in {copies // osds} cumulative PGs per "
            f"OSD ({copies} total PG replicas on {osds} 'in' root OSDs by crush rule) which exceeds the "
            f"mon_max_pg_per_osd value of {MAX_PGS_PER_OSD}"
        )


@command
def config_set(cluster: ClusterMap, who: str, option: str, value: str | None) -> None:
    """Set an option in the configuration database, or remove it (None)."""
    section = cluster.config.setdefault(who, {})
    if value is None:
        section.pop(option, None)
    else:
        section[option] = value
    if not section:
        del cluster.config[who]


# the commands about CRUSH and stretch mode register themselves
from agentstack.ceph import crush_commands, stretch  # noqa: E402, F401
