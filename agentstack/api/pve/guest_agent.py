# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/qemu/{vmid}/agent, cloudinit and monitor: what a VM is asked from outside."""

from __future__ import annotations

import base64

from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.guests import agent, cloudinit, create
from agentstack.guests import config as configs
from agentstack.guests.config import QEMU

VM = "/nodes/{node}/qemu/{vmid}"

ASKED = ("info", "get-fsinfo", "get-host-name", "get-memory-block-info", "get-memory-blocks", "get-osinfo", "get-time",
         "get-timezone", "get-users", "get-vcpus", "network-get-interfaces")  # fmt: skip
TOLD = ("ping", "fsfreeze-freeze", "fsfreeze-status", "fsfreeze-thaw", "fstrim", "shutdown", "suspend-disk",
        "suspend-hybrid", "suspend-ram")  # fmt: skip


def _register(verb: str, command: str) -> None:
    @pve(verb, f"{VM}/agent/{command}")
    async def run(call: Call) -> Json:
        return {"result": await agent.Agent(call.host, call["vmid"]).run(command)}


for _command in ASKED:
    _register("GET", _command)
for _command in TOLD:
    _register("POST", _command)


@pve("POST", f"{VM}/agent")
async def run_command(call: Call) -> Json:
    """Any of the commands that take no arguments."""
    return {"result": await agent.Agent(call.host, call["vmid"]).run(call["command"])}


@pve("POST", f"{VM}/agent/exec")
async def execute(call: Call) -> Json:
    agent.check(call.host, call["vmid"])
    raise AgentError(agent.TEXTS["exec"].format(program=call["command"][0]))


@pve("GET", f"{VM}/agent/exec-status")
async def execution_status(call: Call) -> Json:
    agent.check(call.host, call["vmid"])
    raise AgentError(agent.TEXTS["pid"].format(pid=call["pid"]))


@pve("GET", f"{VM}/agent/file-read")
async def read_file(call: Call) -> Json:
    agent.check(call.host, call["vmid"])
    raise AgentError(agent.TEXTS["read"].format(file=call["file"]))


@pve("POST", f"{VM}/agent/file-write")
async def write_file(call: Call) -> Json:
    agent.check(call.host, call["vmid"])
    if not call.get("encode", 1):
        try:
            base64.b64decode(call["content"], validate=True)
        except ValueError:
            raise AgentError("unable to decode base64 content") from None
    raise AgentError(agent.TEXTS["write"].format(file=call["file"]))


@pve("POST", f"{VM}/agent/set-user-password")
async def set_password(call: Call) -> Json:
    agent.check(call.host, call["vmid"])
    raise AgentError(agent.TEXTS["user"].format(user=call["username"]))


# ---- cloud-init -----------------------------------------------------------------------------------------------------


@pve("GET", f"{VM}/cloudinit")
async def cloudinit_settings(call: Call) -> Json:
    return cloudinit.rows(call.host, call["vmid"])


@pve("PUT", f"{VM}/cloudinit")
async def regenerate(call: Call) -> Json:
    await cloudinit.regenerate(call.host, call["vmid"])


@pve("GET", f"{VM}/cloudinit/dump")
async def dump(call: Call) -> Json:
    return cloudinit.dump(call.host, call["vmid"], call["type"])


# ---- the monitor ----------------------------------------------------------------------------------------------------


@pve("POST", f"{VM}/monitor")
async def monitor(call: Call) -> Json:
    """The human monitor of QEMU, as far as there is something to show."""
    host, vmid = call.host, call["vmid"]
    config = configs.load(host, QEMU, vmid)
    guest = host.guests.running.get(vmid)
    if guest is None:
        raise AgentError(f"VM {vmid} not running")
    command = " ".join(call["command"].split())
    answers = {
        "info status": f"VM status: {'paused' if guest.suspended else 'running'}\r\n",
        "info version": f"{create.QEMU_VERSION}pve-qemu-kvm_{create.QEMU_VERSION}\r\n",
        "info name": f"{config.values.get('name', f'VM{vmid}')}\r\n",
        "info kvm": "kvm support: enabled\r\n",
        "info cpus": "".join(
            f"{'*' if not number else ' '} CPU #{number}: thread_id={guest.process.pid}\r\n"
            for number in range(int(config.values.get("cores", "1")) * int(config.values.get("sockets", "1")))
        ),
    }
    return answers.get(command, f"unknown command: '{command.partition(' ')[0]}'\r\n")
