# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/localhost/disks/zfs and disks/smart of a backup server (facts §20.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.config_datastore import add_datastore
from agentstack.errors import AgentError
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.storage.zpool import Pool

_PATH = "/nodes/{node}/disks"


@pbs("GET", f"{_PATH}/zfs")
async def list_pools(call: Call) -> Json:
    """Deduplication as a factor, fragmentation in percent."""
    zfs = call.host.zfs
    return [{**zfs.summary(pool), "dedup": 1.0} for _, pool in sorted(zfs.pools.items())]


@pbs("GET", f"{_PATH}/zfs/{{name}}")
async def read_pool(call: Call) -> Json:
    zfs = call.host.zfs
    pool = zfs.pool(call["name"])
    return {
        "name": pool.name,
        "state": zfs.health(pool),
        "scan": "none requested",
        "errors": "No known data errors",
        "children": [_tree(call, pool)],
    }


def _tree(call: Call, pool: Pool) -> dict[str, Any]:
    children: list[dict[str, Any]] = []
    devices = call.host.zfs.devices
    for number, vdev in enumerate(pool.vdevs):
        leaves = [_row(f"{path}-part1", devices.state(pool, path), leaf=True) for path in vdev.disks]
        if vdev.kind == "disk":
            children += leaves
        else:
            state = devices.vdev_state(pool, vdev)
            children.append(_row(f"{vdev.kind}-{number}", state, leaf=False) | {"children": leaves})
    return _row(pool.name, call.host.zfs.health(pool), leaf=False) | {"children": children}


def _row(name: str, state: str, *, leaf: bool) -> dict[str, Any]:
    return {"name": name, "state": state, "read": 0, "write": 0, "cksum": 0, "msg": "", "leaf": leaf}


@pbs("POST", f"{_PATH}/zfs")
async def create_pool(call: Call) -> Json:
    """A pool mounted at /mnt/datastore/NAME; with `add-datastore` a datastore on it."""
    host, name, level = call.host, call["name"], call["raidlevel"]
    devices = [f"/dev/{device}" for device in split_list(call["devices"])]
    where = f"/mnt/datastore/{name}"
    for device in devices:
        if host.disks.usage(host.disks.disk(device)) is not None:
            raise AgentError(f"disk '{device.removeprefix('/dev/')}' is already in use.")
    host.zfs.check_layout(name, level, len(devices))
    if call.get("add-datastore"):
        host.pbs.datastores.check_new(name, where, reuse=False)

    async def work(task: Task) -> None:
        async with host.disks.lock:
            task.log(f"create {level} zpool '{name}' on devices '{call['devices']}'")
            task.log(f'# "zpool" "create" "-o" "ashift={call.get("ashift", 12)}" "-m" "{where}" "{name}"')
            await host.clock.sleep(2)
            host.zfs.create_pool(name, level, devices, call.get("ashift", 12), call.get("compression", "on"))
            host.pbs.datastores.directory(where).mkdir(parents=True, exist_ok=True)
            if call.get("add-datastore"):
                await add_datastore(host, name, {"path": where})

    return host.tasks.start(call.identity, "zfscreate", name, work)


@pbs("GET", f"{_PATH}/smart")
async def smart(call: Call) -> Json:
    disks = call.host.disks
    disk = disks.disk(f"/dev/{call['disk']}")
    found = disks.smart(disk, health_only=bool(call.get("healthonly")))
    health = found["health"].lower()
    row: dict[str, Any] = {"status": health if health in ("passed", "failed") else "unknown", "attributes": []}
    for entry in found.get("attributes", []):
        row["attributes"].append(
            {
                "id": int(entry["id"]),
                "name": entry["name"],
                "value": str(entry["value"]),
                "raw": str(entry["raw"]),
                "flags": entry["flags"],
                "normalized": float(entry["normalized"]),
                "worst": float(entry["worst"]),
                "threshold": float(entry["threshold"]),
            }
        )
    if "wearout" in found:
        row["wearout"] = float(found["wearout"])
    return row
