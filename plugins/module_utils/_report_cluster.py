# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's parts about nodes, links, votes and HA. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._link_steps import LinkStatus
from ._membership import links_of, witness_votes
from ._pure.lists import natural_key
from ._report_raw import Raw, Wishes
from ._report_words import ERROR, GOOD, INFO, WARNING, finding, listed, size, span

OK, PART, CUT, UNKNOWN = "ok", "part", "cut", "unknown"
"""States of a node's end of a link: reaches every other that is online, some, none, not known."""

Found = Iterator[dict[str, str]]


def nodes_of(raw: Raw, wishes: Wishes) -> list[dict[str, Any]]:
    """Every member: whether it is online, what it is made of, what runs there."""
    facts = raw.facts
    configured = {str(each["node"]): each for each in raw.config_nodes}
    guests: dict[str, list[str]] = {}
    for guest in facts.guests.values():
        guests.setdefault(str(guest["node"]), []).append(str(guest.get("status") or ""))
    rows = []
    for name, member in sorted(raw.membership.members.items(), key=lambda pair: natural_key(pair[0])):
        status = facts.node_status.get(name) or {}
        memory = status.get("memory") or {}
        processors = int((status.get("cpuinfo") or {}).get("cpus") or 0)
        load = float((status.get("loadavg") or [0])[0])
        total, used = int(memory.get("total") or 0), int(memory.get("used") or 0)
        mine = guests.get(name, [])
        rows.append(
            {
                "name": name,
                "online": member.online,
                "site": wishes.site(name),
                "voter": wishes.voter(name),
                "address": member.address or "",
                "votes": int((configured.get(name) or {}).get("quorum_votes") or 1),
                "version": str(status.get("pveversion") or "").removeprefix("pve-manager/").partition("/")[0],
                "kernel": str((status.get("current-kernel") or {}).get("release") or ""),
                "processor": str((status.get("cpuinfo") or {}).get("model") or ""),
                "processors": processors,
                "load": load,
                "load_percent": round(100 * load / processors) if processors else None,
                "memory": {
                    "total": total,
                    "used": used,
                    "percent": round(100 * used / total) if total else None,
                    "text": f"{size(used)} of {size(total)}" if total else "",
                },
                "swap_used": int((status.get("swap") or {}).get("used") or 0),
                "uptime": span(float(status["uptime"])) if status.get("uptime") else "",
                "lrm": raw.ha.lrm.get(name, ""),
                "running": sum(state == "running" for state in mine),
                "guests": len(mine),
                "links": [
                    {"number": number, "address": address}
                    for number, address in links_of(configured.get(name) or {}).items()
                ],
            }
        )
    return rows


def node_findings(rows: Sequence[Mapping[str, Any]]) -> Found:
    """What is wrong with nodes."""
    for row in rows:
        if not row["online"]:
            fix = "Power it on, or look at its network and at corosync; remove it if it is gone for good."
            yield finding(ERROR, "nodes", row["name"], f"{row['name']} is offline", fix)
        if row["load_percent"] is not None and row["load_percent"] > 75:
            text = f"the load of {row['name']} is {row['load_percent']} % of its {row['processors']} processors"
            yield finding(WARNING, "nodes", row["name"], text, "Move guests to other nodes (rebalance.yml).")
        if row["swap_used"]:
            text = f"{row['name']} uses {size(row['swap_used'])} of swap: corosync and guests may stall"
            yield finding(WARNING, "nodes", row["name"], text, "Give it more memory, or fewer guests.")
    versions = {row["name"]: row["version"] for row in rows if row["version"]}
    if len(set(versions.values())) > 1:
        words = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield finding(WARNING, "nodes", "", f"the nodes have different versions: {words}", "Upgrade the older ones.")


def links_of_cluster(raw: Raw) -> list[dict[str, Any]]:
    """Every corosync link with each node's end of it: address, state, and who is not seen."""
    interfaces = raw.totem.get("interface") or {}
    ids = {member.nodeid: name for name, member in raw.membership.members.items()}
    online = {name for name, member in raw.membership.members.items() if member.online}
    numbers = sorted({number for node in raw.config_nodes for number in links_of(node)})
    rows = []
    for number in numbers:
        ends = []
        for node in sorted(raw.config_nodes, key=lambda node: natural_key(str(node["node"]))):
            name = str(node["node"])
            seen = raw.links.get(name)
            state, missing = _end(name, number, seen, ids, online)
            ends.append({"node": name, "address": links_of(node).get(number, ""), "state": state, "missing": missing})
        priority = (interfaces.get(str(number)) or {}).get("knet_link_priority")
        rows.append(
            {
                "number": number,
                "priority": int(priority) if priority is not None else None,
                "ends": ends,
                "state": _whole([str(end["state"]) for end in ends]),
            }
        )
    return rows


def _end(
    name: str, number: int, seen: Mapping[int, LinkStatus] | str | None, ids: Mapping[int, str], online: set[str]
) -> tuple[str, list[str]]:
    if name not in online:
        return CUT, []
    if seen is None or isinstance(seen, str) or number not in seen:
        return UNKNOWN, []
    others = {nodeid: other for nodeid, other in ids.items() if other != name and other in online}
    missing = seen[number].unconnected(others)
    if not missing:
        return OK, []
    return (CUT if len(missing) == len(others) else PART), missing


def _whole(states: Sequence[str]) -> str:
    known = [state for state in states if state != UNKNOWN]
    if not known:
        return UNKNOWN
    return OK if set(known) == {OK} else CUT if OK not in known and PART not in known else PART


def link_findings(links: Sequence[Mapping[str, Any]], online: Sequence[str]) -> Found:
    """Links that do not reach everybody, and a cluster with one link only."""
    for link in links:
        bad = [end for end in link["ends"] if end["missing"] and end["node"] in online]
        cut = [str(end["node"]) for end in bad if end["state"] == CUT]
        # who sees nobody is why the others do not see it
        named = cut if cut and len(cut) < len(link["ends"]) else [str(end["node"]) for end in bad]
        if bad:
            verb = "is" if len(named) == 1 else "are"
            text = f"link {link['number']}: {listed(named)} {verb} cut off from other nodes on it"
            fix = "Look at its cable, switch port and address: one more lost link costs quorum or starts a fence."
            yield finding(ERROR if len(links) == 1 else WARNING, "topology", f"link {link['number']}", text, fix)
    if len(links) == 1:
        text = "corosync has one link only: when its switch or cable fails, the nodes lose each other"
        yield finding(WARNING, "topology", "links", text, "Add a second link on another network (pve_links).")


def quorum_of(raw: Raw, nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The votes, and for each thing that can be lost whether the rest has a majority."""
    votes = {str(node["name"]): int(node["votes"]) for node in nodes}
    own = sum(votes.values()) or 1
    device, connected = witness_votes(raw.qdevice, own)
    expected = own + device
    needed = expected // 2 + 1
    there = {str(node["name"]) for node in nodes if node["online"]}
    present = sum(votes[name] for name in there) + (device if connected else 0)
    if raw.membership.cluster is None:
        expected = needed = present = 1
    losses = [_loss(name, [name], votes, present, needed) for name in sorted(there, key=natural_key)]
    sites: dict[str, list[str]] = {}
    for node in nodes:
        if node["online"] and node["site"]:
            sites.setdefault(str(node["site"]), []).append(str(node["name"]))
    if len(sites) > 1:
        losses += [_loss(f"site {site}", names, votes, present, needed) for site, names in sorted(sites.items())]
    if device and connected:
        losses.append({"lost": "the witness", "left": present - device, "quorate": present - device >= needed})
    spare, survived = present - needed, 0
    for vote in sorted((votes[name] for name in there), reverse=True):
        spare -= vote
        if spare < 0:
            break
        survived += 1
    return {
        "expected": expected,
        "present": present,
        "needed": needed,
        "quorate": raw.membership.quorate,
        "witness": {"votes": device, "connected": connected, "algorithm": str(raw.qdevice.get("Algorithm") or "")}
        if device
        else None,
        "survives": survived,
        "losses": losses,
        "text": _survives(survived, clustered=raw.membership.cluster is not None),
    }


def _loss(what: str, names: Sequence[str], votes: Mapping[str, int], present: int, needed: int) -> dict[str, Any]:
    left = present - sum(votes[name] for name in names)
    return {"lost": what, "left": left, "quorate": left >= needed}


def _survives(number: int, *, clustered: bool) -> str:
    if not clustered:
        return "a single node: there is nothing that takes over"
    if number == 0:
        return "survives no further loss"
    return "survives the loss of any one node" if number == 1 else f"survives the loss of any {number} nodes"


def quorum_findings(raw: Raw, quorum: Mapping[str, Any]) -> Found:
    """No majority, none to spare, a witness that is away."""
    if not quorum["quorate"]:
        text = f"the cluster is not quorate: {quorum['present']} of {quorum['needed']} votes that are needed"
        yield finding(ERROR, "quorum", "", text, "Bring nodes back: without a majority all stands still.")
    elif raw.membership.cluster is not None and quorum["survives"] == 0:
        text = f"the loss of one more node stops everything: {quorum['present']} votes, {quorum['needed']} are needed"
        yield finding(WARNING, "quorum", "", text, "Bring back what is offline, or add a witness (pve_witness).")
    witness = quorum["witness"]
    if witness and not witness["connected"]:
        text = "the witness does not answer, and its vote is missing"
        yield finding(WARNING, "quorum", "witness", text, "Look at corosync-qnetd on the witness and at the way to it.")


def ha_of(raw: Raw) -> dict[str, Any]:
    """The manager, and the resources with where they are and may be."""
    facts = raw.facts
    names = {facts.sid(vmid): str(guest.get("name") or "") for vmid, guest in facts.guests.items()}
    configured = {str(each["sid"]): each for each in facts.ha_resources}
    rows = []
    for sid, service in raw.ha.services.items():
        resource, rule = configured.get(sid) or {}, facts.affinity(sid)
        failback = resource.get("failback", rule.failback if rule else None)
        rows.append(
            {
                "sid": sid,
                "name": names.get(sid, ""),
                "node": service.node,
                "state": service.state,
                "requested": service.request_state,
                "severity": ERROR if service.state == "error" else GOOD if service.at_rest else WARNING,
                "rule": rule.name if rule else "",
                "strict": bool(rule and rule.strict),
                "may_run": [
                    {"node": node, "priority": rule.nodes.get(node) if rule else None} for node in facts.allowed(sid)
                ],
                "failback": None if failback is None else bool(int(failback)),
                "max_restart": int(resource.get("max_restart", 1)),
                "max_relocate": int(resource.get("max_relocate", 1)),
                "comment": str(resource.get("comment") or ""),
            }
        )
    return {
        "manager": raw.ha.master,
        "fencing": raw.ha.fencing,
        "resources": rows,
        "apart": [
            {
                "rule": str(each.get("rule") or ""),
                "affinity": str(each.get("affinity") or ""),
                "resources": str(each.get("resources") or ""),
            }
            for each in facts.apart
        ],
    }


def ha_findings(ha: Mapping[str, Any]) -> Found:
    """Resources that are not what they should be, and a manager that is not there."""
    for row in ha["resources"]:
        if row["severity"] == ERROR:
            text = f"{row['sid']} is in the state error, and HA leaves it alone"
            fix = "Put right what ails the guest, set it to disabled, then to started again."
            yield finding(ERROR, "ha", row["sid"], text, fix)
        elif row["severity"] == WARNING:
            text = f"{row['sid']} is {row['state']}, asked for: {row['requested']}"
            yield finding(WARNING, "ha", row["sid"], text, "Wait; if it stays so, look at the manager's log.")
        if row["failback"]:
            text = f"{row['sid']} goes back as soon as its node returns: an unstable node pulls it to and fro"
            yield finding(INFO, "ha", row["sid"], text, "Say failback: false.")
    manager = ha["manager"]
    if ha["resources"] and (manager is None or manager["state"] != "active"):
        text = "there is no active HA manager: nothing would be recovered"
        yield finding(ERROR, "ha", "manager", text, "Look at pve-ha-crm on the nodes, and at quorum.")
    if ha["fencing"] not in (None, "armed"):
        text = f"fencing is {ha['fencing']}: HA recovers nothing while it is"
        yield finding(WARNING, "ha", "fencing", text, "Arm it again (ha-manager crm-command arm-ha).")
