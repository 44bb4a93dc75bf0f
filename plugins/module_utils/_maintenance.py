# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node maintenance of the HA manager: a command over SSH, and waiting for what comes of it (facts §7.7).

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._api import Api, Result
from ._errors import QuorateError, ShellError, StateError
from ._ha import SERVICES, read_status
from ._plan import UPDATE, simple_change
from ._shell import Login, Shell
from ._wait import wait_until

MANAGER_STATUS = "/cluster/ha/status/manager_status"

# Service states of what runs, or is on its way; the others stay where they are
ALIVE = frozenset({"request_start", "request_start_balance", "started", "migrate", "relocate", "freeze"})

CALM_ROUNDS = 4
"""Rounds of the manager without any move after which no move is to be expected."""


@dataclass(frozen=True)
class Seen:
    """What the manager says of one node: whether maintenance was asked for, its state, and what is in the way."""

    asked_for: bool
    state: str
    here: tuple[str, ...]
    away: tuple[str, ...]
    moving: bool = False
    round: int = 0

    def unfinished(self, enabled: bool) -> list[str]:
        """What has not come about yet, in words."""
        texts = []
        if self.asked_for != enabled:
            texts.append("the manager has not taken up the request")
        if (self.state == "maintenance") != enabled:
            texts.append(f"the node's state is {self.state}")
        rest, what = (self.here, "still here") if enabled else (self.away, "not back yet")
        return texts + [f"{sid} is {what}" for sid in rest]


def look(api: Api, node: str) -> Seen:
    """Ask the manager."""
    status = api.client.get(MANAGER_STATUS).get("manager_status") or {}
    services = {sid: each for sid, each in (status.get("service_status") or {}).items() if each.get("state") in ALIVE}
    return Seen(
        bool(int(((status.get("node_request") or {}).get(node) or {}).get("maintenance") or 0)),
        str((status.get("node_status") or {}).get(node) or "unknown"),
        tuple(sorted(sid for sid, each in services.items() if node == each.get("node"))),
        tuple(sorted(sid for sid, each in services.items() if node == each.get("maintenance_node"))),
        any(each.get("state") != "started" for each in services.values()),
        int(status.get("timestamp") or 0),
    )


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        node, enabled = str(params["node"]), params["state"] == "enabled"
        api.check_reference("node", node, "node")
        if node not in api.nodes:
            return api.result([], state="unknown", guests_left=[])
        seen = look(api, node)
        changes = []
        if seen.asked_for != enabled:
            changes = [
                simple_change(UPDATE, "maintenance", f"of {node}", {"enabled": enabled}, {"enabled": not enabled})
            ]
        if not check_mode:
            if changes:
                _check(api, node, enabled)
                _tell(params, node, enabled)
            if params["wait"]:
                seen = _wait(api, params, node, enabled)
        left = _guests_left(api, node) if enabled else []
        return api.result(changes, state=seen.state, guests_left=left)


def _check(api: Api, node: str, enabled: bool) -> None:
    if not enabled:
        return
    if not api.online(node):
        raise StateError(
            f"{node} is offline: the manager takes only nodes that are online into maintenance", where="node"
        )
    armed = read_status(api.client).fencing
    if armed in ("disarming", "disarmed"):
        raise StateError(
            f"HA is {armed}, and the manager ignores maintenance while it is",
            where="node",
            hint="Arm it again first (ha-manager crm-command arm-ha).",
        )


def _tell(params: Mapping[str, Any], node: str, enabled: bool) -> None:
    """Run the command on the first host that can be reached: there is no HTTP path for it."""
    login = Login.from_params(params)
    hosts = [(each["address"], each.get("host_key")) for each in params["nodes"]]
    hosts = hosts or [(address, None) for address in params["api_hosts"]]
    words = ["ha-manager", "crm-command", "node-maintenance", "enable" if enabled else "disable", node]
    errors: list[QuorateError] = []
    for address, key in hosts:
        try:
            with Shell(address, login, key) as shell:
                shell.run(words)
                return
        except ShellError as error:
            errors.append(error)
    raise errors[0]


def _wait(api: Api, params: Mapping[str, Any], node: str, enabled: bool) -> Seen:
    seen = look(api, node)
    calm: set[int] = set()

    def probe() -> Seen | None:
        nonlocal seen
        seen = look(api, node)
        if seen.asked_for or seen.moving or seen.state == "maintenance":
            calm.clear()
        calm.add(seen.round)
        # rules may keep what was moved away where it is now: then the manager makes its rounds and moves nothing
        settled = not enabled and len(calm) > CALM_ROUNDS
        return None if seen.unfinished(enabled) and not settled else seen

    seen = wait_until(
        probe,
        timeout=float(params["timeout"]),
        what=f"maintenance of {node} being {params['state']}",
        clock=api.client.clock,
        describe=lambda: "; ".join(seen.unfinished(enabled)[:5]),
        hint="A strict rule, or too little room, may keep resources where they are." if enabled else "",
    )
    if not enabled and seen.away:
        api.warn(f"{', '.join(seen.away)} did not return to {node}: rules or room keep them where they are")
    return seen


def _guests_left(api: Api, node: str) -> list[int]:
    """Running guests that the manager does not look after: they stay."""
    managed = {sid for sid, service in read_status(api.client).services.items() if service.request_state != "ignored"}
    left = [
        vmid
        for vmid, guest in sorted(api.guests.items())
        if (guest.get("node"), guest.get("status")) == (node, "running")
        and f"{SERVICES[str(guest['type'])]}:{vmid}" not in managed
    ]
    if left:
        api.warn(f"{', '.join(map(str, left))} run on {node} and are not under HA: they stay there")
    return left
