# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module rebalance_plan: which guests to move, by what the cluster says. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ._api import Api, Result
from ._forecast import Reserve, read_picture
from ._guest_facts import GuestFacts, read_guest_facts
from ._ha_eligibility import candidate_of, surroundings_of
from ._pure.ha_eligibility import obstacles
from ._pure.ha_forecast import Picture
from ._pure.ha_rules import Affinities
from ._pure.lists import split_list
from ._pure.rebalance import Bundle, Place, Plan, plan_moves
from ._releases import Releases
from ._report_words import size

_KEEPS = frozenset({"disk", "storage", "iso", "passthrough", "cpu"})
"""What keeps a guest from moving to a node; the rest of the checks are about its loss."""


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        facts = read_guest_facts(api.client, backups=False)
        picture = read_picture(api.client, Reserve(), params["voters"], facts.resources)
        places = [Place(room.name, room.capacity) for room in picture.rooms if room.online]
        releases = Releases(api)
        older = {place.name: frozenset(releases.older_than(place.name)) for place in places}
        bundles, stays = _bundles(facts, picture, params, older)
        fixed = _fixed(picture, bundles)
        plan = plan_moves(places, bundles, tolerance=params["tolerance"] / 100, most=params["max_moves"], fixed=fixed)
        return {"changed": False, **_shown(plan, facts, picture, params, stays), "calls": len(api.client.calls)}


def _bundles(
    facts: GuestFacts, picture: Picture, params: Mapping[str, Any], older: Mapping[str, frozenset[str]]
) -> tuple[list[Bundle], dict[str, str]]:
    """What can be moved, and why the rest stays where it is, by resource.

    ``older``: for each node that is online those of an older release, which nothing that runs on it may go to.
    """
    online = set(older)
    affinities = picture.affinities()
    tenants = {tenant.sid: tenant for tenant in picture.tenants if tenant.running and tenant.node in online}
    around = surroundings_of(facts)
    excluded = {str(each) for each in params["exclude"]}
    places: dict[str, frozenset[str]] = {}
    stays: dict[str, str] = {}
    for vmid, guest in facts.guests.items():
        sid = facts.sid(vmid)
        if sid not in tenants:
            continue
        tags = split_list(str(guest.get("tags") or "").replace(";", ","))
        if excluded & {str(vmid), str(guest.get("name") or ""), sid, *tags}:
            stays[sid] = "excluded"
        elif guest["type"] == "lxc" and not params["containers"]:
            stays[sid] = "a container would be restarted (containers)"
        elif vmid not in facts.configs:
            stays[sid] = "its configuration could not be read"
        elif tenants[sid].requested not in (None, "started"):
            stays[sid] = f"HA is asked to keep it {tenants[sid].requested}"
        else:
            candidate = candidate_of(facts, vmid)
            preferred = _preferred(sid, affinities, online)
            wanted = preferred - older.get(candidate.node, frozenset())
            why = "its other nodes have an older release" if wanted < preferred else ""
            good = set()
            for node in wanted - {candidate.node}:
                found = obstacles(replace(candidate, allowed=(candidate.node, node)), around)
                keeping = [one for one in found if one.check in _KEEPS]
                if keeping:
                    why = keeping[0].text
                else:
                    good.add(node)
            if good:
                places[sid] = frozenset(good | ({candidate.node} & wanted))
            else:
                stays[sid] = why or "its rules leave it no other node"
    return _together(tenants, places, affinities, stays), stays


def _preferred(sid: str, affinities: Affinities, online: set[str]) -> set[str]:
    """The nodes that HA would not move it away from: those of the highest priority that are online."""
    affinity = affinities.nodes.get(sid)
    if affinity is None:
        return set(online)
    nodes = {node: priority for node, priority in affinity.nodes.items() if node in online}
    best = max(nodes.values(), default=0)
    preferred = {node for node, priority in nodes.items() if priority == best}
    return preferred or (set() if affinity.strict else set(online))


def _together(
    tenants: Mapping[str, Any], places: Mapping[str, frozenset[str]], affinities: Affinities, stays: dict[str, str]
) -> list[Bundle]:
    """Guests that have to be on one node as one; HA takes them along."""
    found: list[Bundle] = []
    done: set[str] = set()
    for sid in sorted(places):
        if sid in done:
            continue
        members = sorted({sid, *(other for other in affinities.together.get(sid, ()) if other in tenants)})
        done |= set(members)
        apart = {other for member in members for other in affinities.apart.get(member, ())}
        if any(member not in places for member in members) or len({tenants[each].node for each in members}) > 1:
            for member in members:
                stays.setdefault(member, "what has to be on the same node cannot move")
            continue
        found.append(
            Bundle(
                members[0],
                tenants[sid].node,
                sum(tenants[member].takes for member in members),
                frozenset.intersection(*(places[member] for member in members)),
                len(members),
                frozenset(apart),
            )
        )
    # partners are named by guest: one that stays keeps its node from those that must be apart from it
    names = {bundle.name for bundle in found}
    where = {sid: tenants[sid].node for sid in tenants}
    return [
        replace(
            bundle,
            allowed=frozenset(
                node
                for node in bundle.allowed
                if node == bundle.node or all(where.get(other) != node for other in bundle.apart - names)
            ),
        )
        for bundle in found
    ]


def _fixed(picture: Picture, bundles: list[Bundle]) -> dict[str, int]:
    """Bytes on each node beside what can be moved."""
    used: dict[str, int] = {}
    for tenant in picture.tenants:
        used[tenant.node] = used.get(tenant.node, 0) + tenant.takes
    for bundle in bundles:
        used[bundle.node] = used.get(bundle.node, 0) - bundle.memory
    return used


def _shown(
    plan: Plan, facts: GuestFacts, picture: Picture, params: Mapping[str, Any], stays: Mapping[str, str]
) -> dict[str, Any]:
    tenants = {tenant.sid: tenant for tenant in picture.tenants}
    rooms = {room.name: room for room in picture.rooms if room.online}
    before = dict.fromkeys(rooms, 0)
    for tenant in picture.tenants:
        if tenant.node in before:
            before[tenant.node] += tenant.takes
    affinities = picture.affinities()
    after = dict(before)
    moves = []
    for move in plan.moves:
        members = sorted({move.bundle, *affinities.together.get(move.bundle, ())} & set(tenants))
        takes = sum(tenants[member].takes for member in members)
        after[move.source] -= takes
        after[move.target] += takes
        moves.append(
            {
                "guest": int(move.bundle.partition(":")[2]),
                "sid": move.bundle,
                "name": str(facts.guests[int(move.bundle.partition(":")[2])].get("name") or ""),
                "source": move.source,
                "target": move.target,
                "memory": takes,
                "along": [member for member in members if member != move.bundle],
            }
        )
    nodes = [
        {
            "node": name,
            "capacity": room.capacity,
            "before": round(100 * before[name] / room.capacity) if room.capacity else None,
            "after": round(100 * after[name] / room.capacity) if room.capacity else None,
        }
        for name, room in sorted(rooms.items())
    ]
    return {
        "moves": moves,
        "nodes": nodes,
        "imbalance": {"before": round(100 * plan.before, 1), "after": round(100 * plan.after, 1)},
        "balanced": plan.after * 100 <= params["tolerance"],
        "stays": dict(sorted(stays.items())),
        "text": _text(plan, moves, nodes, params),
    }


def _text(plan: Plan, moves: list[dict[str, Any]], nodes: list[dict[str, Any]], params: Mapping[str, Any]) -> str:
    lines = [
        f"{move['source']} -> {move['target']}  {move['sid']}{' ' + move['name'] if move['name'] else ''}"
        f" ({size(move['memory'])}{', with ' + ', '.join(move['along']) if move['along'] else ''})"
        for move in moves
    ]
    shares = ", ".join(f"{node['node']} {node['before']} % -> {node['after']} %" for node in nodes)
    lines.append(f"memory for guests that is taken: {shares}")
    if plan.before * 100 <= params["tolerance"]:
        lines.append("nothing to do: the nodes are taken alike")
    elif plan.after * 100 > params["tolerance"]:
        apart = f"{100 * plan.after:.0f} % apart"
        lines.append(f"no more moves help within the rules and the room: the nodes stay {apart}")
    return "\n".join(lines)
