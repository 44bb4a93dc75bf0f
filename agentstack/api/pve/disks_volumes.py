# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/disks: volume groups, thin pools and directories on a node's disks (facts §10)."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.storage import config, signatures, sparse
from agentstack.storage.lvm import Group
from agentstack.tasks import Task

TEXTS = {
    "directory": "a systemd mount unit already exists: /etc/systemd/system/mnt-pve-{name}.mount",
    "no_directory": "a mount unit '/etc/systemd/system/mnt-pve-{name}.mount' does not exist",
    "group": "volume group with name '{name}' already exists on node '{node}'",
    "no_group": "no such volume group '{name}'",
    "no_thinpool": "no such thin pool {group}/{name}",
    "busy": "command '/sbin/vgremove -y {name}' failed: exit code 5",
    "pool_busy": "command '/sbin/lvremove -y {group}/{name}' failed: exit code 5",
}

METADATA_SHARE = 100
"""A thin pool's metadata takes this part of its size, at least a mebibyte."""

_GUESTS = "images,rootdir"


def _check_name(call: Call, kind: str, values: dict[str, str]) -> None:
    if call.get("add_storage"):
        call.host.access.check(call.identity, "/storage", ["Datastore.Allocate"])
        config.check_shareable(call.host, call["name"], kind, values)


async def _tidy(call: Call, device: str) -> None:
    """What a removal does besides: take the node off the storage, make the disk free."""
    if call.get("cleanup-config"):
        await config.withdraw(call.host, call["name"])
    if call.get("cleanup-disks"):
        call.host.disks.wipe(device)


# ---- volume groups --------------------------------------------------------------------------------------------------


@pve("GET", "/nodes/{node}/disks/lvm")
async def list_groups(call: Call) -> Json:
    """A tree: groups, and the disks below them."""
    children = [_system_group(call)]
    for group in call.host.storage.groups.all():
        disk, part = call.host.disks.find(group.device)
        parts = [part] if part else signatures.read_partitions(disk.image)
        device = disk.partition_device(parts[0].number) if parts else disk.device
        row = {"name": group.name, "size": group.size, "free": group.free, "leaf": 0, "lvcount": _count(group)}
        children.append(row | {"children": [{"name": device, "size": group.size, "free": group.free, "leaf": 1}]})
    return {"leaf": 0, "children": sorted(children, key=lambda row: str(row["name"]))}


def _count(group: Group) -> int:
    return len(group.volumes()) + sum(1 + len(group.volumes(pool)) for pool in group.pools)


def _system_group(call: Call) -> dict[str, Json]:
    """The group that the installer made for the system itself; it leaves nothing free."""
    disk = call.host.disks.system
    part = next(part for part in signatures.read_partitions(disk.image) if part.kind == "LVM")
    below = {"name": disk.partition_device(part.number), "size": part.size, "free": 0, "leaf": 1}
    return {"name": "pve", "size": part.size, "free": 0, "leaf": 0, "lvcount": 2, "children": [below]}


@pve("POST", "/nodes/{node}/disks/lvm")
async def create_group(call: Call) -> Json:
    host, name, device = call.host, call["name"], call["device"]
    _check_name(call, "lvm", {"vgname": name})
    host.disks.assert_unused(device)
    _check_group(call)

    async def work(task: Task) -> None:
        async with host.disks.lock:
            _check_name(call, "lvm", {"vgname": name})
            _check_group(call)
            await host.clock.sleep(1)
            host.storage.groups.create(name, device)
            task.log(f'  Physical volume "{device}" successfully created.')
            task.log(f'  Volume group "{name}" successfully created')
        if call.get("add_storage"):
            await config.share(host, name, "lvm", {"vgname": name, "content": _GUESTS, "shared": 0})

    return host.tasks.start(call.identity, "lvmcreate", name, work)


def _check_group(call: Call) -> None:
    if call["name"] == "pve" or call.host.storage.groups.find(call["name"]) is not None:
        raise AgentError(TEXTS["group"].format(name=call["name"], node=call.host.name))


@pve("DELETE", "/nodes/{node}/disks/lvm/{name}")
async def delete_group(call: Call) -> Json:
    host, name = call.host, call["name"]

    async def work(task: Task) -> None:
        async with host.disks.lock:
            group = host.storage.groups.find(name)
            if group is None:
                raise AgentError(TEXTS["no_group"].format(name=name))
            if any(host.guests.uses(path) for pool in (None, *group.pools) for path in group.volumes(pool)):
                raise AgentError(TEXTS["busy"].format(name=name))
            device = host.storage.groups.destroy(name)
            await host.clock.sleep(1)
            task.log(f'  Volume group "{name}" successfully removed')
            await _tidy(call, device)

    return host.tasks.start(call.identity, "lvmremove", name, work)


# ---- thin pools -----------------------------------------------------------------------------------------------------


@pve("GET", "/nodes/{node}/disks/lvmthin")
async def list_thin_pools(call: Call) -> Json:
    rows = []
    for group in call.host.storage.groups.all():
        for pool, size in group.pools.items():
            used = sum(sparse.allocated(path) for path in group.volumes(pool))
            metadata = max(size // METADATA_SHARE, 1 << 20)
            rows.append(
                {
                    **{"lv": pool, "vg": group.name, "lv_size": size, "used": used},
                    **{"metadata_size": metadata, "metadata_used": metadata * used // size},
                }
            )
    return rows


@pve("POST", "/nodes/{node}/disks/lvmthin")
async def create_thin_pool(call: Call) -> Json:
    host, name, device = call.host, call["name"], call["device"]
    values = {"vgname": name, "thinpool": name}
    _check_name(call, "lvmthin", values)
    host.disks.assert_unused(device)
    _check_group(call)

    async def work(task: Task) -> None:
        async with host.disks.lock:
            _check_name(call, "lvmthin", values)
            _check_group(call)
            await host.clock.sleep(2)
            host.storage.groups.create(name, device, name)
            task.log(f'  Physical volume "{device}" successfully created.')
            task.log(f'  Volume group "{name}" successfully created')
            task.log(f'  Logical volume "{name}" created.')
        if call.get("add_storage"):
            await config.share(host, name, "lvmthin", values | {"content": _GUESTS})

    return host.tasks.start(call.identity, "lvmthincreate", name, work)


@pve("DELETE", "/nodes/{node}/disks/lvmthin/{name}")
async def delete_thin_pool(call: Call) -> Json:
    host, name, owner = call.host, call["name"], call["volume-group"]

    async def work(task: Task) -> None:
        async with host.disks.lock:
            group = host.storage.groups.find(owner)
            if group is None or name not in group.pools:
                raise AgentError(TEXTS["no_thinpool"].format(group=owner, name=name))
            if any(host.guests.uses(path) for path in group.volumes(name)):
                raise AgentError(TEXTS["pool_busy"].format(group=owner, name=name))
            for path in group.volumes(name):
                path.unlink()
            del group.pools[name]
            group.save()
            await host.clock.sleep(1)
            task.log(f'  Logical volume "{name}" successfully removed.')
            if call.get("cleanup-config"):
                await config.withdraw(host, name)
            if call.get("cleanup-disks"):
                host.disks.wipe(host.storage.groups.destroy(owner))

    return host.tasks.start(call.identity, "lvmthinremove", name, work)


# ---- directories ----------------------------------------------------------------------------------------------------

_UNIT = """[Install]
WantedBy=multi-user.target

[Mount]
Options=defaults
Type={filesystem}
What={what}
Where={where}

[Unit]
Description=Mount storage '{name}' under /mnt/pve
"""


@pve("GET", "/nodes/{node}/disks/directory")
async def list_directories(call: Call) -> Json:
    rows = []
    for unit in sorted((call.host.root / "etc/systemd/system").glob("mnt-pve-*.mount")):
        values = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
        rows.append(
            {"unitfile": f"/etc/systemd/system/{unit.name}", "path": values["Where"], "device": values["What"]}
            | {"type": values["Type"], "options": values["Options"]}
        )
    return rows


@pve("POST", "/nodes/{node}/disks/directory")
async def create_directory(call: Call) -> Json:
    host, name, device = call.host, call["name"], call["device"]
    filesystem = call.get("filesystem", "ext4")
    _check_name(call, "dir", {"path": f"/mnt/pve/{name}"})
    host.disks.assert_unused(device)
    unit = host.root / f"etc/systemd/system/mnt-pve-{name}.mount"
    if unit.exists():
        raise AgentError(TEXTS["directory"].format(name=name))

    async def work(task: Task) -> None:
        async with host.disks.lock:
            disk, part = host.disks.take(device, "Linux")
            what = disk.partition_device(part.number)
            task.log(f"# /sbin/mkfs -t {filesystem} {what}")
            await host.clock.sleep(2)
            signatures.make_filesystem(disk.image, part.start, filesystem)
            unit.parent.mkdir(parents=True, exist_ok=True)
            where = f"/mnt/pve/{name}"
            unit.write_text(_UNIT.format(name=name, what=what, where=where, filesystem=filesystem))
            (host.root / where.lstrip("/")).mkdir(parents=True, exist_ok=True)
        if call.get("add_storage"):
            values = {"path": where, "content": "rootdir,images,iso,backup,vztmpl,snippets", "is_mountpoint": "1"}
            await config.share(host, name, "dir", values)

    return host.tasks.start(call.identity, "dircreate", name, work)


@pve("DELETE", "/nodes/{node}/disks/directory/{name}")
async def delete_directory(call: Call) -> Json:
    host, name = call.host, call["name"]
    unit = host.root / f"etc/systemd/system/mnt-pve-{name}.mount"
    if not unit.exists():
        raise AgentError(TEXTS["no_directory"].format(name=name))

    async def work(task: Task) -> None:
        async with host.disks.lock:
            device = next(device for device, where in host.disks.mounts().items() if where == f"/mnt/pve/{name}")
            unit.unlink()
            await _tidy(call, host.disks.find(device)[0].device)

    return host.tasks.start(call.identity, "dirremove", name, work)
