# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/scan: what a storage could be made of, here and on servers."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.pbs.client import DEFAULT_PORT, Login, PbsClient, Unreachable
from agentstack.storage.pbs_client import TIMEOUT

TEXTS = {
    "nfs": "command '/sbin/showmount --no-headers --exports {server}' failed: exit code 1",
    "cifs": "command '/usr/bin/smbclient -gL //{server}/' failed: exit code 1",
    "iscsi": "command '/usr/bin/iscsiadm --mode discovery --type sendtargets --portal {portal}' failed: exit code 4",
    "lvmthin": "command '/sbin/lvs --noheadings {group}' failed: exit code 5",
    "pbs": "error fetching datastores - 500 Can't connect to {server}:{port} ({reason})",
}


@pve("GET", "/nodes/{node}/scan/zfs")
async def scan_zfs(call: Call) -> Json:
    """Pools, and the file systems in them that are no guest's."""
    names = [name for pool in call.host.zfs.pools.values() for name, found in pool.datasets.items()
             if found.kind == "filesystem" and "subvol-" not in name]  # fmt: skip
    return [{"pool": name} for name in sorted(names)]


@pve("GET", "/nodes/{node}/scan/lvm")
async def scan_lvm(call: Call) -> Json:
    return [{"vg": name} for name in sorted(["pve", *(group.name for group in call.host.storage.groups.all())])]


@pve("GET", "/nodes/{node}/scan/lvmthin")
async def scan_lvmthin(call: Call) -> Json:
    if call["vg"] == "pve":
        return []
    group = call.host.storage.groups.find(call["vg"])
    if group is None:
        raise AgentError(TEXTS["lvmthin"].format(group=call["vg"]))
    return [{"lv": pool} for pool in sorted(group.pools)]


@pve("GET", "/nodes/{node}/scan/nfs")
async def scan_nfs(call: Call) -> Json:
    arrays = call.host.storage.arrays
    array = arrays.find(call["server"])
    if array is None or not arrays.reached(array):
        raise AgentError(TEXTS["nfs"].format(server=call["server"]))
    return [{"path": path, "options": "*"} for path in sorted(array.exports)]


@pve("GET", "/nodes/{node}/scan/cifs")
async def scan_cifs(call: Call) -> Json:
    """No array of a stack speaks this."""
    raise AgentError(TEXTS["cifs"].format(server=call["server"]))


@pve("GET", "/nodes/{node}/scan/iscsi")
async def scan_iscsi(call: Call) -> Json:
    arrays = call.host.storage.arrays
    server, _, port = call["portal"].partition(":")
    array = arrays.find(server)
    if array is None or not arrays.reached(array):
        raise AgentError(TEXTS["iscsi"].format(portal=call["portal"]))
    return [{"target": target, "portal": f"{server}:{port or 3260}"} for target in sorted(array.targets)]


@pve("GET", "/nodes/{node}/scan/pbs")
async def scan_pbs(call: Call) -> Json:
    """The datastores that a login may use."""
    port = call.get("port", DEFAULT_PORT)
    login = Login(call["server"], call["username"], call["password"], port, call.get("fingerprint"))
    try:
        async with PbsClient(login, call.host.address, TIMEOUT) as client:
            rows = await client.call("GET", "/admin/datastore")
    except Unreachable as error:
        raise AgentError(TEXTS["pbs"].format(server=call["server"], port=port, reason=error.text)) from error
    return [{key: row[key] for key in ("store", "comment") if key in row} for row in rows]
