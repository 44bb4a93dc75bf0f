# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agents' HTTP face: lists of a thousand, simple calls a second, starting many hosts and what they weigh."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import yaml

from agentstack import control, launch

from .report import Report, median_seconds, seconds

RESOURCES = 1000
MANY = 16
CALLS = 600
CLIENTS = 4


@contextmanager
def stack(definition: dict[str, Any]) -> Iterator[tuple[Path, float]]:
    """A stack in a directory of its own and how long `up` took, in real seconds."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    file, state = directory / "stack.yml", directory / "state"
    file.write_text(yaml.safe_dump(definition))
    try:
        outcome = launch.up(file, state)
        yield state, outcome.seconds or 0.0
        launch.down(state)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Client:
    """Root's calls to one host over a connection that is kept open."""

    def __init__(self, state: Path, host: str) -> None:
        address = json.loads((state / "stack.json").read_text())["hosts"][host]["address"]
        password = yaml.safe_load((state / "secrets.yml").read_text())["root_password"]
        self.connection = http.client.HTTPSConnection(address, 8006, context=ssl._create_unverified_context())
        self.headers: dict[str, str] = {"Content-Type": "application/json"}
        ticket = self("POST", "/access/ticket", username="root@pam", password=password)
        self.headers["Cookie"] = f"PVEAuthCookie={ticket['ticket']}"
        self.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]

    def __call__(self, verb: str, path: str, **params: Any) -> Any:
        body = json.dumps(params) if params else None
        self.connection.request(verb, f"/api2/json{path}", body, self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{verb} {path}: {answer.status} {answer.reason}")
        return json.loads(content)["data"]


def put(state: Path, path: str, content: str) -> None:
    """Write a file of pve1 by SFTP, as root."""
    address = json.loads((state / "stack.json").read_text())["hosts"]["pve1"]["address"]
    password = yaml.safe_load((state / "secrets.yml").read_text())["root_password"]
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(address, 2222, "root", password, look_for_keys=False, allow_agent=False)
        with client.open_sftp() as files, files.open(path, "w") as stream:
            stream.write(content)


def lists(report: Report) -> None:
    """GET of a thousand HA resources beside one of none; simple calls, in a row and from several clients at once."""
    count = report.size(RESOURCES, 20)
    calls = report.size(CALLS, 20)
    times = report.size(21, 3)
    with stack({"hosts": {"pve1": {}}, "start": {"clustered": {"name": "bench"}}}) as (state, _):
        ask = Client(state, "pve1")
        empty = median_seconds(lambda: ask("GET", "/cluster/ha/resources"), times)
        # ignored: the manager has nothing to do with them, and the agent idles
        put(state, "/etc/pve/ha/resources.cfg", "".join(f"vm: {100 + n}\n\tstate ignored\n\n" for n in range(count)))
        full = median_seconds(lambda: ask("GET", "/cluster/ha/resources"), times)
        report.add(f"list of {count} HA resources", full * 1000, "ms", aim=30, against=("an empty list", empty * 1000))
        status = median_seconds(lambda: ask("GET", "/cluster/ha/status/current"), times)
        report.add(f"HA status with {count} resources", status * 1000, "ms")
        one = seconds(lambda: [ask("GET", "/version") for _ in range(calls)])

        def share(_: int) -> None:
            other = Client(state, "pve1")
            for _ in range(calls // CLIENTS):
                other("GET", "/version")

        with ThreadPoolExecutor(CLIENTS) as clients:
            many = seconds(lambda: list(clients.map(share, range(CLIENTS))))
        report.add(
            f"simple GETs, {CLIENTS} clients at once",
            calls / many,
            "/s",
            aim=300,
            against=("one client", calls / one),
        )


def start(report: Report) -> None:
    """Sixteen hosts beside one: until all answer, and the memory of each (PSS)."""
    count = report.size(MANY, 3)
    hosts = {f"pve{number}": {} for number in range(1, count + 1)}
    with stack({"scale": 20, "hosts": {"pve1": {}}}) as (_, alone):
        pass
    with stack({"scale": 20, "hosts": hosts, "start": {"clustered": {"name": "bench"}}}) as (state, took):
        report.add(f"{count} hosts answer", took, "s", aim=6, against=("one host", alone))
        time.sleep(3)
        memory = [host["pss_mb"] for host in control.request(state, {"do": "status"})["hosts"]]
        report.add(f"largest of {count} hosts", max(memory), "MiB PSS", aim=60)


def run(report: Report) -> None:
    """All of them."""
    start(report)
    lists(report)
