# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's part about spare room. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._pure.ha_forecast import Landing, Loss, Picture, Room, Tenant, forecast
from ._pure.lists import natural_key, natural_sorted
from ._report_raw import Raw
from ._report_words import ERROR, GOOD, INFO, WARNING, finding, listed, size

FULL = 90
"""Percent of the memory for guests from which on a node counts as full."""


def capacity_of(raw: Raw) -> dict[str, Any] | None:
    """For each node: where HA would start its guests if it were lost, and whether they fit. None: not to be told."""
    picture = raw.picture
    if picture is None or sum(room.online for room in picture.rooms) < 2:
        return None
    names = {raw.facts.sid(vmid): str(guest.get("name") or "") for vmid, guest in raw.facts.guests.items()}
    before = _taken(picture)
    rooms = {room.name: room for room in picture.rooms}
    losses = sorted(forecast(picture), key=lambda loss: natural_key(loss.node))
    rows = [_loss(loss, names, rooms, before) for loss in losses]
    homeless = {str(landing.sid): loss.node for loss in losses for landing in loss.stranded}
    bad = [row["node"] for row in rows if not row["fits"]]
    largest = max(picture.rooms, key=lambda room: room.capacity)
    free = sum(room.capacity - before.get(room.name, 0) for room in picture.rooms if room.online and room != largest)
    text = (
        f"The loss of {listed(bad)} would leave guests without room."
        if bad
        else "After the loss of any one node all guests under HA find room."
    )
    return {
        "scheduler": picture.mode,
        "text": text,
        "losses": rows,
        "groups": _groups(raw, picture, losses),
        "homeless": homeless,
        # the plain rule: the memory of the largest node stays free across the others
        "spare": {
            "largest": largest.name,
            "free_elsewhere": size(max(0, free)),
            "taken_there": size(before.get(largest.name, 0)),
            "enough": free >= before.get(largest.name, 0),
        },
    }


def _groups(raw: Raw, picture: Picture, losses: Sequence[Loss]) -> list[dict[str, Any]]:
    """The same by the rules of affinity: whether the nodes of each have room for its guests after the loss of any."""
    affinity = {sid: one for one in raw.facts.affinities for sid in one.resources}
    members: dict[str, list[Tenant]] = {}
    for tenant in picture.tenants:
        if tenant.recovered:
            members.setdefault(affinity[tenant.sid].name if tenant.sid in affinity else "", []).append(tenant)
    found = []
    for name, tenants in sorted(members.items(), key=lambda item: (not item[0], natural_key(item[0]))):
        one = affinity.get(tenants[0].sid)
        sids = {tenant.sid for tenant in tenants}
        nodes = raw.facts.allowed(tenants[0].sid) if one and one.strict else [room.name for room in picture.rooms]
        bad = {loss.node: [each.sid for each in loss.stranded if each.sid in sids] for loss in losses}
        room = [
            sum(max(0, loss.capacity[node] - loss.used[node]) for node in nodes if node in loss.used) for loss in losses
        ]
        lacking = [f"without {node} no room for {listed(lost)}" for node, lost in bad.items() if lost]
        found.append(
            {
                "name": name,
                "nodes": natural_sorted(one.nodes) if one else [],
                "strict": bool(one and one.strict),
                "guests": len(sids),
                "memory": size(sum(tenant.memory for tenant in tenants)),
                "left": size(min(room, default=0)),
                "fits": not lacking,
                "text": "; ".join(lacking) or "room after the loss of any one node",
            }
        )
    return found


def _taken(picture: Picture) -> dict[str, int]:
    found: dict[str, int] = {}
    for tenant in picture.tenants:
        found[tenant.node] = found.get(tenant.node, 0) + tenant.takes
    return found


def _loss(loss: Loss, names: Mapping[str, str], rooms: Mapping[str, Room], before: Mapping[str, int]) -> dict[str, Any]:
    return {
        "node": loss.node,
        "fits": loss.fits,
        "text": _words(loss),
        "down": list(loss.down),
        "nodes": [
            _filled(name, loss.used[name], loss.capacity[name], before.get(name, 0), rooms[name])
            for name in sorted(loss.used, key=natural_key)
        ],
        "guests": [_landing(landing, names) for landing in loss.landings],
    }


def _filled(name: str, used: int, capacity: int, before: int, room: Room) -> dict[str, Any]:
    percent = round(100 * used / capacity) if capacity else 100 if used else 0
    return {
        "node": name,
        "used": used,
        "capacity": capacity,
        "percent": percent,
        "before": round(100 * before / capacity) if capacity else 0,
        "severity": ERROR if percent > 100 else WARNING if percent >= FULL else GOOD,
        "reserved": size(room.reserved),
    }


def _landing(landing: Landing, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "sid": landing.sid,
        "name": names.get(landing.sid, ""),
        "memory": size(landing.memory),
        "to": landing.target,
        "fits": landing.fits,
        "why": "" if landing.fits else "no room" if landing.target else "no node may run it",
    }


def _words(loss: Loss) -> str:
    number, away = len(loss.landings), len(loss.down)
    rest = f"; {away} not under HA stay{'s' if away == 1 else ''} away with it" if away else ""
    if not number:
        return f"nothing under HA runs there{rest}"
    if loss.fits:
        name, share = loss.fullest
        whom = "its guest finds" if number == 1 else f"all {number} guests find"
        return f"{whom} room, {name} is then {100 * share:.0f} % full{rest}"
    return f"{len(loss.stranded)} of {number} guests find no room{rest}"


def capacity_findings(capacity: Mapping[str, Any] | None) -> Iterator[dict[str, str]]:
    """Nodes whose loss the others have no room for."""
    if capacity is None:
        return
    for loss in capacity["losses"]:
        if not loss["fits"]:
            named = [guest["sid"] for guest in loss["guests"] if not guest["fits"]]
            text = f"if {loss['node']} is lost, there is no room for {listed(named)}"
            fix = "Keep the memory of one node free across the others: move, shrink or stop guests, or add a node."
            yield finding(ERROR, "capacity", str(loss["node"]), text, fix)
        away = len(loss["down"])
        if away:
            text = f"if {loss['node']} is lost, {away} running guest{'s' if away > 1 else ''} without HA"
            text += f" stay{'s' if away == 1 else ''} away with it ({listed(loss['down'])})"
            yield finding(INFO, "capacity", str(loss["node"]), text, "Put them under HA (pve_ha_resources).")
