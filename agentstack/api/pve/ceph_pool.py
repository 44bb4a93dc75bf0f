# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/ceph/pool: replicated pools (facts §11.2)."""

from __future__ import annotations

import re
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.ceph.maps import ClusterMap, Pool
from agentstack.ceph.status import stored_in
from agentstack.errors import AgentError, ParameterError
from agentstack.storage import config as storage_config
from agentstack.tasks import Task

TEXTS = {
    "exists": "pool '{name}' already exists",
    "missing": "pool '{name}' does not exist",
    "in_use": "ceph pool '{name}' still in use by storage '{storage}'",
}

DEFAULTS = {"size": 3, "min_size": 2, "pg_num": 128, "application": "rbd", "pg_autoscale_mode": "warn"}
ORDER = ("size", "min_size", "pg_num", "pg_num_min", "crush_rule", "application", "pg_autoscale_mode",
         "target_size", "target_size_ratio")  # fmt: skip
"""Settings are applied in this order: a new size resets min_size, so size comes first."""
RENAMED = {"pg_autoscale_mode": "autoscale_mode", "application": "applications"}
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """The command's arguments for the given parameters."""
    values: dict[str, Any] = {}
    for name in ORDER:
        if (value := given.get(name)) is None:
            continue
        if name == "application":
            value = [value]
        elif name == "target_size":
            match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", str(value))
            if match is None:
                raise ParameterError({"target_size": "value does not match the regex pattern"})
            value = int(float(match[1]) * UNITS[match[2]])
        values[RENAMED.get(name, name)] = value
    return values


def _applying(pool: str, key: str, value: Any) -> str:
    shown = next((parameter for parameter, setting in RENAMED.items() if setting == key), key)
    return f"pool {pool}: applying {shown} = {value[0] if isinstance(value, list) else value}"


def _entry(cluster: ClusterMap, pool: Pool, stored: int) -> dict[str, Any]:
    capacity = sum(osd.size for osd in cluster.osds.values() if osd.up) // max(pool.size, 1)
    entry = {
        "pool": pool.id,
        "pool_name": pool.name,
        "type": "replicated",
        "size": pool.size,
        "min_size": pool.min_size,
        "pg_num": pool.pg_num,
        "pg_num_final": pool.pg_num_target or pool.pg_num,
        "pg_num_min": pool.pg_num_min,
        "pg_autoscale_mode": pool.autoscale_mode,
        "crush_rule": pool.rule,
        "crush_rule_name": cluster.rules[pool.rule].name,
        "application_metadata": {name: {} for name in pool.applications},
        "bytes_used": stored * pool.size,
        "percent_used": stored / capacity if capacity else 0,
        "target_size": pool.target_size,
        "target_size_ratio": pool.target_size_ratio,
    }
    return {name: value for name, value in entry.items() if value is not None}


@pve("GET", "/nodes/{node}/ceph/pool")
async def list_pools(call: Call) -> Json:
    cluster = await call.host.ceph.maps()
    stored = stored_in(cluster, call.host.ceph.situation(cluster))
    return shuffled(_entry(cluster, pool, stored[pool.id]) for pool in cluster.pools.values())


@pve("POST", "/nodes/{node}/ceph/pool")
async def create(call: Call) -> Json:
    host, name = call.host, str(call["name"])
    if call.get("erasure-coding"):
        raise AgentError("erasure coded pools are not supported by this server")
    cluster = await host.ceph.maps()
    if cluster.pool(name) is not None:
        raise AgentError(TEXTS["exists"].format(name=name))
    given = _settings({**DEFAULTS, **call.params})
    add_storage = bool(call.get("add_storages"))
    if add_storage:
        host.access.check(call.identity, "/storage", ["Datastore.Allocate"])
        if name in storage_config.read(host)[0]:
            raise AgentError(f"storage ID '{name}' already defined")

    async def work(task: Task) -> None:
        await host.ceph.group.execute("pool_create", name=name, now=int(host.clock.now()), **given)
        for key, value in given.items():
            task.log(_applying(name, key, value))
        await host.clock.sleep(1)
        if add_storage:
            await storage_config.create(host, name, "rbd", {"pool": name, "krbd": 0, "content": "rootdir,images"})

    return host.tasks.start(call.identity, "cephcreatepool", name, work)


@pve("PUT", "/nodes/{node}/ceph/pool/{name}")
async def change(call: Call) -> Json:
    host, name = call.host, str(call["name"])
    cluster = await host.ceph.maps()
    given = _settings(call.params)

    async def work(task: Task) -> None:
        pool = cluster.pool(name)
        if pool is None:
            raise AgentError(TEXTS["missing"].format(name=name))
        failed = []
        for key, value in given.items():
            present = cluster.rules[pool.rule].name if key == "crush_rule" else getattr(pool, key)
            if present == value and key != "min_size":
                continue
            task.log(_applying(name, key, value))
            try:
                await host.ceph.group.execute("pool_set", name=name, **{key: value})
            except AgentError as error:
                task.log(f"{key}: {error.message}")
                failed.append(key)
        if failed:
            raise AgentError(f"Could not set: {', '.join(failed)}")

    return host.tasks.start(call.identity, "cephsetpool", name, work)


@pve("DELETE", "/nodes/{node}/ceph/pool/{name}")
async def destroy(call: Call) -> Json:
    host, name = call.host, str(call["name"])
    cluster = await host.ceph.maps()
    entries, _digest = storage_config.read(host)
    users = sorted(
        ident
        for ident, entry in entries.items()
        if entry.type == "rbd" and entry.values.get("pool", "rbd") == name and not entry.values.get("monhost")
    )
    remove_storages = bool(call.get("remove_storages"))
    if users and not remove_storages and not call.get("force"):
        raise AgentError(TEXTS["in_use"].format(name=name, storage=users[0]))

    async def work(task: Task) -> None:
        if cluster.pool(name) is None:
            raise AgentError(TEXTS["missing"].format(name=name))
        await host.ceph.group.execute("pool_delete", name=name)
        if remove_storages:
            for ident in users:
                await storage_config.delete(host, ident)

    return host.tasks.start(call.identity, "cephdestroypool", name, work)


@pve("GET", "/nodes/{node}/ceph/pool/{name}")
async def index(call: Call) -> Json:
    return [{"name": "status"}]


@pve("GET", "/nodes/{node}/ceph/pool/{name}/status")
async def status(call: Call) -> Json:
    """One pool; flags are real booleans here (facts §2)."""
    cluster = await call.host.ceph.maps()
    pool = cluster.pool(str(call["name"]))
    if pool is None:
        raise AgentError(TEXTS["missing"].format(name=call["name"]))
    switches = ("fast_read", "nodeep-scrub", "nodelete", "nopgchange", "noscrub", "nosizechange", "use_gmt_hitset",
                "write_fadvise_dontneed")  # fmt: skip
    answer: dict[str, Any] = {
        "id": pool.id,
        "name": pool.name,
        "size": pool.size,
        "min_size": pool.min_size,
        "pg_num": pool.pg_num,
        "pgp_num": pool.placed,
        "pg_num_min": pool.pg_num_min,
        "pg_autoscale_mode": pool.autoscale_mode,
        "crush_rule": cluster.rules[pool.rule].name,
        "application": next(iter(pool.applications), None),
        "target_size": pool.target_size,
        "target_size_ratio": pool.target_size_ratio,
        "hashpspool": True,
        **dict.fromkeys(switches, False),
    }
    if call.get("verbose"):
        answer["application_list"] = pool.applications
        stored = stored_in(cluster, call.host.ceph.situation(cluster))[pool.id]
        answer["statistics"] = {"stored": stored, "bytes_used": stored * pool.size}
    return {name: value for name, value in answer.items() if value is not None}
