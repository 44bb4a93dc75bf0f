# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/pools (facts §21; observed: calls)."""

from __future__ import annotations

from typing import Any

from agentstack._shared.lists import split_list
from agentstack.access.user_cfg import Pool, UserCfg
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.pve.cluster import guest_rows, storage_rows
from agentstack.errors import AgentError

MOST_LEVELS = 3


def _pool(cfg: UserCfg, name: str) -> Pool:
    if name not in cfg.pools:
        raise AgentError(f"no such pool '{name}'")
    return cfg.pools[name]


def _head(name: str, pool: Pool) -> dict[str, Any]:
    return {"poolid": name, "comment": pool.comment} if pool.comment else {"poolid": name}


def _members(call: Call, pool: Pool) -> list[dict[str, Any]]:
    wanted = call.get("type")
    hidden = ("hastate", "pool")
    guests = [row for row in guest_rows(call) if row["vmid"] in pool.vms]
    rows = [{key: value for key, value in row.items() if key not in hidden} for row in guests]
    rows += [row for row in storage_rows(call) if row["storage"] in pool.storages]
    return [row for row in rows if wanted in (None, row["type"])]


@pve("GET", "/pools")
async def list_pools(call: Call) -> Json:
    access = call.host.access
    if (wanted := call.get("poolid")) is not None:
        access.check(call.identity, f"/pool/{wanted}", ["Pool.Audit"])
        pool = _pool(access.cfg, wanted)
        return [{**_head(wanted, pool), "members": _members(call, pool)}]
    return shuffled(
        _head(name, pool)
        for name, pool in access.cfg.pools.items()
        if access.may(call.identity, f"/pool/{name}", ["Pool.Audit"])
    )


@pve("GET", "/pools/{poolid}")
async def get_pool(call: Call) -> Json:
    pool = _pool(call.host.access.cfg, call["poolid"])
    return {**_head(call["poolid"], pool), "members": _members(call, pool)}


@pve("POST", "/pools")
async def create_pool(call: Call) -> Json:
    name = call["poolid"]
    async with call.host.access.editing("create pool failed") as cfg:
        if name in cfg.pools:
            raise AgentError(f"pool '{name}' already exists")
        parent = name.rpartition("/")[0]
        if parent and parent not in cfg.pools:
            raise AgentError(f"parent '{parent}' of pool '{name}' does not exist")
        if name.count("/") >= MOST_LEVELS:
            raise AgentError(f"pool name '{name}' has more than {MOST_LEVELS} levels")
        cfg.pools[name] = Pool(comment=call.get("comment", ""))
    return None


@pve("PUT", "/pools")
@pve("PUT", "/pools/{poolid}")
async def update_pool(call: Call) -> Json:
    name, access = call["poolid"], call.host.access
    guests = [int(vmid) for vmid in split_list(call.get("vms"))]
    storages = split_list(call.get("storage"))
    async with access.editing("update pools failed") as cfg:
        pool = _pool(cfg, name)
        if call.get("comment") is not None:
            pool.comment = call["comment"]
        for vmid in guests:
            access.check(call.identity, f"/vms/{vmid}", ["VM.Allocate"])
            _change_guest(call, cfg, pool, vmid)
        for storage in storages:
            access.check(call.identity, f"/storage/{storage}", ["Datastore.Allocate"])
            if not call.get("delete"):
                pool.storages.add(storage)
            elif storage not in pool.storages:
                raise AgentError(f"Storage '{storage}' is not a pool member")
            else:
                pool.storages.discard(storage)
    return None


def _change_guest(call: Call, cfg: UserCfg, pool: Pool, vmid: int) -> None:
    if call.get("delete"):
        if vmid not in pool.vms:
            raise AgentError(f"VM {vmid} is not a pool member")
        pool.vms.discard(vmid)
        return
    present = cfg.pool_of(vmid)
    if present == call["poolid"]:
        raise AgentError(f"VM {vmid} is already a pool member")
    if present is not None:
        if not call.get("allow-move"):
            raise AgentError(f"VM {vmid} belongs already to pool '{present}' and 'allow-move' is not set")
        cfg.pools[present].vms.discard(vmid)
    pool.vms.add(vmid)


@pve("DELETE", "/pools")
@pve("DELETE", "/pools/{poolid}")
async def delete_pool(call: Call) -> Json:
    name = call["poolid"]
    async with call.host.access.editing("delete pool failed") as cfg:
        pool = _pool(cfg, name)
        if any(other.startswith(f"{name}/") for other in cfg.pools):
            raise AgentError(f"pool '{name}' is not empty (contains child pools)")
        if pool.storages:
            raise AgentError(f"pool '{name}' is not empty (contains storage '{min(pool.storages)}')")
        if pool.vms:
            raise AgentError(f"pool '{name}' is not empty (contains VM {min(pool.vms)})")
        del cfg.pools[name]
        cfg.acl.pop(f"/pool/{name}", None)
    return None
