# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of all guests of a cluster, read in one pass. Private to this collection.

One list each of guests, storages, jobs and rules; then the configurations, which the API gives one by one, and the
lists of backups, several at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ._client import Client
from ._errors import ApiError, ConnectError, QuorateError
from ._ha import SERVICES
from ._parallel import side_by_side
from ._pure.lists import natural_key, natural_sorted, parse_node_list, split_list

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Affinity:
    """Where a resource may run: nodes with priorities; ``strict``: nowhere else. ``failback`` None: not said here."""

    name: str
    nodes: Mapping[str, int]
    strict: bool
    resources: tuple[str, ...]
    failback: bool | None = None


@dataclass
class GuestFacts:
    """The answers. ``backups``: by the storage's name, what is on it; None for a storage that could not be read."""

    resources: Sequence[Row] = ()
    storages: Sequence[Row] = ()
    replication: Sequence[Row] = ()
    ha_resources: Sequence[Row] = ()
    affinities: Sequence[Affinity] = ()
    apart: Sequence[Row] = ()
    not_covered: frozenset[int] | None = None
    configs: dict[int, Row] = field(default_factory=dict)
    processors: dict[str, str] = field(default_factory=dict)
    node_status: dict[str, Row] = field(default_factory=dict)
    backups: dict[str, list[Row] | None] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    planned_nodes: Sequence[str] = ()
    # made once from `resources`: there may be thousands
    _index: tuple[Sequence[Row], dict[int, Row], list[str]] = field(default=((), {}, []), repr=False)

    @property
    def guests(self) -> dict[int, Row]:
        """Guests that are no templates, by number."""
        if self._index[0] is not self.resources:
            rows = [row for row in self.resources if row.get("type") in SERVICES and not int(row.get("template") or 0)]
            found = {int(row["vmid"]): row for row in sorted(rows, key=lambda row: int(row["vmid"]))}
            there = natural_sorted({str(row["node"]) for row in self.resources if row.get("type") == "node"})
            self._index = (self.resources, found, there)
        return self._index[1]

    @property
    def nodes(self) -> list[str]:
        """Names of all nodes that guests may run on, those that shall join among them."""
        if self.planned_nodes:
            return natural_sorted(self.planned_nodes)
        # made together with the guests
        return self._index[2] if self.guests or self._index[0] is self.resources else []

    @property
    def online(self) -> list[str]:
        """Names of the nodes that are online."""
        rows = [row for row in self.resources if row.get("type") == "node" and row.get("status") == "online"]
        return sorted(str(row["node"]) for row in rows)

    def sid(self, vmid: int) -> str:
        """Name of the guest's resource."""
        return f"{SERVICES[str(self.guests[vmid]['type'])]}:{vmid}"

    def resources_of_ha(self, which: Callable[[Row], bool]) -> set[int]:
        """Numbers of the guests of such resources of HA."""
        return {int(str(each["sid"]).partition(":")[2]) for each in self.ha_resources if which(each)}

    def affinity(self, sid: str) -> Affinity | None:
        """Where a resource prefers to run."""
        return next((one for one in self.affinities if sid in one.resources), None)

    def allowed(self, sid: str) -> list[str]:
        """The nodes that HA may start a resource on, the preferred ones first."""
        one = self.affinity(sid)
        if one is None:
            return self.nodes
        first = sorted(one.nodes, key=lambda node: (-one.nodes[node], natural_key(node)))
        return first if one.strict else [*first, *(node for node in self.nodes if node not in one.nodes)]

    def replicas(self, vmid: int) -> list[str]:
        """The nodes that replication jobs which are switched on copy a guest to."""
        return sorted(
            str(job["target"])
            for job in self.replication
            if int(job["guest"]) == vmid and not int(job.get("disable") or 0) and not job.get("remove_job")
        )


def read_guest_facts(
    client: Client,
    wanted: Collection[int] | None = None,
    *,
    under_ha: Callable[[Row], bool] | None = None,
    backups: bool = True,
) -> GuestFacts:
    """Read. ``wanted``: the guests whose configurations are needed, each of which costs a call; all of them if it is
    None. ``under_ha``: those of such resources of HA, too.

    What the login may not see or the server does not have is left out, and named in ``unread``; but if resources of HA
    are asked for, not being able to read them raises ApiError.
    """
    facts = GuestFacts()
    facts.resources = client.get("/cluster/resources")
    asked: dict[str, Callable[[], Any]] = {
        "/storage": lambda: client.get("/storage"),
        "/cluster/replication": lambda: client.get("/cluster/replication"),
        "/cluster/ha/resources": lambda: client.get("/cluster/ha/resources"),
        "/cluster/ha/rules": lambda: client.get("/cluster/ha/rules"),
        "/cluster/backup-info/not-backed-up": lambda: client.get("/cluster/backup-info/not-backed-up"),
    }
    for node in facts.online:
        path = f"/nodes/{node}/status"
        asked[path] = lambda path=path: client.get(path)  # type: ignore[misc]
    answers = dict(zip(asked, side_by_side(lambda path: asked[path](), asked), strict=True))

    def answer(path: str) -> Any:
        found = answers[path]
        return None if isinstance(found, QuorateError) else found

    for path, found in answers.items():
        if isinstance(found, ApiError):
            if not (path == "/cluster/ha/rules" and _without_rules(found)):
                facts.unread.append(f"{path}: {found.text}")
        elif isinstance(found, ConnectError):
            raise found
        elif isinstance(found, QuorateError):
            facts.unread.append(f"{path}: {found.message}")
    facts.storages = answer("/storage") or ()
    facts.replication = answer("/cluster/replication") or ()
    facts.ha_resources = answer("/cluster/ha/resources") or ()
    if under_ha is not None:
        if isinstance(refusal := answers["/cluster/ha/resources"], ApiError):
            raise refusal
        wanted = {*(wanted or ()), *facts.resources_of_ha(under_ha)}
    uncovered = answer("/cluster/backup-info/not-backed-up")
    facts.not_covered = None if uncovered is None else frozenset(int(row["vmid"]) for row in uncovered)
    rules = answers["/cluster/ha/rules"]
    if not isinstance(rules, QuorateError):
        facts.affinities = [_of_rule(row) for row in rules if row.get("type") == "node-affinity" and _is_on(row)]
        facts.apart = [row for row in rules if row.get("type") == "resource-affinity" and _is_on(row)]
    elif isinstance(rules, ApiError) and _without_rules(rules):
        facts.affinities = _of_groups(client.get("/cluster/ha/groups"), facts.ha_resources)
    for node in facts.online:
        status = answer(f"/nodes/{node}/status")
        if status is not None:
            facts.node_status[node] = status
            facts.processors[node] = str((status.get("cpuinfo") or {}).get("model") or "")
    _read_configs(client, facts, wanted)
    if backups:
        _read_backups(client, facts)
    return facts


def _without_rules(error: ApiError) -> bool:
    """Groups are turned into rules at the first start of a manager of version 9 (facts §7.1)."""
    return error.unknown_path or "migrated" in error.text or error.status == 501


def _is_on(row: Row) -> bool:
    return not int(row.get("disable") or 0)


def _of_rule(row: Row) -> Affinity:
    nodes = row.get("nodes") or ""
    return Affinity(
        str(row["rule"]),
        parse_node_list(nodes) if isinstance(nodes, str) else dict(nodes),
        bool(int(row.get("strict") or 0)),
        tuple(split_list(str(row.get("resources") or ""))),
    )


def _of_groups(groups: Sequence[Row], resources: Sequence[Row]) -> list[Affinity]:
    return [
        Affinity(
            str(group["group"]),
            parse_node_list(str(group.get("nodes") or "")),
            bool(int(group.get("restricted") or 0)),
            tuple(str(each["sid"]) for each in resources if each.get("group") == group["group"]),
            not int(group.get("nofailback") or 0),
        )
        for group in groups
    ]


def _read_configs(client: Client, facts: GuestFacts, wanted: Collection[int] | None) -> None:
    guests, online = facts.guests, set(facts.online)
    chosen = [vmid for vmid in guests if (wanted is None or vmid in wanted) and guests[vmid]["node"] in online]
    found = side_by_side(lambda vmid: client.get(f"{_path(guests[vmid])}/config"), chosen)
    for vmid, answer in zip(chosen, found, strict=True):
        if isinstance(answer, QuorateError):
            facts.unread.append(f"the configuration of {vmid}: {answer.message}")
        else:
            facts.configs[vmid] = answer


def _path(guest: Row) -> str:
    return f"/nodes/{guest['node']}/{guest['type']}/{guest['vmid']}"


def _read_backups(client: Client, facts: GuestFacts) -> None:
    """What the storages for backups hold: of a shared one by one of its nodes, else by each."""
    places: dict[tuple[str, str], None] = {}
    seen: set[str] = set()
    for row in facts.resources:
        if row.get("type") != "storage" or "backup" not in split_list(str(row.get("content") or "")):
            continue
        name, node = str(row["storage"]), str(row["node"])
        facts.backups.setdefault(name, None)
        if row.get("status") != "available" or node not in facts.online or name in seen:
            continue
        if int(row.get("shared") or 0):
            seen.add(name)
        places[node, name] = None
    found = side_by_side(
        lambda place: client.get(f"/nodes/{place[0]}/storage/{place[1]}/content", content="backup"), places
    )
    for (node, name), answer in zip(places, found, strict=True):
        if isinstance(answer, QuorateError):
            facts.unread.append(f"the backups on {name} as {node} sees them: {answer.message}")
        else:
            facts.backups[name] = [*(facts.backups[name] or ()), *answer]
