# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/disks: disks and ZFS pools (facts §10)."""

from __future__ import annotations

from typing import Any

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.storage import config
from agentstack.storage.disks import TEXTS as DISK_TEXTS
from agentstack.storage.zpool import MESSAGES, Pool
from agentstack.tasks import Task

TEXTS = {
    "no_pool": "command 'zpool status -P {name}' failed: exit code 1",
    "destroy": "command 'zpool destroy {name}' failed: exit code 1",
}

_ERRORS_NONE = "No known data errors"


@pve("GET", "/nodes/{node}/disks/list")
async def list_disks(call: Call) -> Json:
    rows = call.host.disks.entries(
        partitions=bool(call.get("include-partitions")), skip_smart=bool(call.get("skipsmart"))
    )
    match call.get("type"):
        case "unused":
            return [row for row in rows if "used" not in row]
        case "journal_disks":
            return [row for row in rows if "used" not in row or (row["gpt"] and row["used"] in ("LVM", "partitions"))]
    return rows


@pve("GET", "/nodes/{node}/disks/smart")
async def smart(call: Call) -> Json:
    disk, _ = call.host.disks.find(call["disk"])
    return call.host.disks.smart(disk, health_only=bool(call.get("healthonly")))


@pve("POST", "/nodes/{node}/disks/initgpt")
async def init_gpt(call: Call) -> Json:
    disks, device = call.host.disks, call["disk"]
    disk, part = disks.find(device)
    if part is not None:
        raise AgentError(DISK_TEXTS["initgpt_partition"].format(device=device))
    if disks.usage(disk) is not None:
        raise AgentError(DISK_TEXTS["initgpt_in_use"].format(device=device))

    async def work(task: Task) -> None:
        async with disks.lock:
            await call.host.clock.sleep(1)
            disks.initialise(device, call.get("uuid"))
            task.log("Creating new GPT entries in memory.")
            task.log("The operation has completed successfully.")

    return call.host.tasks.start(call.identity, "diskinit", disk.spec.name, work)


@pve("PUT", "/nodes/{node}/disks/wipedisk")
async def wipe_disk(call: Call) -> Json:
    disks, device = call.host.disks, call["disk"]
    disks.assert_wipeable(device)

    async def work(task: Task) -> None:
        async with disks.lock:
            task.log(f"{device}: wiping")
            await call.host.clock.sleep(1)
            disks.wipe(device)
            task.log("success: wiped disk")

    return call.host.tasks.start(call.identity, "wipedisk", device.rpartition("/")[2], work)


# ---- ZFS ------------------------------------------------------------------------------------------------------------


@pve("GET", "/nodes/{node}/disks/zfs")
async def list_pools(call: Call) -> Json:
    zfs = call.host.zfs
    return [zfs.summary(pool) for _, pool in sorted(zfs.pools.items())]


@pve("POST", "/nodes/{node}/disks/zfs")
async def create_pool(call: Call) -> Json:
    host, name, level = call.host, call["name"], call["raidlevel"]
    devices = split_list(call["devices"])
    add_storage = bool(call.get("add_storage"))
    if add_storage:
        host.access.check(call.identity, "/storage", ["Datastore.Allocate"])
    for device in devices:
        host.disks.assert_unused(device)
    if add_storage:
        config.check_shareable(host, name, "zfspool", {"pool": name})
    host.zfs.check_layout(name, level, len(devices))
    ashift, compression = call.get("ashift", 12), call.get("compression", "on")

    async def work(task: Task) -> None:
        async with host.disks.lock:
            if add_storage:
                config.check_shareable(host, name, "zfspool", {"pool": name})
            task.log(f"# /sbin/zpool create -o 'ashift={ashift}' {name} {_vdev_words(call, level, devices)}")
            await host.clock.sleep(2)
            host.zfs.create_pool(name, level, devices, ashift, compression)
            task.log(f"# /sbin/zfs set 'compression={compression}' {name}")
            task.log(f"# systemctl enable zfs-import@{name}.service")
            if add_storage:
                values = {"pool": name, "mountpoint": f"/{name}", "content": "images,rootdir"}
                await config.share(host, name, "zfspool", values)

    return host.tasks.start(call.identity, "zfscreate", name, work)


def _vdev_words(call: Call, level: str, devices: list[str]) -> str:
    paths = [call.host.disks.disk(device).by_id for device in devices]
    if level == "single":
        return paths[0]
    if level == "raid10":
        return " ".join(f"mirror {one} {other}" for one, other in zip(paths[::2], paths[1::2], strict=True))
    return " ".join([level, *paths])


@pve("GET", "/nodes/{node}/disks/zfs/{name}")
async def read_pool(call: Call) -> Json:
    zfs, name = call.host.zfs, call["name"]
    if name not in zfs.pools:
        raise AgentError(TEXTS["no_pool"].format(name=name))
    pool = zfs.pools[name]
    health = zfs.health(pool)
    answer: dict[str, Any] = {"name": name, "leaf": 0, "errors": _ERRORS_NONE, "children": [_pool_tree(call, pool)]}
    answer["state"] = health
    if texts := zfs.devices.explanation(pool):
        answer["status"], answer["action"] = (text.replace("\n", " ") for text in texts)
    return answer


def _pool_tree(call: Call, pool: Pool) -> dict[str, Any]:
    zfs = call.host.zfs
    children: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for vdev in pool.vdevs:
        leaves = [_row(f"{path}-part1", zfs.devices.state(pool, path), leaf=1) for path in vdev.disks]
        if vdev.kind == "disk":
            children += leaves
            continue
        number = counts[vdev.kind] = counts.get(vdev.kind, -1) + 1
        children.append(
            _row(f"{vdev.kind}-{number}", zfs.devices.vdev_state(pool, vdev), leaf=0) | {"children": leaves}
        )
    return _row(pool.name, zfs.health(pool), leaf=0) | {"children": children}


def _row(name: str, state: str, *, leaf: int) -> dict[str, Any]:
    message = MESSAGES.get(state, "") if leaf else ""
    return {"name": name, "state": state, "read": 0, "write": 0, "cksum": 0, "msg": message, "leaf": leaf}


@pve("DELETE", "/nodes/{node}/disks/zfs/{name}")
async def delete_pool(call: Call) -> Json:
    host, name = call.host, call["name"]
    if call.get("cleanup-config"):
        host.access.check(call.identity, "/storage", ["Datastore.Allocate"])

    async def work(task: Task) -> None:
        async with host.disks.lock:
            try:
                devices = host.zfs.destroy_pool(name)
            except AgentError as error:
                task.log(error.message)
                raise AgentError(TEXTS["destroy"].format(name=name)) from error
            await host.clock.sleep(1)
            if call.get("cleanup-config"):
                await config.withdraw(host, name)
            if call.get("cleanup-disks"):
                for device in devices:
                    host.disks.wipe(device)

    return host.tasks.start(call.identity, "zfsremove", name, work)
