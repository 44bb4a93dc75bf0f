# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest is there for those who use it: asked of its node or of itself. Private to this collection."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._api import Api, Result
from ._client import Client
from ._errors import ApiError, QuorateError
from ._parallel import side_by_side
from ._power import CommandError, fill, run_command

if TYPE_CHECKING:
    import requests
else:
    from ._libraries import Library

    requests = Library("requests")

SERVER_ERRORS = 500
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""OpenSSL's word for a certificate that is refused, in the text of whatever exception it ends up in."""

OPTIONS: dict[str, Any] = {
    "vmid": {"type": "int", "required": True},
    "ping": {"type": "str"},
    "url": {"type": "str"},
    "record": {"type": "path"},
    "command": {"type": "list", "elements": "str"},
}
"""One element of the modules' lists."""


@dataclass(frozen=True)
class Probe:
    """How to ask for one guest. ``record``: a file on the control node that grows as long as the guest works."""

    vmid: int
    ping: str | None = None
    url: str | None = None
    record: str | None = None
    command: Sequence[str] = ()

    @classmethod
    def of(cls, element: Mapping[str, Any]) -> Probe:
        """From an element of a module's list; ``{vmid}`` stands for the number."""
        values = {"vmid": str(element["vmid"])}

        def text(name: str) -> str | None:
            return fill([str(element[name])], values)[0] if element.get(name) else None

        command = fill(element.get("command") or (), values)
        return cls(int(element["vmid"]), text("ping"), text("url"), text("record"), command)

    def ask(self, timeout: float, record_age: float) -> dict[str, bool]:
        """What each of its ways says."""
        said: dict[str, bool] = {}
        if self.record:
            said["record"] = _grows(self.record, record_age)
        if self.ping:
            said["ping"] = _pings(self.ping, timeout)
        if self.url:
            said["url"] = _answers(self.url, timeout)
        if self.command:
            said["command"] = _succeeds(self.command, timeout)
        return said


@dataclass(frozen=True)
class Felt:
    """What was felt of one guest: ``said`` by way; without a way of its own, the node's word (``api``) counts."""

    vmid: int
    said: Mapping[str, bool]
    quiet: float | None = None
    """Seconds since its file last changed."""

    @property
    def alive(self) -> bool:
        """Whether all ways that were given say so."""
        own = {way: answer for way, answer in self.said.items() if way != "api"}
        return all((own or self.said).values())

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        return {"vmid": self.vmid, "alive": self.alive, "said": dict(self.said)}


def feel(client: Client, probes: Sequence[Probe], timeout: float, record_age: float) -> list[Felt]:
    """Ask for all of them, side by side. Raises what reading the list of guests raises."""
    rows = {int(row["vmid"]): row for row in client.get("/cluster/resources", type="vm")}

    def one(probe: Probe) -> Felt:
        own = probe.ask(timeout, record_age)
        quiet = _quiet(probe.record) if probe.record else None
        return Felt(probe.vmid, own or {"api": runs(client, rows.get(probe.vmid))}, quiet)

    found = side_by_side(one, probes)
    return [
        Felt(probe.vmid, {"api": False}) if isinstance(each, QuorateError) else each
        for probe, each in zip(probes, found, strict=True)
    ]


def runs(client: Client, row: Mapping[str, Any] | None) -> bool:
    """What the guest's own node says; the cluster's list keeps the last word of a node that is gone for a while."""
    if row is None:
        return False
    try:
        status = client.get(f"/nodes/{row['node']}/{row['type']}/{row['vmid']}/status/current")
    except ApiError:
        return False
    return str(status.get("status")) == "running"


def _grows(path: str, age: float) -> bool:
    quiet = _quiet(path)
    return quiet is not None and quiet <= age


def _quiet(path: str) -> float | None:
    try:
        return max(0.0, time.time() - os.stat(path).st_mtime)
    except OSError:
        return None


def _pings(address: str, timeout: float) -> bool:
    try:
        words = ["ping", "-n", "-q", "-c", "1", "-W", str(max(1, round(timeout))), address]
        return subprocess.run(words, capture_output=True, check=False, timeout=timeout + 1).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _answers(url: str, timeout: float) -> bool:
    """Any answer but an error of the server's counts: whether a page is the right one is not asked here.

    Nor is whether its certificate is: who shows one is there.
    """
    try:
        answer = requests.get(url, timeout=timeout, stream=True)
    except requests.RequestException as error:
        return UNTRUSTED in str(error)
    answer.close()
    return bool(answer.status_code < SERVER_ERRORS)


def _succeeds(words: Sequence[str], timeout: float) -> bool:
    try:
        run_command(words, timeout)
    except CommandError:
        return False
    return True


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``guest_probe``."""
    with Api.open(params, check_mode) as api:
        probes = [Probe.of(element) for element in params["guests"]]
        felt = feel(api.client, probes, float(params["probe_timeout"]), float(params["record_age"]))
        gone = [each.vmid for each in felt if not each.alive]
        return api.result([], guests=[each.describe() for each in felt], gone=gone)
