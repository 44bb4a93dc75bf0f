# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's OSDs: an OSD on every disk that is named or chosen, one after another on a node, nodes side by side.

Private to this collection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._api import Api, Result
from ._ceph import HERE, members, read
from ._ceph_osd_removal import osds_in, removals, remove
from ._disks import Disk, check_devices, choose, refuse_controllers
from ._errors import ApiError, ApplyError, InputError, QuorateError, TaskError
from ._parallel import all_or_error, side_by_side
from ._plan import CREATE, Change, raise_all
from ._pure.lists import natural_key, natural_sorted
from ._spec import ABSENT, PRESENT
from ._tasks import running_tasks, wait_for_task
from ._values import plain_text
from ._wait import wait_until

EVERY = "*"
OSD = "OSD"

ELEMENT: dict[str, Any] = {
    "node": {"type": "str", "required": True},
    "devices": {"type": "raw"},
    "id": {"type": "int"},
    "replaces": {"type": "int"},
    "state": {"type": "str", "choices": ["present", "absent", "ignore"], "default": "present"},
    "allow_undersized": {"type": "bool", "default": False},
    "device_class": {"type": "str"},
    "encrypted": {"type": "bool"},
    "db_device": {"type": "str"},
    "db_size": {"type": "float"},
    "wal_device": {"type": "str"},
    "wal_size": {"type": "float"},
    "osds_per_device": {"type": "int"},
    "allow_raid_controller": {"type": "bool", "default": False},
}

# The API's names of an element's settings (facts §11.2)
PARAMETERS = {
    "device_class": "crush-device-class",
    "encrypted": "encrypted",
    "db_device": "db_dev",
    "db_size": "db_dev_size",
    "wal_device": "wal_dev",
    "wal_size": "wal_dev_size",
    "osds_per_device": "osds-per-device",
}


@dataclass(frozen=True)
class Place:
    """An element for one node."""

    node: str
    element: Mapping[str, Any]
    where: str


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        return Osds(api, params).manage()


class Osds:
    """OSDs of a cluster."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api = api
        self.params = params

    def manage(self) -> Result:
        """Bring an OSD onto every disk that is meant, or say which are missing."""
        places = self._places()
        disks, changes = self._look(places)
        elements = [*self.params["osds"], *self._replaced(places, disks, changes)]
        if self.params["replace_lost"]:
            elements += lost_osds(read(self.api, f"{HERE}/osd", "osds"), disks, elements)
        gone = removals(self.api, elements, [str(change.item["node"]) for change in changes])
        if changes:
            read(self.api, f"{HERE}/osd", "osds")
        self.api.approve([*changes, *gone])
        if changes and not self.api.check_mode:
            self._apply(changes)
            self._wait_until_up(changes)
        if gone and not self.api.check_mode:
            # new ones first: the data of those that go needs a place
            remove(self.api, gone, float(self.params["timeout"]))
        return self.api.result([*changes, *gone])

    def _places(self) -> list[Place]:
        places: list[Place] = []
        errors: list[QuorateError] = []
        for index, element in enumerate(self.params["osds"]):
            where = f"osds[{index}] ({element['node']})"
            if element.get("state", PRESENT) != PRESENT:
                continue
            try:
                if element.get("devices") is None:
                    raise InputError("say which devices", where=where)
                check_devices(element["devices"], where)
                _check_replaces(element, where)
                if element["node"] == EVERY:
                    if self.api.check_mode and len(self.api.nodes) == 1:
                        self.api.unknown.append(f"{where}: nodes that join the cluster later are not known yet")
                    places += [Place(node, element, where) for node in members(self.api)]
                    continue
                self.api.check_reference("node", element["node"], where)
                if element["node"] in self.api.nodes and not self.api.online(element["node"]):
                    self.api.warn(f"{where}: the node is offline, its disks cannot be looked at")
                elif element["node"] in self.api.nodes:
                    places.append(Place(element["node"], element, where))
            except QuorateError as error:
                errors.append(error)
        raise_all(errors)
        return places

    def _look(self, places: Sequence[Place]) -> tuple[dict[str, list[Disk]], list[Change]]:
        """The nodes' disks and which OSDs are missing; one that is being made is waited for."""
        nodes = natural_sorted({place.node for place in places})
        while True:
            disks = self._disks(nodes)
            try:
                changes = self._plan(places, disks)
            except QuorateError:
                # a run that was killed leaves tasks behind that go on: half made, a disk is in use by nobody's OSD
                if not self._wait_for_others(nodes):
                    raise
                continue
            if self.api.check_mode or not self._wait_for_others([str(each.item["node"]) for each in changes]):
                return disks, changes

    def _wait_for_others(self, nodes: Sequence[str]) -> bool:
        """Wait for OSDs that others make on these nodes; False if there are none."""
        listed = side_by_side(
            lambda node: running_tasks(self.api.client, node, "cephcreateosd"), natural_sorted(set(nodes))
        )
        running = [upid for tasks in all_or_error(listed) for upid in tasks]
        for upid in running:
            with contextlib.suppress(TaskError):  # its failure is told to whoever began it
                wait_for_task(self.api.client, upid, timeout=float(self.params["timeout"]))
        return bool(running)

    def _disks(self, nodes: Sequence[str]) -> dict[str, list[Disk]]:
        answers = side_by_side(lambda node: self.api.client.get(f"/nodes/{node}/disks/list", skipsmart=1), nodes)
        return dict(zip(nodes, all_or_error(answers), strict=True))

    def _plan(self, places: Sequence[Place], disks: Mapping[str, list[Disk]]) -> list[Change]:
        changes: list[Change] = []
        errors: list[QuorateError] = []
        taken: dict[str, set[str]] = {node: set() for node in disks}
        for place in places:
            try:
                missing = missing_disks(disks[place.node], place, taken[place.node])
            except QuorateError as error:
                errors.append(error)
                continue
            settings = {name: place.element[name] for name in PARAMETERS if place.element.get(name) is not None}
            for path in missing:
                item = {"node": place.node, "device": path, **settings}
                label = f"on {path} of {place.node}"
                changes.append(Change(CREATE, OSD, label, (place.node, path), item, after=settings, where=place.where))
        raise_all(errors)
        return changes

    def _replaced(
        self, places: Sequence[Place], disks: Mapping[str, list[Disk]], changes: Sequence[Change]
    ) -> list[dict[str, Any]]:
        """Elements that remove the OSDs in whose place others come. Raises :class:`InputError` for one not there.

        Ceph gives the number of an OSD that is gone to the next one: what stands on the new disk is never removed.
        """
        wanted = [place for place in places if place.element.get("replaces") is not None]
        tree = read(self.api, f"{HERE}/osd", "osds") if wanted else None
        present = {int(osd["id"]) for osd in osds_in(tree["root"])} if tree else set()
        found: list[dict[str, Any]] = []
        errors: list[QuorateError] = []
        for place in wanted:
            number, path = int(place.element["replaces"]), place.element["devices"][0]
            there = {osd for disk in disks[place.node] if path in _names_of(disk) for osd in _osds_on(disk)}
            if number in present - there:
                allow = bool(place.element.get("allow_undersized"))
                found.append({"node": place.node, "id": number, "state": ABSENT, "allow_undersized": allow})
            elif number not in present and any(change.where == place.where for change in changes):
                errors.append(InputError(f"there is no osd.{number} to be replaced", where=place.where))
        raise_all(errors)
        return found

    def _apply(self, changes: Sequence[Change]) -> None:
        """A node makes one OSD at a time (it holds a lock on its disks meanwhile); nodes work side by side."""
        nodes = natural_sorted({str(change.item["node"]) for change in changes})
        done: list[Change] = []

        def work(node: str) -> None:
            for change in changes:
                if change.item["node"] == node:
                    self._create(change)
                    done.append(change)

        errors = [result for result in side_by_side(work, nodes) if isinstance(result, QuorateError)]
        if errors:
            not_done = [change.describe() for change in changes if change not in done]
            raise ApplyError(errors, [change.describe() for change in done], not_done)

    def _create(self, change: Change) -> None:
        payload = {"dev": change.item["device"]}
        payload |= {PARAMETERS[name]: plain_text(value) for name, value in change.item.items() if name in PARAMETERS}
        try:
            answer = self.api.client.post(f"/nodes/{change.item['node']}/ceph/osd", payload)
            self.api.finish_task(answer, float(self.params["timeout"]), change.where)
        except QuorateError as error:
            raise error.at(change.where) from error

    def _wait_until_up(self, changes: Sequence[Change]) -> None:
        """A task that ended well only says that the OSD was started (facts §11.3)."""
        waiting: list[str] = []

        def look() -> bool | None:
            waiting[:] = self._not_up(changes)
            return None if waiting else True

        wait_until(
            look,
            timeout=float(self.params["timeout"]),
            what="the new OSDs' being up and in",
            clock=self.api.client.clock,
            passing=(ApiError,),
            describe=lambda: ", ".join(waiting),
        )

    def _not_up(self, changes: Sequence[Change]) -> list[str]:
        nodes = natural_sorted({str(change.item["node"]) for change in changes})
        disks = self._disks(nodes)
        up = {
            int(osd["id"])
            for osd in osds_in(self.api.client.get(f"{HERE}/osd")["root"])
            if osd.get("status") == "up" and int(osd.get("in", 0))
        }
        missing = []
        for change in changes:
            disk = next(each for each in disks[change.item["node"]] if each["devpath"] == change.item["device"])
            if int(disk.get("osdid", -1)) not in up:
                missing.append(change.object)
        return missing


def lost_osds(
    tree: Mapping[str, Any] | None, disks: Mapping[str, Sequence[Disk]], elements: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Elements that remove the OSDs of these nodes that are down and that stand on none of their disks."""
    there = {(node, number) for node, listed in disks.items() for disk in listed for number in _osds_on(disk)}
    named = {int(each["id"]) for each in elements if each.get("id") is not None}
    return [
        {"node": str(osd["host"]), "id": int(osd["id"]), "state": ABSENT, "allow_undersized": False}
        for osd in (osds_in(tree["root"]) if tree else ())
        if osd.get("host") in disks and osd.get("status") != "up" and int(osd["id"]) not in named
        if (osd["host"], int(osd["id"])) not in there
    ]


def _check_replaces(element: Mapping[str, Any], where: str) -> None:
    if element.get("replaces") is None:
        return
    devices = element["devices"]
    if element["node"] == EVERY or not (isinstance(devices, list) and len(devices) == 1):
        raise InputError("one OSD is replaced by one disk of one node, given by its path", where=where)


def _names_of(disk: Disk) -> set[str]:
    return {str(disk["devpath"]), str(disk.get("by_id_link") or "")}


def _osds_on(disk: Disk) -> set[int]:
    listed = disk.get("osdid-list") or ()
    return {int(number) for number in (*listed, disk.get("osdid", -1)) if int(number) >= 0}


def missing_disks(disks: Sequence[Disk], place: Place, taken: set[str]) -> list[str]:
    """The disks of a node that are to get an OSD and have none; those that are meant are added to ``taken``.

    Raises :class:`StateError` for a disk that is in use by something else or sits behind a RAID controller.
    """
    devices = place.element["devices"]
    with_osd = {str(disk["devpath"]) for disk in disks if int(disk.get("osdid", -1)) >= 0}
    free = [disk for disk in disks if str(disk["devpath"]) not in with_osd]
    if isinstance(devices, list):
        # whatever name was used for it: a disk is one disk
        known = {str(disk["by_id_link"]): str(disk["devpath"]) for disk in disks if disk.get("by_id_link")}
        named = [known.get(path, path) for path in devices]
        wanted = [path for path in named if path not in with_osd]
        chosen = choose(free, wanted, taken, place.node, place.where) if wanted else []
    else:
        chosen = _by_properties(disks, with_osd, devices, place, taken)
    if not place.element.get("allow_raid_controller"):
        refuse_controllers(free, chosen, place.node, place.where, "Ceph")
    taken.update(chosen, with_osd)
    return sorted(chosen, key=natural_key)


def _by_properties(
    disks: Sequence[Disk], with_osd: set[str], devices: Mapping[str, Any], place: Place, taken: set[str]
) -> list[str]:
    properties = {key: value for key, value in devices.items() if key != "count"}
    # with everything counted as free, this is what the properties alone choose
    bare = [{**disk, "used": "", "osdid": -1, "mounted": 0} for disk in disks]
    matching = choose(bare, properties, (), place.node, place.where)
    have = [path for path in matching if path in with_osd]
    if "count" in devices:
        lacking = int(devices["count"]) - len(have)
        if lacking <= 0:
            return []
        free = [disk for disk in disks if str(disk["devpath"]) not in with_osd]
        return choose(free, {**properties, "count": lacking}, taken, place.node, place.where)
    rest = [path for path in matching if path not in with_osd]
    if not matching:
        raise InputError(f"no disk of {place.node} matches {dict(devices)}", where=place.where)
    # without a count all disks of this kind are meant: one that is in use is a mistake, not to be passed over
    free = [disk for disk in disks if str(disk["devpath"]) in rest]
    return choose(free, rest, taken, place.node, place.where) if rest else []
