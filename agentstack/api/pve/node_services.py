# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/services: what runs on a node (facts §18; observed: calls)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agentstack.api.endpoint import Call, Json, pve
from agentstack.services import ESSENTIAL
from agentstack.tasks import Task

_ONE = "/nodes/{node}/services/{service}"


@pve("GET", "/nodes/{node}/services")
async def list_services(call: Call) -> Json:
    services = call.host.services
    return [services.describe(name) for name in services.names()]


@pve("GET", f"{_ONE}/state")
async def service_state(call: Call) -> Json:
    return call.host.services.describe(call["service"])


@pve("POST", f"{_ONE}/start")
async def start_service(call: Call) -> Json:
    return _task(call, "srvstart", call.host.services.begin)


@pve("POST", f"{_ONE}/stop")
async def stop_service(call: Call) -> Json:
    call.host.services.check_end(call["service"])
    return _task(call, "srvstop", call.host.services.end)


@pve("POST", f"{_ONE}/restart")
async def restart_service(call: Call) -> Json:
    services = call.host.services
    return _task(call, "srvrestart", services.reload if call["service"] in ESSENTIAL else services.restart)


@pve("POST", f"{_ONE}/reload")
async def reload_service(call: Call) -> Json:
    return _task(call, "srvreload", call.host.services.reload)


def _task(call: Call, kind: str, act: Callable[[str], Awaitable[None]]) -> str:
    service: str = call["service"]

    async def work(task: Task) -> None:
        await act(service)

    return call.host.tasks.start(call.identity, kind, service, work)
