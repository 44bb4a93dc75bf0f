# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about votes: the witness, nodes that only vote, what findings count as.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._ha_replicas import in_force
from ._pure.ha_eligibility import CHECKS as ELIGIBILITY
from ._site_nodes import Node

SEVERITIES = ("error", "warning", "info")
CHECKS = (
    *(
        "unique",
        "reachable",
        "login",
        "fingerprint",
        "api",
        "name",
        "version",
        "cluster",
        "quorum",
        "members",
        "guests",
    ),
    *(f"ha_{name}" for name in ELIGIBILITY),
    *("links", "disks", "raid", "ssh", "path", "latency", "jitter", "loss", "mtu", "nics", "speed", "resolution"),
    *("clock", "watchdog", "swap", "load", "memory", "spare", "timezone", "repositories", "subscription", "count"),
    *("replication", "departed"),
)
"""The names of preflight's checks."""


def witness_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """A witness needs an address outside of the cluster."""
    witness = variables.get("pve_witness")
    if not witness or witness.get("state") == "absent":
        return
    if not witness.get("address"):
        yield "pve_witness: address is missing."
    for node in nodes:
        if witness.get("address") and witness["address"] in (node["address"], *(x["address"] for x in node["links"])):
            yield f"pve_witness: {witness['address']} is {node['where']}, a node of the cluster. Name another host."


def voter_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """A node that only votes has no guests, replicas, OSDs or pools, and HA never starts a guest there."""
    voters = {node["name"] for node in nodes if node["voter"]}
    if not voters:
        return
    fields = (
        ("pve_guests", "node", "vmid", "is to run on"),
        ("pve_replication_jobs", "target", "guest", "is to be replicated to"),
        ("pve_ceph_osds", "node", "node", "is to have disks of"),
    )
    for name, field, label, words in fields:
        for index, element in enumerate(variables.get(name) or []):
            if element.get(field) in voters and element.get("state") != "absent":
                yield f"{name}[{index}] ({element[label]}): {words} {element[field]}, which only votes (pve_voter)."
    # a replicated guest that no affinity names is led to its replicas by the role ha
    jobs = [job for job in variables.get("pve_replication_jobs") or [] if job.get("state") != "absent"]
    bound = {f"{kind}:{job['guest']}" for job in jobs for kind in ("vm", "ct")}
    for index, affinity in enumerate(variables.get("pve_ha_affinity") or []):
        if not list(in_force([affinity])):
            continue
        if named := sorted(voters & set(affinity.get("nodes") or {})):
            where = f"pve_ha_affinity[{index}] ({affinity['name']})"
            yield f"{where}: names {', '.join(named)}, which only votes (pve_voter)."
        named_here = set(map(str, affinity.get("resources") or []))
        bound = bound | named_here if affinity.get("strict") else bound - named_here
    for index, resource in enumerate(variables.get("pve_ha_resources") or []):
        if resource.get("state") in ("absent", "ignored", "disabled") or str(resource["sid"]) in bound:
            continue
        yield (
            f"pve_ha_resources[{index}] ({resource['sid']}): HA may start it on {', '.join(sorted(voters))}, which "
            "only votes (pve_voter). Add it to an affinity with strict: true over the other nodes."
        )


def severity_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Names of checks, and what they may count as."""
    for name, severity in (variables.get("pve_preflight_severity") or {}).items():
        if name not in CHECKS:
            yield f"pve_preflight_severity: there is no check {name}; there are {', '.join(sorted(CHECKS))}."
        elif severity not in SEVERITIES:
            yield f"pve_preflight_severity.{name}: must be {', '.join(SEVERITIES)}, is {severity}."
