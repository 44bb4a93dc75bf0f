# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest from its backup: new, or over one that is there (facts §13, §14). Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._api import Api, Result
from ._backups import CHOICE, KINDS, Backup, check_choice, choose_backup
from ._errors import ApiError, InputError, QuorateError, StateError, VerifyError
from ._ha import SERVICES, read_status, wait_for_services
from ._plan import CREATE, UPDATE, Change, simple_change
from ._tasks import TaskEnd, task_end, task_log
from ._values import plain_text, split_properties
from ._wait import wait_until

ARGUMENTS: dict[str, Any] = {
    **CHOICE,
    "vmid": {"type": "int"},
    "node": {"type": "str"},
    "storage": {"type": "str"},
    "live": {"type": "bool", "default": False},
    "start": {"type": "bool"},
    "unique": {"type": "bool", "default": False},
    "disconnect": {"type": "bool", "default": False},
    "options": {"type": "dict", "default": {}},
    "pool": {"type": "str"},
    "bwlimit": {"type": "int"},
    "overwrite": {"type": "bool", "default": False},
    "stop": {"type": "bool", "default": False},
    "keep": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 14400},
}

_DISK = re.compile(r"(scsi|virtio|ide|sata|efidisk|tpmstate|mp)\d+|rootfs")
_NET = re.compile(r"net\d+")
# `restore image complete (bytes=1073741824, duration=1.02s, speed=1004.31MB/s)`
_BYTES = re.compile(r"restore image complete \(bytes=(\d+)")


@dataclass(frozen=True)
class There:
    """The guest that has the number already."""

    kind: str
    node: str
    name: str
    path: str
    running: bool
    request: str | None
    """The state that HA is asked for; None without HA."""

    @property
    def wanted_running(self) -> bool:
        return self.running or self.request == "started"


@dataclass(frozen=True)
class Restored:
    """What came of it. ``seconds`` of the whole task; ``running_after`` until a live restore's guest ran."""

    seconds: float
    bytes: int
    running_after: float | None


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    check_choice(params)
    if params["overwrite"] and params["keep"]:
        raise InputError("overwrite and keep exclude each other", where="keep")
    if params["stop"] and not params["overwrite"]:
        raise InputError("stop is for a guest that is overwritten", where="stop", hint="Say overwrite: true as well.")
    with Api.open(params, check_mode) as api:
        return Restore(api, params).go()


class Restore:
    """One restore."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api, self.params, self.client = api, params, api.client
        self.timeout = float(params["timeout"])

    def go(self) -> Result:
        """Look, restore, look again."""
        api = self.api
        node = self._node()
        backup = choose_backup(api, self.params, node)
        vmid = self.params["vmid"] or (backup.vmid if backup else self.params["guest"])
        there = self._there(int(vmid)) if vmid else None
        if there is not None and self.params["keep"]:
            self._check_whole(there, int(vmid))
            return self._result([], int(vmid), there.node, backup, None)
        if backup is None:
            change = simple_change(CREATE, "guest", str(vmid or self.params["volid"]), {"node": node})
            return self._result([change], vmid, node, None, None)
        if there is not None:
            self._check_overwrite(there, int(vmid), backup, node)
        payload = self._payload(backup, int(vmid), node, there)
        change = self._change(backup, int(vmid), node, there)
        api.approve([change])
        restored = None if api.check_mode else self._restore(backup, int(vmid), node, payload, there)
        return self._result([change], int(vmid), node, backup, restored)

    def _result(
        self, changes: list[Change], vmid: int | None, node: str, backup: Backup | None, restored: Restored | None
    ) -> Result:
        return self.api.result(
            changes,
            vmid=vmid,
            node=node,
            backup=backup.shown() if backup else None,
            seconds=restored.seconds if restored else None,
            bytes=restored.bytes if restored else None,
            running_after=restored.running_after if restored else None,
        )

    # before

    def _node(self) -> str:
        """Where to: as given; where the guest to be overwritten is; else where the most memory is free."""
        node = self.params["node"]
        if node is not None:
            self.api.check_reference("node", node, "node")
            if node in self.api.nodes and not self.api.online(node):
                raise StateError(f"{node} is offline", where="node", hint="Restore to another one.")
            return str(node)
        there = self.api.guests.get(self.params["vmid"] or self.params["guest"] or 0)
        if there is not None and self.api.online(str(there["node"])):
            return str(there["node"])
        online = {name: entry for name, entry in self.api.nodes.items() if self.api.online(name)}
        return max(sorted(online), key=lambda name: _free_memory(online[name]))

    def _there(self, vmid: int) -> There | None:
        guest = self.api.guests.get(vmid)
        if guest is None:
            return None
        kind, node = str(guest["type"]), str(guest["node"])
        path = f"/nodes/{node}/{kind}/{vmid}"
        service = read_status(self.client).services.get(f"{SERVICES[kind]}:{vmid}")
        request = service.request_state if service is not None and service.request_state != "ignored" else None
        # the cluster's list is ten seconds behind (facts §5)
        running = self.api.online(node) and self.client.get(f"{path}/status/current").get("status") == "running"
        return There(kind, node, str(guest.get("name") or ""), path, running, request)

    def _check_whole(self, there: There, vmid: int) -> None:
        """What an earlier restore left half done is no guest."""
        if self.api.online(there.node) and self.client.get(f"{there.path}/config").get("lock") == "create":
            raise StateError(
                f"guest {vmid} on {there.node} is being created, or a restore of it was cut off",
                where="keep",
                hint="Wait for its task; if there is none, unlock and remove it, then run again.",
            )

    def _check_overwrite(self, there: There, vmid: int, backup: Backup, node: str) -> None:
        """Refuse what would lose something that nobody said may be lost."""
        named = f"guest {vmid} ({there.name})" if there.name else f"guest {vmid}"
        if not self.params["overwrite"]:
            raise StateError(
                f"{named} is on {there.node} already",
                where="vmid",
                hint="Give another vmid, or say overwrite: true if all that it has now may be lost.",
            )
        if there.node != node:
            raise StateError(
                f"{named} is on {there.node}, and can be overwritten only there", where="node", hint="Leave node out."
            )
        if there.kind != KINDS[backup.type]:
            raise StateError(f"{named} is of another kind than the backup {backup.volid}", where="vmid")
        config = self.client.get(f"{there.path}/config")
        if int(config.get("protection") or 0):
            raise StateError(f"{named} is protected", where="vmid", hint="Take its protection away first.")
        if lock := config.get("lock"):
            raise StateError(f"{named} is locked ({lock})", where="vmid", hint="Wait for its task, or unlock it.")
        if there.wanted_running and not self.params["stop"]:
            state = "is under HA, which keeps it running" if there.request == "started" else "is running"
            raise StateError(f"{named} {state}", where="vmid", hint="Say stop: true if it may be stopped for this.")

    def _payload(self, backup: Backup, vmid: int, node: str, there: There | None) -> dict[str, Any]:
        """What the call says; the disks of the backup must have a place on the node."""
        params, config = self.params, self._config(backup, node)
        if params["live"] and backup.type == "ct":
            raise InputError("containers cannot be started from their backups", where="live")
        self._check_places(config, node)
        payload: dict[str, Any] = {"vmid": vmid, "storage": params["storage"], "pool": params["pool"]}
        payload |= {
            "bwlimit": params["bwlimit"],
            "unique": params["unique"] or None,
            "force": there is not None or None,
        }
        if backup.type == "vm":
            payload |= {"archive": backup.volid, "live-restore": params["live"] or None}
        else:
            payload |= {"ostemplate": backup.volid, "restore": True}
        if params["disconnect"]:
            cards = {name: value for name, value in config.items() if _NET.fullmatch(name)}
            payload |= {name: _unplugged(value) for name, value in cards.items()}
        if self._starts(there) and not params["live"] and not (there and there.request):
            payload["start"] = True
        return payload | {str(name): plain_text(value) for name, value in params["options"].items()}

    def _starts(self, there: There | None) -> bool:
        start = self.params["start"]
        return bool(start) if start is not None else there is not None and there.running

    def _config(self, backup: Backup, node: str) -> dict[str, str]:
        try:
            text = str(self.client.get(f"/nodes/{node}/vzdump/extractconfig", volume=backup.volid))
        except ApiError as error:
            raise error.at("volid") from error
        # sections of snapshots follow the guest's own lines
        lines = (line for line in text.partition("\n[")[0].splitlines() if not line.startswith("#"))
        return {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}

    def _check_places(self, config: Mapping[str, str], node: str) -> None:
        """Each disk's storage is on the target node, too."""
        wanted = {self.params["storage"]} if self.params["storage"] else _storages_of(config)
        has = {str(entry["storage"]) for entry in self.client.get(f"/nodes/{node}/storage", enabled=1)}
        if missing := sorted(wanted - has):
            raise StateError(
                f"{node} has no storage {', '.join(missing)}, where the guest's disks would go",
                where="storage",
                hint=f"Name one that it has: {', '.join(sorted(has))}.",
            )

    def _change(self, backup: Backup, vmid: int, node: str, there: There | None) -> Change:
        after = {"backup": backup.volid, "node": node, "storage": self.params["storage"]}
        if there is None:
            return simple_change(CREATE, "guest", str(vmid), after)
        return simple_change(UPDATE, "guest", str(vmid), after, {"name": there.name, "node": there.node})

    # the restore

    def _restore(self, backup: Backup, vmid: int, node: str, payload: dict[str, Any], there: There | None) -> Restored:
        if there is not None:
            self._stop(there, vmid)
        kind = KINDS[backup.type]
        try:
            upid = str(self.client.post(f"/nodes/{node}/{kind}", payload))
            restored = self._follow(upid, f"/nodes/{node}/{kind}/{vmid}", backup)
        except QuorateError as error:
            if there is not None and there.request == "started":
                error.hint = f"{error.hint} {SERVICES[kind]}:{vmid} stays stopped under HA.".strip()
            raise
        if there is not None and there.request == "started" and self.params["start"] is not False:
            self._ask_ha(kind, vmid, there.request)
        return restored

    def _stop(self, there: There, vmid: int) -> None:
        """Through HA where the guest is under it, which would start it again."""
        if there.request == "started":
            self._ask_ha(there.kind, vmid, "stopped")
        elif there.running:
            self.api.finish_task(self.client.post(f"{there.path}/status/stop"), self.timeout)

    def _ask_ha(self, kind: str, vmid: int, state: str) -> None:
        sid = f"{SERVICES[kind]}:{vmid}"
        self.client.put(f"/cluster/ha/resources/{sid}", {"state": state})
        wait_for_services(self.client, {sid: state}, self.timeout)

    def _follow(self, upid: str, path: str, backup: Backup) -> Restored:
        clock, live = self.client.clock, bool(self.params["live"])
        begun, ran_after = clock.monotonic(), None

        def look() -> TaskEnd | None:
            nonlocal ran_after
            end = task_end(self.client, upid)
            if live and ran_after is None and self._runs(path):
                ran_after = round(clock.monotonic() - begun, 1)
            return end

        end = wait_until(
            look,
            timeout=self.timeout,
            what=f"the end of the task {upid}",
            clock=clock,
            hint=f"The task goes on; look at it with: {self.client.dialect.log_command}.",
        )
        seconds = round(clock.monotonic() - begun, 1)
        self.api.take_warnings(end)
        if lock := self.client.get(f"{path}/config").get("lock"):
            raise VerifyError(f"the restore ended well, and the guest is locked ({lock})")
        written = sum(int(found[1]) for line in task_log(self.client, upid) if (found := _BYTES.search(line)))
        return Restored(seconds, written or backup.size, ran_after)

    def _runs(self, path: str) -> bool:
        try:
            return bool(self.client.get(f"{path}/status/current").get("status") == "running")
        except ApiError:
            return False  # not there yet


def _free_memory(node: Mapping[str, Any]) -> int:
    return int(node.get("maxmem") or 0) - int(node.get("mem") or 0)


def _unplugged(value: str) -> str:
    """A network card's setting with its cable pulled."""
    parts = [part for part in value.split(",") if not part.startswith("link_down=")]
    return ",".join([*parts, "link_down=1"])


def _storages_of(config: Mapping[str, str]) -> set[str]:
    """The storages of a guest's disks; CD drives, bind mounts and devices have none."""
    found = set()
    for name, value in config.items():
        if _DISK.fullmatch(name):
            drive = split_properties(value, "file")
            volume = drive.get("file") or drive.get("volume") or ""
            if drive.get("media") != "cdrom" and ":" in volume and not volume.startswith("/"):
                found.add(volume.partition(":")[0])
    return found
