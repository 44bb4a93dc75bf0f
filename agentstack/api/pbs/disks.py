# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/localhost/disks: disks, and the file systems on them that hold datastores (facts §20.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.config_datastore import add_datastore
from agentstack.errors import AgentError, ParameterError
from agentstack.storage import signatures
from agentstack.tasks import Task

_NODE = "/nodes/{node}"
_UNITS = "etc/systemd/system"
_DISK_USE = {
    "LVM": "lvm",
    "ZFS": "zfs",
    "mounted": "mounted",
    "partitions": "partitions",
    "Device Mapper": "devicemapper",
}
_DISK_TYPES = {"nvme": "ssd"}
_UNIT = """[Install]
WantedBy=multi-user.target

[Mount]
Options=defaults
Type={filesystem}
What={what}
Where={where}

[Unit]
Description=Mount datastore '{name}' under '{where}'
"""


@pbs("GET", f"{_NODE}/disks/list")
async def disks(call: Call) -> Json:
    rows = [_disk(entry) for entry in call.host.disks.entries(skip_smart=bool(call.get("skipsmart")))]
    return [row for row in rows if call.get("usage-type", row["used"]) == row["used"]]


def _disk(entry: dict[str, Any]) -> dict[str, Any]:
    used = entry.get("used")
    row = {
        "name": entry["devpath"].removeprefix("/dev/"),
        "devpath": entry["devpath"],
        "disk-type": _DISK_TYPES.get(entry["type"], entry["type"]),
        "size": entry["size"],
        "gpt": bool(entry["gpt"]),
        "used": _DISK_USE.get(used, "filesystem") if used else "unused",
        "status": entry["health"].lower() if entry["health"] in ("PASSED", "FAILED") else "unknown",
        **{key: entry[key] for key in ("model", "serial", "vendor", "wwn", "rpm")},
    }
    return {**row, "wearout": float(entry["wearout"])} if entry["wearout"] != "N/A" else row


def _device(call: Call) -> str:
    return f"/dev/{call['disk']}"


@pbs("POST", f"{_NODE}/disks/initgpt")
async def init_gpt(call: Call) -> Json:
    disks, device = call.host.disks, _device(call)
    if disks.usage(disks.disk(device)) is not None:
        raise AgentError(f"disk '{call['disk']}' is already in use.")

    async def work(task: Task) -> None:
        async with disks.lock:
            task.log(f"initialize disk {call['disk']}")
            await call.host.clock.sleep(1)
            disks.initialise(device, call.get("uuid"))

    return call.host.tasks.start(call.identity, "diskinit", call["disk"], work)


@pbs("PUT", f"{_NODE}/disks/wipedisk")
async def wipe_disk(call: Call) -> Json:
    disks, device = call.host.disks, _device(call)
    disks.assert_wipeable(device)

    async def work(task: Task) -> None:
        async with disks.lock:
            task.log(f"wipe disk {call['disk']}")
            await call.host.clock.sleep(1)
            disks.wipe(device)

    return call.host.tasks.start(call.identity, "wipedisk", call["disk"], work)


# --- file systems for datastores --------------------------------------------------------------------------------------


def _unit(call: Call, name: str) -> Path:
    return call.host.root / _UNITS / f"mnt-datastore-{name}.mount"


@pbs("GET", f"{_NODE}/disks/directory")
async def list_directories(call: Call) -> Json:
    rows = []
    for unit in sorted((call.host.root / _UNITS).glob("mnt-datastore-*.mount")):
        values = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
        row = {"unitfile": f"/{_UNITS}/{unit.name}", "name": values["Where"].rpartition("/")[2], "removable": False}
        row |= {"path": values["Where"], "device": values["What"], "options": values["Options"]}
        rows.append({**row, "filesystem": values["Type"]})
    return rows


@pbs("POST", f"{_NODE}/disks/directory")
async def create_directory(call: Call) -> Json:
    """A partition with a file system, mounted at /mnt/datastore/NAME; with `add-datastore` a datastore on it."""
    host, name, device = call.host, call["name"], _device(call)
    where, filesystem = f"/mnt/datastore/{name}", call.get("filesystem", "ext4")
    if call.get("removable-datastore"):
        raise ParameterError({"removable-datastore": "only datastores on fixed disks are supported."})
    if host.disks.usage(host.disks.disk(device)) is not None:
        raise AgentError(f"disk '{call['disk']}' is already in use.")
    unit = _unit(call, name)
    if unit.exists():
        raise AgentError(f"systemd mount unit '/{_UNITS}/{unit.name}' already exists.")
    if call.get("add-datastore"):
        host.pbs.datastores.check_new(name, where, reuse=False)

    async def work(task: Task) -> None:
        async with host.disks.lock:
            task.log(f"create datastore '{name}' on disk {call['disk']}")
            disk, part = host.disks.take(device, "Linux")
            await host.clock.sleep(2)
            signatures.make_filesystem(disk.image, part.start, filesystem)
            unit.parent.mkdir(parents=True, exist_ok=True)
            what = disk.partition_device(part.number)
            unit.write_text(_UNIT.format(name=name, what=what, where=where, filesystem=filesystem))
            host.pbs.datastores.directory(where).mkdir(parents=True, exist_ok=True)
            if call.get("add-datastore"):
                await add_datastore(host, name, {"path": where})

    return host.tasks.start(call.identity, "dircreate", name, work)


@pbs("DELETE", f"{_NODE}/disks/directory/{{name}}")
async def delete_directory(call: Call) -> Json:
    """Unmounts; what is on the disk stays."""
    name, unit = call["name"], _unit(call, call["name"])
    for store, values in call.host.pbs.datastores.configured().items():
        if Path(values["path"]).is_relative_to(f"/mnt/datastore/{name}"):
            raise AgentError(f"Can't remove '{name}' since it's required by datastore '{store}'")
    if not unit.exists():
        raise AgentError(f"unable to remove '/{_UNITS}/{unit.name}' - No such file or directory")
    unit.unlink()
