# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/localhost/apt of a backup server: what is installed, and whether there is something newer."""

from __future__ import annotations

from typing import Any

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.errors import AgentError
from agentstack.tasks import Task

_PATH = "/nodes/{node}/apt"
_ORIGIN, _SECTION = "Proxmox", "admin"


def _packages(call: Call) -> dict[str, str]:
    version = call.host.version
    release = call.host.kernel
    return {
        "proxmox-backup": f"{version.split('.')[0]}.0.0",
        "proxmox-backup-server": f"{version}-1",
        f"proxmox-kernel-{release}-signed": release.removesuffix("-pve"),
        "proxmox-backup-client": f"{version}-1",
        "proxmox-backup-file-restore": f"{version}-1",
        "proxmox-backup-docs": f"{version}-1",
        "proxmox-widget-toolkit": "5.0.5",
        "zfsutils-linux": "2.3.4-pve1",
    }


@pbs("GET", f"{_PATH}/versions")
async def versions(call: Call) -> Json:
    rows: list[dict[str, Any]] = []
    for name, version in _packages(call).items():
        row = {"Package": name, "Title": name, "Version": version, "OldVersion": version, "Arch": "amd64"}
        row |= {"Description": "", "Origin": _ORIGIN, "Priority": "optional", "Section": _SECTION}
        if name == "proxmox-backup":
            row["ExtraInfo"] = f"running kernel: {call.host.kernel}"
        elif name == "proxmox-backup-server":
            row["ExtraInfo"] = f"running version: {call.host.version}"
        rows.append(row)
    return rows


@pbs("GET", f"{_PATH}/update")
async def updates(call: Call) -> Json:
    """The agents' packages come with them: there is never a newer one."""
    return []


@pbs("POST", f"{_PATH}/update")
async def refresh(call: Call) -> Json:
    async def work(task: Task) -> None:
        if not call.get("quiet"):
            task.log("starting apt-get update")
        await call.host.clock.sleep(2)

    return call.host.tasks.start(call.identity, "aptupdate", "", work)


@pbs("GET", f"{_PATH}/changelog")
async def changelog(call: Call) -> Json:
    if call["name"] not in _packages(call):
        raise AgentError(f"Package '{call['name']}' not found")
    raise AgentError(f"unable to fetch the changelog of '{call['name']}': no repository is reachable")
