# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HA manager is doing, and waiting for it. Private to this collection.

``crm_state`` can read ``started`` while the status text still says ``starting``: the text decides (observed: HA).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._client import Client
from ._errors import StateError
from ._wait import wait_until

CALM_ROUNDS = 4
"""Rounds of the manager without any move after which no move is to be expected."""

SERVICES = {"qemu": "vm", "lxc": "ct"}
"""Kind of a guest -> first part of its resource's name."""

# Status text: `vm:100 (pve1, started)`, `pve2 (idle, watchdog standby, Sat Nov 21 19:53:55 2026)`, `pve3 (active, ...)`
_SERVICE = re.compile(r"\S+ \((?P<node>[^,)]*), (?P<state>[^)]*)\)")
_BRACKETS = re.compile(r"(?P<node>\S+) \((?P<state>[^,)]*)")

# What the text says when a request has been met. A stopped service is not told apart in all versions.
RESTING: Mapping[str, tuple[str, ...]] = {
    "started": ("started",),
    "stopped": ("stopped",),
    "disabled": ("disabled", "stopped"),
    "ignored": ("ignored", "ignore"),
}


@dataclass(frozen=True)
class Service:
    """One resource, as the status text has it."""

    sid: str
    node: str
    state: str
    crm_state: str | None
    request_state: str

    @property
    def at_rest(self) -> bool:
        """Whether it is what was asked for."""
        return self.state in RESTING.get(self.request_state, (self.request_state,))


@dataclass(frozen=True)
class HaStatus:
    """GET /cluster/ha/status/current, taken apart (facts §7.2)."""

    quorate: bool = True
    master: dict[str, Any] | None = None
    fencing: str | None = None
    lrm: dict[str, str] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)

    def moving(self) -> list[str]:
        """What is not at rest, in words."""
        texts = [
            f"{service.sid} on {service.node or 'no node'} is {service.state}, asked for: {service.request_state}"
            for service in self.services.values()
            if not service.at_rest
        ]
        if self.services and (self.master is None or self.master["state"] != "active"):
            texts.append(f"there is no active manager ({self.master['state'] if self.master else 'none yet'})")
        used = {service.node for service in self.services.values() if service.request_state == "started"}
        texts += [
            f"the resource manager of {node} is {state}"
            for node, state in self.lrm.items()
            if node in used and state not in ("active", "idle")
        ]
        return texts


def read_status(client: Client) -> HaStatus:
    """Ask for the present state."""
    quorate, master, fencing = True, None, None
    lrm: dict[str, str] = {}
    services: dict[str, Service] = {}
    for entry in client.get("/cluster/ha/status/current"):
        kind, text = entry["type"], str(entry.get("status", ""))
        if kind == "quorum":
            quorate = bool(int(entry.get("quorate", 0)))
        elif kind == "master":
            master = {"node": entry["node"], "state": _state(text), "timestamp": entry.get("timestamp")}
        elif kind == "fencing":
            fencing = entry.get("armed-state")
        elif kind == "lrm":
            lrm[str(entry["node"])] = _state(text)
        elif kind == "service":
            services[str(entry["sid"])] = _service(entry, text)
    return HaStatus(quorate, master, fencing, dict(sorted(lrm.items())), dict(sorted(services.items())))


def wait_for_services(client: Client, targets: Mapping[str, str | None], timeout: float) -> HaStatus:
    """Wait until every service of ``targets`` is in its state; None means that it has left the manager's care.

    Raises :class:`StateError` when one is in the state ``error``, from which it comes back by ``disabled`` alone.
    """
    seen = HaStatus()

    def look() -> HaStatus | None:
        nonlocal seen
        seen = read_status(client)
        wrong = [
            sid for sid, want in targets.items() if _state_of(seen, sid) == "error" and want not in (None, "disabled")
        ]
        if wrong:
            raise StateError(
                f"{', '.join(sorted(wrong))} went into the state error",
                hint="Put right what ails the guest, set the resource to disabled, then to started again.",
            )
        return None if _waiting(seen, targets) else seen

    return wait_until(
        look,
        timeout=timeout,
        what="what was asked of the HA manager",
        clock=client.clock,
        describe=lambda: "; ".join(_waiting(seen, targets)[:5]),
    )


def wait_for_rest_of(client: Client, sids: Collection[str], timeout: float) -> None:
    """Wait until the manager has taken up what was written now, and the running ones of these services are at rest.

    A round of the manager that was under way has not seen it; the one after that has. A service in the state ``error``
    is at rest: nothing that was written now brings it out of that.
    """
    seen = read_status(client)
    stamps = {seen.master["timestamp"] if seen.master else None}

    def busy() -> list[str]:
        services = [service for sid, service in seen.services.items() if sid in sids]
        if not any(service.request_state == "started" for service in services):
            return []
        restless = [service for service in services if not service.at_rest and service.state != "error"]
        texts = [f"{service.sid} is {service.state}" for service in restless]
        return texts + (["the manager has not made a round yet"] if len(stamps) <= 2 else [])

    def look() -> bool | None:
        nonlocal seen
        seen = read_status(client)
        stamps.add(seen.master["timestamp"] if seen.master else None)
        return None if busy() else True

    if busy():
        wait_until(
            look,
            timeout=timeout,
            what="what the HA manager makes of it",
            clock=client.clock,
            describe=lambda: "; ".join(busy()[:5]),
        )


def _waiting(status: HaStatus, targets: Mapping[str, str | None]) -> list[str]:
    texts = []
    for sid, want in sorted(targets.items()):
        state = _state_of(status, sid)
        gone_is_right = want in (None, "ignored")
        if not (gone_is_right if state is None else want is not None and state in RESTING.get(want, (want,))):
            texts.append(f"{sid} is {state or 'not there'} instead of {want or 'gone'}")
    return texts


def _state_of(status: HaStatus, sid: str) -> str | None:
    service = status.services.get(sid)
    return service.state if service else None


def _state(text: str) -> str:
    match = _BRACKETS.match(text)
    return match["state"].strip() if match else text


def _service(entry: Mapping[str, Any], text: str) -> Service:
    match = _SERVICE.match(text)
    request = str(entry.get("request_state") or "started")
    return Service(
        str(entry["sid"]),
        str(match["node"] if match else entry.get("node") or ""),
        match["state"] if match else text,
        entry.get("crm_state"),
        "started" if request == "enabled" else request,
    )
