# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of guests, what can be done with their disks, and the network cards of containers."""

from __future__ import annotations

import re
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.pve.guests import base, start_task
from agentstack.guests import agent, drives, operations, snapshots, update
from agentstack.guests import config as configs
from agentstack.guests.config import KINDS, LXC, Kind
from agentstack.tasks import Task

CURRENT = "current"


def register(kind: Kind) -> None:
    """What differs between the kinds by names alone."""
    one = f"{base(kind)}/{{vmid}}"

    @pve("GET", f"{one}/snapshot")
    async def list_snapshots(call: Call) -> Json:
        config, digest = configs.load_with_digest(call.host, kind, call["vmid"])
        return snapshots.listing(config, digest, running=call.host.guests.is_running(call["vmid"]))

    @pve("POST", f"{one}/snapshot")
    async def create_snapshot(call: Call) -> Json:
        call.host.files.require_quorum()
        snapshots.check_create(call.host, kind, call["vmid"], call["snapname"])
        memory = bool(call.get("vmstate"))

        async def action(call: Call, task: Task) -> None:
            name, text = call["snapname"], call.get("description")
            await snapshots.create(call.host, kind, call["vmid"], name, text, with_memory=memory)

        return start_task(kind, call, "snapshot", action)

    @pve("GET", f"{one}/snapshot/{{snapname}}/config")
    async def snapshot_config(call: Call) -> Json:
        config = configs.load(call.host, kind, call["vmid"])
        return update.typed(kind, snapshots.values_of(config, call["snapname"]))

    @pve("PUT", f"{one}/snapshot/{{snapname}}/config")
    async def describe_snapshot(call: Call) -> Json:
        if call["snapname"] != CURRENT:
            await snapshots.describe(call.host, kind, call["vmid"], call["snapname"], call.get("description"))

    @pve("DELETE", f"{one}/snapshot/{{snapname}}")
    async def delete_snapshot(call: Call) -> Json:
        configs.load(call.host, kind, call["vmid"])

        async def action(call: Call, task: Task) -> None:
            await snapshots.delete(call.host, kind, call["vmid"], call["snapname"])

        return start_task(kind, call, "delsnapshot", action)

    @pve("POST", f"{one}/snapshot/{{snapname}}/rollback")
    async def rollback(call: Call) -> Json:
        snapshots.values_of(configs.load(call.host, kind, call["vmid"]), call["snapname"])

        async def action(call: Call, task: Task) -> None:
            await snapshots.rollback(call.host, kind, call["vmid"], call["snapname"])
            if call.get("start") and not call.host.guests.is_running(call["vmid"]):
                await operations.start(call.host, kind, call["vmid"], log=task.log)

        return start_task(kind, call, "rollback", action)

    @pve("GET", f"{one}/feature")
    async def feature(call: Call) -> Json:
        host = call.host
        config = configs.load(host, kind, call["vmid"])
        if call.get("snapname"):
            snapshots.values_of(config, call["snapname"])
        owned = [drive for _, drive in drives.volumes(kind, config) if not drive.is_cdrom]
        match call["feature"]:
            case "snapshot":
                has = all(host.storage.can_snapshot(drive.volume) for drive in owned)
            case "clone":
                has = bool(owned) and all(host.storage.can_clone(drive.volume) for drive in owned)
            case _:
                has = all(host.storage.exists(drive.volume) for drive in owned)
        answer: dict[str, Any] = {"hasFeature": int(has)}
        if kind is not LXC:
            shared = all(host.storage.is_shared(host.storage.entry(drive.storage)) for drive in owned)
            answer["nodes"] = [view.name for view in host.cluster.nodes()] if shared else [host.name]
        return answer


for _kind in KINDS.values():
    register(_kind)


@pve("GET", "/nodes/{node}/lxc/{vmid}/interfaces")
async def container_interfaces(call: Call) -> Json:
    """The network cards of a running container, the loopback one first."""
    host, vmid = call.host, call["vmid"]
    config = configs.load(host, LXC, vmid)
    operations.assert_running(host, LXC, vmid)
    found = [agent.interface("lo", "00:00:00:00:00:00", ["127.0.0.1/8", "::1/128"])]
    for key in sorted(key for key in config.values if re.fullmatch(r"net\d+", key)):
        settings = dict(part.partition("=")[::2] for part in config.values[key].split(","))
        given = [settings[name] for name in ("ip", "ip6") if "/" in settings.get(name, "")]
        found.append(agent.interface(settings["name"], settings["hwaddr"].lower(), given))
    rows = []
    for card in found:
        row: dict[str, Any] = {key: value for key, value in card.items() if key != "statistics"}
        row["hwaddr"] = row["hardware-address"]
        for address in row["ip-addresses"]:
            version = address["ip-address-type"].removeprefix("ipv")
            word = address["ip-address-type"] = "inet" if version == "4" else "inet6"
            row[word] = f"{address['ip-address']}/{address['prefix']}"
        rows.append(row)
    return rows
