# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups are restored to see that they can be, started with their cables pulled, and destroyed again.

Private to this collection. Results are lines of JSON in a file; whose last good test is longest ago comes first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._api import Api, Result
from ._backups import KINDS, Backup, newest_of, read_backups, storages_with_backups
from ._errors import ApiError, ApplyError, InputError, QuorateError, StateError
from ._login_rights import require
from ._plan import CREATE, Change, simple_change
from ._pure.lists import natural_sorted
from ._pure.time_span import parse_time_span
from ._restore import ARGUMENTS as RESTORE
from ._restore import Restore
from ._wait import wait_until

ARGUMENTS: dict[str, Any] = {
    "guests": {"type": "list", "elements": "int"},
    "count": {"type": "int", "default": 1},
    "every": {"type": "str"},
    "results": {"type": "path", "required": True},
    "source": {"type": "str"},
    "node": {"type": "str"},
    "storage": {"type": "str"},
    "first_vmid": {"type": "int", "default": 9000},
    "boot_timeout": {"type": "int", "default": 300},
    "timeout": {"type": "int", "default": 14400},
}

COPY = ("VM.Allocate", "VM.Audit", "VM.PowerMgmt")
"""What it takes to look at the copy, and to be rid of it."""

_DEFAULTS = {name: option.get("default") for name, option in RESTORE.items()}


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    every = _every(params)
    earlier = read_results(params["results"])
    with Api.open(params, check_mode) as api:
        return _Run(api, params, every, earlier).go()


@dataclass(frozen=True)
class _Test:
    """One guest's newest backup, and the number for it."""

    backup: Backup
    vmid: int


class _Run:
    """Some tests, one after another."""

    def __init__(self, api: Api, params: Mapping[str, Any], every: float | None, earlier: list[dict[str, Any]]) -> None:
        self.api, self.params, self.every, self.earlier = api, params, every, earlier
        self.node = self._node()

    def go(self) -> Result:
        """Choose, test, write down."""
        tests = self._due()
        changes = [self._change(test) for test in tests]
        if self.api.check_mode or not tests:
            return self.api.result(changes, tests=[])
        require(self.api, ((f"/vms/{test.vmid}", privilege) for test in tests for privilege in COPY))
        self.api.approve(changes)
        _prepare(self.params["results"])
        rows = []
        errors: list[QuorateError] = []
        for test in tests:
            row, error = self._test(test)
            _append(self.params["results"], row)
            rows.append(row)
            if error is not None:
                errors.append(error.at(f"guest {test.backup.vmid}"))
        if errors:
            done = [change.describe() for change, row in zip(changes, rows, strict=True) if row["ok"]]
            not_done = [change.describe() for change, row in zip(changes, rows, strict=True) if not row["ok"]]
            raise ApplyError(errors, done, not_done)
        return self.api.result(changes, tests=rows)

    def _node(self) -> str:
        node = self.params["node"]
        if node is None:
            return natural_sorted(name for name in self.api.nodes if self.api.online(name))[0]
        if node not in self.api.nodes or not self.api.online(node):
            raise StateError(f"{node} is no member that is online", where="node")
        return str(node)

    def _due(self) -> list[_Test]:
        """Who was tested longest ago, if that is long enough ago."""
        api, node = self.api, self.node
        storages = [self.params["source"]] if self.params["source"] else storages_with_backups(api, node)
        newest = newest_of(backup for storage in storages for backup in read_backups(api, node, storage))
        wanted = self.params["guests"]
        if missing := [vmid for vmid in wanted or [] if vmid not in newest]:
            named = ", ".join(map(str, missing))
            raise StateError(f"there is no backup of {named} that {node} sees", where="guests")
        now = int(api.client.get(f"/nodes/{node}/time")["time"])
        tested: dict[int, int] = {}
        for row in self.earlier:
            if row.get("ok"):
                tested[int(row["vmid"])] = max(tested.get(int(row["vmid"]), 0), int(row["time"]))
        due = [
            vmid
            for vmid in sorted(newest if wanted is None else wanted, key=lambda vmid: (tested.get(vmid, 0), vmid))
            if self.every is None or tested.get(vmid, 0) <= now - self.every
        ][: self.params["count"]]
        free = (number for number in range(self.params["first_vmid"], 10**9) if number not in api.guests)
        return [_Test(newest[vmid], next(free)) for vmid in due]

    def _change(self, test: _Test) -> Change:
        after = {"backup": test.backup.volid, "node": self.node, "as": test.vmid}
        return simple_change(CREATE, "restore test of guest", str(test.backup.vmid), after)

    def _test(self, test: _Test) -> tuple[dict[str, Any], QuorateError | None]:
        """A row of the results, and what went wrong."""
        backup, clock = test.backup, self.api.client.clock
        row: dict[str, Any] = {
            "vmid": backup.vmid,
            "backup": backup.volid,
            "node": self.node,
            "time": int(self.api.client.get(f"/nodes/{self.node}/time")["time"]),
            "ok": False,
        }
        error: QuorateError | None = None
        path = f"/nodes/{self.node}/{KINDS[backup.type]}/{test.vmid}"
        try:
            restored = self._restore(test)
            row |= {"seconds": restored["seconds"], "bytes": restored["bytes"]}
            begun = clock.monotonic()
            row["agent"] = self._boot(path)
            row |= {"boot_seconds": round(clock.monotonic() - begun, 1), "ok": True}
        except QuorateError as found:
            error = found
        try:
            self._destroy(path, _name(backup))
        except QuorateError as found:
            found.hint = f"{found.hint} Destroy guest {test.vmid} on {self.node} yourself.".strip()
            if error is None:
                error = found
            else:
                error.hint = f"{error.hint} {found}".strip()
        if error is not None:
            row |= {"ok": False, "error": str(error)}
        return row, error

    def _restore(self, test: _Test) -> Result:
        # it must neither start again by itself nor be taken for the guest that it is a copy of
        options = {
            "onboot": 0,
            ("name" if test.backup.type == "vm" else "hostname"): _name(test.backup),
        }
        params = {**_DEFAULTS, "volid": test.backup.volid, "vmid": test.vmid, "node": self.node, "options": options}
        params |= {"storage": self.params["storage"], "timeout": self.params["timeout"]}
        return Restore(self.api, {**params, "start": True, "unique": True, "disconnect": True}).go()

    def _boot(self, path: str) -> bool:
        """Wait until it runs, and its agent answers if it has one; gives whether it has."""
        client = self.api.client
        agent = str(client.get(f"{path}/config").get("agent") or "0")
        has_agent = agent.split(",", maxsplit=1)[0].removeprefix("enabled=") == "1"

        def look() -> bool | None:
            if client.get(f"{path}/status/current").get("status") != "running":
                return None
            if has_agent:
                try:
                    client.post(f"{path}/agent/ping")
                except ApiError as error:
                    if error.status == 403:
                        # nobody gets a right by waiting
                        raise StateError(error.message, hint=error.hint) from error
                    raise
            return True

        what = "the agent of the restored guest" if has_agent else "the start of the restored guest"
        timeout = float(self.params["boot_timeout"])
        wait_until(look, timeout=timeout, what=what, clock=client.clock, passing=(ApiError,))
        return has_agent

    def _destroy(self, path: str, name: str) -> None:
        """What has the number, if it is the copy: somebody else may have taken it in the meantime."""
        client = self.api.client
        try:
            config = client.get(f"{path}/config")
        except ApiError as error:
            if error.status == 403:
                raise
            return  # a restore that failed has left nothing
        if name not in (config.get("name"), config.get("hostname")):
            return
        status = client.get(f"{path}/status/current")
        if status.get("status") == "running":
            self.api.finish_task(client.post(f"{path}/status/stop"), float(self.params["timeout"]))
        gone = client.delete(path, {"purge": 1, "destroy-unreferenced-disks": 1})
        self.api.finish_task(gone, float(self.params["timeout"]))


def _name(backup: Backup) -> str:
    """What the copy is called."""
    return f"restore-test-{backup.vmid}"


def read_results(path: str) -> list[dict[str, Any]]:
    """The tests that were made, the oldest first; none if there is no file. Raises :class:`InputError`."""
    file = Path(path).expanduser()
    if not file.exists():
        return []
    try:
        return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", where="results") from error


def _prepare(path: str) -> None:
    """Make sure that results can be written before there are some."""
    try:
        Path(path).expanduser().parent.mkdir(parents=True, exist_ok=True)
        _append(path, None)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", where="results") from error


def _append(path: str, row: dict[str, Any] | None) -> None:
    handle = os.open(Path(path).expanduser(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n" if row else "")


def _every(params: Mapping[str, Any]) -> float | None:
    if params["every"] is None:
        return None
    try:
        return parse_time_span(str(params["every"]))
    except ValueError as error:
        raise InputError(str(error), where="every", hint="It is like 7d.") from error
