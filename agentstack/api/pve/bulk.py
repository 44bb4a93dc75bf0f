# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls about all guests of a node at once."""

from __future__ import annotations

from agentstack.api.endpoint import Call, Json, pve
from agentstack.guests import autostart


def _check(call: Call) -> None:
    call.host.access.check(call.identity, "/vms", ["VM.PowerMgmt"])


@pve("POST", "/nodes/{node}/startall")
async def start_all(call: Call) -> Json:
    _check(call)
    call.host.files.require_quorum()
    return autostart.start_all(call.host, call.identity, force=bool(call.get("force")), vmids=call.get("vms"))


@pve("POST", "/nodes/{node}/stopall")
async def stop_all(call: Call) -> Json:
    _check(call)
    return autostart.stop_all(call.host, call.identity, vmids=call.get("vms"))
