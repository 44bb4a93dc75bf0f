# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up guests now, unless they have a backup that is young enough (facts §13). Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._ages import max_age_of
from ._api import Api, Result, refuse
from ._backups import Backup, newest_of, read_backups
from ._errors import ApplyError, InputError, QuorateError, VerifyError
from ._parallel import all_or_error, side_by_side
from ._plan import CREATE, Change, raise_all
from ._pure.lists import natural_sorted, split_list


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    max_age = max_age_of(params)
    if bool(params["guests"]) == bool(params["all"]):
        raise InputError("either the guests or all must be given", where="guests")
    api = Api.open(params, check_mode)
    try:
        return _Run(api, params, max_age).go()
    finally:
        api.client.close()


class _Run:
    """Backups of some guests on one storage."""

    def __init__(self, api: Api, params: Mapping[str, Any], max_age: float | None) -> None:
        self.api, self.params, self.max_age = api, params, max_age
        self.storage = str(params["storage"])

    def go(self) -> Result:
        """Look, back up what is due, and look again."""
        api = self.api
        guests = self._guests()
        readers = self._readers()
        newest = self._newest(readers)
        due = self._due(guests, newest, readers)
        changes = [self._change(vmid, guests[vmid], newest.get(vmid)) for vmid in due]
        if due and not api.check_mode:
            self._check_online({guests[vmid] for vmid in due})
            api.approve(changes)
            self._back_up(due, guests, changes)
            before, newest = newest, self._newest(readers)
            same = [vmid for vmid in due if vmid not in newest or newest[vmid] == before.get(vmid)]
            if same:
                named = ", ".join(map(str, same))
                raise VerifyError(f"the backup ended well, and there is no new one of {named} on {self.storage}")
        return api.result(changes, backups=[newest[vmid].shown() for vmid in sorted(guests) if vmid in newest])

    def _guests(self) -> dict[int, str]:
        """The guests to back up, with their nodes."""
        there = {vmid: str(guest["node"]) for vmid, guest in self.api.guests.items()}
        left_out = set(self.params["exclude"])
        if self.params["all"]:
            return {vmid: node for vmid, node in there.items() if vmid not in left_out}
        for index, vmid in enumerate(self.params["guests"]):
            self.api.check_reference("guest", vmid, f"guests[{index}]")
        return {vmid: there.get(vmid, "") for vmid in self.params["guests"] if vmid not in left_out}

    def _readers(self) -> list[str]:
        """Nodes that are asked what the storage has: one of a shared one, else all that have it."""
        self.api.check_reference("storage", self.storage, "storage")
        if self.storage not in self.api.known("storage"):
            return []
        # the list, which needs no more rights than backing up does
        entry = next(each for each in self.api.client.get("/storage") if each["storage"] == self.storage)
        if "backup" not in split_list(entry.get("content") or ""):
            raise refuse(f"{self.storage} takes no backups", where="storage", hint="Add backup to its content.")
        nodes = split_list(entry.get("nodes") or "") or list(self.api.nodes)
        online = natural_sorted(node for node in nodes if node in self.api.nodes and self.api.online(node))
        if not online:
            raise refuse(f"no node that has {self.storage} is online", where="storage")
        shared = entry.get("type") == "pbs" or bool(int(entry.get("shared") or 0))
        return online[:1] if shared else online

    def _newest(self, readers: list[str]) -> dict[int, Backup]:
        lists = all_or_error(side_by_side(lambda node: read_backups(self.api, node, self.storage), readers))
        return newest_of(backup for each in lists for backup in each)

    def _due(self, guests: Iterable[int], newest: Mapping[int, Backup], readers: list[str]) -> list[int]:
        if self.max_age is None or not readers:
            return sorted(guests)
        # the servers' clock counts, not the one here
        oldest = float(self.api.client.get(f"/nodes/{readers[0]}/time")["time"]) - self.max_age
        return sorted(vmid for vmid in guests if vmid not in newest or newest[vmid].time < oldest)

    def _change(self, vmid: int, node: str, newest: Backup | None) -> Change:
        before = {"newest": newest.volid} if newest else {}
        label = f"of {vmid} on {self.storage}"
        return Change(CREATE, "backup", label, (vmid,), before=before, after={"node": node} if node else {})

    def _check_online(self, nodes: set[str]) -> None:
        offline = natural_sorted(node for node in nodes if not self.api.online(node))
        raise_all([refuse(f"{node} is offline, and guests to back up are there", where="guests") for node in offline])

    def _back_up(self, due: list[int], guests: Mapping[int, str], changes: list[Change]) -> None:
        """One task a node, all nodes at the same time."""
        by_node: dict[str, list[int]] = {}
        for vmid in due:
            by_node.setdefault(guests[vmid], []).append(vmid)
        nodes = natural_sorted(by_node)
        results = side_by_side(lambda node: self._on(node, by_node[node]), nodes)
        errors = {node: each for node, each in zip(nodes, results, strict=True) if isinstance(each, QuorateError)}
        if errors:
            failed = {vmid for node in errors for vmid in by_node[node]}
            done = [change.describe() for change in changes if change.key[0] not in failed]
            not_done = [change.describe() for change in changes if change.key[0] in failed]
            raise ApplyError(list(errors.values()), done, not_done)

    def _on(self, node: str, vmids: list[int]) -> None:
        answer = self.api.client.post(
            f"/nodes/{node}/vzdump",
            {
                "vmid": ",".join(map(str, vmids)),
                "storage": self.storage,
                "mode": self.params["mode"],
                "notes-template": self.params["notes_template"],
                "protected": self.params["protected"] or None,
            },
        )
        self.api.finish_task(answer, float(self.params["timeout"]), f"backup on {node}")
