# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines: their configuration, disks, network cards, and whether they run (facts §14).

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._collection import Collection
from ._errors import InputError, QuorateError, StateError
from ._guest_devices import disk_difference, net_difference, new_size
from ._parallel import all_or_error, side_by_side
from ._plan import CREATE, DELETE, UPDATE, Change, Wanted, plan_changes, raise_all
from ._spec import ABSENT, PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN, INTEGER, SET, Form, plain_text
from ._wait import wait_until

SHUTDOWN_TIMEOUT = 60
REPORT_TIMEOUT = 30

# Tags are separated by semicolons
TAGS = Form(SET.normalise, ";".join, "list", "str")
DEVICES = Form(lambda value: {str(key): value[key] for key in value}, dict, "dict")

GUESTS = Spec(
    kind="guest",
    option="guests",
    keys=("vmid",),
    path="/nodes/{node}/qemu",
    item_path="/nodes/{node}/qemu/{vmid}",
    fields=(
        Field("vmid", INTEGER, required=True),
        Field("node", needed=True, listed=False, sent=False, refers="node"),
        Field("type", choices=("qemu",), initial="qemu", fixed=True, sent=False),
        Field("name"),
        Field("memory", INTEGER, default=512),
        Field("balloon", INTEGER),
        Field("cores", INTEGER, default=1),
        Field("sockets", INTEGER, default=1),
        Field("cpu"),
        Field("ostype", default="other"),
        Field("scsihw"),
        Field("agent"),
        Field("boot"),
        Field("description"),
        Field("tags", TAGS),
        Field("onboot", BOOLEAN, default=False),
        Field("protection", BOOLEAN, default=False),
        Field("disks", DEVICES, listed=False, sent=False),
        Field("nets", DEVICES, listed=False, sent=False),
        Field("options", DEVICES, listed=False, sent=False),
        Field("started", BOOLEAN, listed=False, sent=False),
        Field("destroy", BOOLEAN, initial=False, listed=False, sent=False),
    ),
)


class Guests(Collection):
    """Guests, each with a configuration of its own, so that nodes take several changes at once."""

    #: node of each of the guests that nobody can be asked for
    _away: Mapping[Key, str] = {}

    spec = GUESTS
    parallel = True

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Destroying has to be said twice."""
        raise_all(
            [
                InputError(
                    "destroying a guest destroys its data",
                    where=want.where,
                    hint="Say destroy: true as well if that is meant.",
                )
                for want in wanted
                if want.state == ABSENT and not want.item.get("destroy")
            ]
        )
        return wanted

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """One list of all guests, then the configurations of those that are named, side by side.

        Whether they run is asked of their nodes: the list of the cluster is ten seconds behind (facts §5).
        """
        self.api.forget_guests()
        there = self.api.guests
        named = [vmid for vmid in sorted({int(want.item["vmid"]) for want in wanted}) if vmid in there]
        self._away = {(vmid,): str(there[vmid]["node"]) for vmid in named if self._is_away(there[vmid])}
        named = [vmid for vmid in named if (vmid,) not in self._away]
        configs = all_or_error(side_by_side(self._config, named))
        asked = {int(want.item["vmid"]) for want in wanted if "started" in want.item or want.state == ABSENT}
        running = self._running({str(there[vmid]["node"]) for vmid in named if vmid in asked})
        return {
            (vmid,): {
                **GUESTS.seen({**config, "vmid": vmid, "type": there[vmid]["type"]}),
                "node": str(there[vmid]["node"]),
                "_config": config,
                "_running": vmid in running,
                "_managed": there[vmid].get("hastate") not in (None, "", "ignored"),
            }
            for vmid, config in zip(named, configs, strict=True)
        }

    def _is_away(self, guest: Mapping[str, Any]) -> bool:
        """Whether nobody can be asked for it: its node is offline, so that the cluster does not know it (facts §5)."""
        return str(guest.get("status")) == "unknown" and not self.api.online(str(guest["node"]))

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """The plain settings, with disks, network cards, other options and whether it runs."""
        for want in wanted:
            if node := self._away.get(GUESTS.key(want.item)):
                self.api.warn(f"{want.where}: it is on {node}, which is offline, and is left as it is")
        wanted = [want for want in wanted if GUESTS.key(want.item) not in self._away]
        changes = {change.key: _tidy(change) for change in plan_changes(GUESTS, wanted, actual)}
        errors: list[QuorateError] = []
        for want in wanted:
            key = GUESTS.key(want.item)
            there = actual.get(key)
            if there is None or want.state != PRESENT:
                continue
            try:
                changed = self._extra(want, there, changes.get(key))
            except QuorateError as error:
                errors.append(error)
                continue
            if changed:
                changes[key] = changed
        raise_all(errors)
        return sorted(changes.values(), key=lambda change: (change.action != DELETE, change.key))

    def create(self, change: Change) -> None:
        """With all disks and network cards; the task ends when the disks are there."""
        item = change.item
        payload = {**GUESTS.payload(item)}
        for group in ("disks", "nets", "options"):
            payload |= {
                name: plain_text(value) for name, value in (item.get(group) or {}).items() if value not in ("", None)
            }
        self.finish(self.api.client.post(GUESTS.fill(GUESTS.path, item), payload), change)
        if item.get("started"):
            self._power(change, str(item["node"]), "start")

    def update(self, change: Change) -> None:
        """The configuration, then disks that grow, then the power."""
        base = GUESTS.fill(GUESTS.item_path, change.actual)
        payload = GUESTS.payload({name: value for name, value in change.set.items() if name != "started"})
        gone = [GUESTS.field(name).api_name for name in change.unset]
        sizes: dict[str, str] = {}
        for group in ("disks", "nets", "options"):
            for name, value in (change.set.get(group) or {}).items():
                if group == "disks" and (size := new_size(value)):
                    sizes[name] = size
                elif value is None:
                    gone.append(name)
                else:
                    payload[name] = plain_text(value)
        if gone:
            payload["delete"] = ",".join(sorted(gone))
        if payload:
            # of this guest alone: nobody else may have changed it since it was read
            digest = change.actual["_config"].get("digest")
            self.finish(self.api.client.put(f"{base}/config", {**payload, "digest": digest}), change)
        for disk, size in sizes.items():
            self.finish(self.api.client.put(f"{base}/resize", {"disk": disk, "size": size}), change)
        if "started" in change.set:
            self._power(change, str(change.actual["node"]), "start" if change.set["started"] else "shutdown")

    def delete(self, change: Change) -> None:
        """Stopped first; with its jobs and its place under HA."""
        base = GUESTS.fill(GUESTS.item_path, change.actual)
        if change.actual.get("_managed"):
            raise StateError("the guest is under HA", where=change.where, hint="Take it out of ha_resources first.")
        if change.actual.get("_running"):
            self.finish(self.api.client.post(f"{base}/status/stop"), change)
        self.finish(self.api.client.delete(base, {"purge": 1, "destroy-unreferenced-disks": 1}), change)

    def verify(self, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
        """As ever, once the cluster's list shows who runs: each node reports its guests every ten seconds."""
        powered = {
            change.key[0]: change.item["started"] for change in changes if change.item.get("started") is not None
        }

        def all_seen() -> bool | None:
            self.api.forget_guests()
            late = [vmid for vmid, runs in powered.items() if self._runs(vmid) not in (None, runs)]
            return None if late else True

        wait_until(all_seen, timeout=REPORT_TIMEOUT, what="the nodes' report of started and stopped guests")
        super().verify(wanted, changes)

    def _runs(self, vmid: int) -> bool | None:
        """None if HA decides that, or the guest is gone."""
        guest = self.api.guests.get(vmid)
        if guest is None or guest.get("hastate") not in (None, "", "ignored"):
            return None
        return guest.get("status") == "running"

    def _running(self, nodes: set[str]) -> set[int]:
        lists = all_or_error(side_by_side(lambda node: self.api.client.get(f"/nodes/{node}/qemu"), sorted(nodes)))
        return {int(guest["vmid"]) for guests in lists for guest in guests if guest.get("status") == "running"}

    def _config(self, vmid: int) -> Mapping[str, Any]:
        guest = self.api.guests[vmid]
        if guest["type"] != "qemu":
            return {}
        config: Mapping[str, Any] = self.api.client.get(f"/nodes/{guest['node']}/qemu/{vmid}/config")
        return config

    def _power(self, change: Change, node: str, command: str) -> None:
        more = {"forceStop": 1, "timeout": SHUTDOWN_TIMEOUT} if command == "shutdown" else {}
        self.finish(self.api.client.post(f"/nodes/{node}/qemu/{change.key[0]}/status/{command}", more), change)

    def _extra(self, want: Wanted, there: Item, change: Change | None) -> Change | None:
        """Add to a change what is not a plain setting."""
        config: Mapping[str, Any] = there["_config"]
        item = want.item
        to_set: Item = {}
        before: Item = {}
        for group, difference in (
            ("disks", disk_difference),
            ("nets", net_difference),
            ("options", _option_difference),
        ):
            differing = {}
            for name, value in (item.get(group) or {}).items():
                found = difference(name, value, config.get(name), want.where)
                if found is not None:
                    differing[name] = found[0]
                    before.setdefault(group, {})[name] = config.get(name)
            if differing:
                to_set[group] = differing
        running = bool(there["_running"])
        if "started" in item and item["started"] != running:
            if there["_managed"]:
                self.api.warn(f"{want.where}: left to HA to {'start' if item['started'] else 'stop'}")
            else:
                to_set["started"], before["started"] = item["started"], running
        if not to_set:
            return change
        change = change or Change(
            UPDATE,
            GUESTS.kind,
            GUESTS.label(there),
            GUESTS.key(item),
            item,
            there,
            where=want.where,
            element=want.element,
        )
        return replace(
            change, set={**change.set, **to_set}, before={**change.before, **before}, after={**change.after, **to_set}
        )


def _option_difference(name: str, wanted: Any, has: Any, where: str) -> tuple[Any] | None:
    text = None if wanted in ("", None) else plain_text(wanted)
    return None if text == (None if has is None else plain_text(has)) else (text,)


def _tidy(change: Change) -> Change:
    """Leave out of what is shown the keys that are the framework's own."""

    def shown(item: Item) -> Item:
        return {name: value for name, value in item.items() if not name.startswith("_") and name != "destroy"}

    if change.action == CREATE or change.action == DELETE:
        return replace(change, before=shown(change.before), after=shown(change.after))
    return change
