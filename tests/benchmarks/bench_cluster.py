# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes to /etc/pve that every member acknowledges, beside those of a host without a cluster; joining many nodes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import yaml

from .bench_api import Client, stack
from .report import Report, median_seconds, seconds

WRITES = 200
WRITERS = 8
"""Clients that write at once, spread over the members."""
NODES = 16
JOIN_SCALE = 20
"""The servers' own delays, some 13 s a join, are divided by this; so are the pauses of their daemons, which write."""


def names(count: int) -> list[str]:
    """pve1, pve2, …"""
    return [f"pve{number}" for number in range(1, count + 1)]


def clustered(count: int) -> dict[str, Any]:
    """The stack file of a cluster; one of a single host without a cluster for 1."""
    hosts = {name: {"disks": [{"size": "8G"}]} for name in names(count)}
    start: Any = {"clustered": {"name": "bench", "nodes": list(hosts)}} if count > 1 else "fresh"
    # unscaled: what the hosts do by themselves in the meantime is as seldom as on real ones
    return {"name": "bench", "hosts": hosts, "start": start}


def until(look: Callable[[], object], limit: float = 600.0) -> None:
    """Wait until something is true, with the patience that a machine takes which has other things to do."""
    end = time.monotonic() + limit
    while not look():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {limit:g} s")
        time.sleep(0.05)


def settled(state: Path, count: int) -> None:
    """Wait until all members are online and the cluster has come to rest."""
    client = Client(state, "pve1")
    until(
        lambda: sum(row.get("online", 0) for row in client("GET", "/cluster/status") if row["type"] == "node") == count
    )


class Files:
    """/etc/pve of a host over SFTP: one call, one operation, without the API's lock and checks around it."""

    def __init__(self, state: Path, host: str, name: str = "bench") -> None:
        self.name = f"/etc/pve/{name}"
        address = json.loads((state / "stack.json").read_text())["hosts"][host]["address"]
        password = yaml.safe_load((state / "secrets.yml").read_text())["root_password"]
        self.client = paramiko.SSHClient()
        self.client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        self.client.connect(address, 2222, "root", password, look_for_keys=False, allow_agent=False)
        self.sftp = self.client.open_sftp()
        self.flip = False
        with self.sftp.open(f"{self.name}.a", "w") as stream:
            stream.write("content\n")

    def rename(self) -> None:
        """One replicated operation, acknowledged when every member has made it durable."""
        before, after = ("a", "b") if not self.flip else ("b", "a")
        self.flip = not self.flip
        self.sftp.posix_rename(f"{self.name}.{before}", f"{self.name}.{after}")


def latencies(report: Report, count: int, aim: float) -> None:
    """How long a write takes until all hosts have acknowledged it."""
    times = report.size(WRITES, 5)
    with stack(clustered(1)) as (state, _):
        alone = median_seconds(Files(state, "pve1").rename, times)
        client = Client(state, "pve1")
        alone_api = median_seconds(lambda: client("PUT", "/cluster/options", description="x"), times)
    with stack(clustered(count)) as (state, _):
        settled(state, count)
        files = Files(state, "pve2")
        value = median_seconds(files.rename, times) * 1000
        report.add(
            f"write acknowledged by {count} hosts, median", value, "ms", aim=aim, against=("host alone", alone * 1000)
        )
        client = Client(state, "pve2")
        value = median_seconds(lambda: client("PUT", "/cluster/options", description="x"), times) * 1000
        report.add(
            f"PUT /cluster/options (lock, write, unlock) on {count} hosts, median",
            value,
            "ms",
            against=("host alone", alone_api * 1000),
        )
        if count == 3:
            sustained(report, state)


def sustained(report: Report, state: Path) -> None:
    """Writes a second with many clients at once: single ones, and those of the API with its lock around each."""
    each = report.size(WRITES, 5)

    def rate(work: Callable[[int], object], name: str, aim: float | None) -> None:
        began = time.perf_counter()
        with ThreadPoolExecutor(WRITERS) as pool:
            taken = [
                one
                for found in pool.map(lambda n: [seconds(lambda: work(n)) for _ in range(each)], range(WRITERS))
                for one in found
            ]
        value = len(taken) / (time.perf_counter() - began)
        slowest = statistics.quantiles(taken, n=100)[98] * 1000
        report.add(
            f"{name} a second on 3 hosts, sustained", value, "1/s", aim=aim, note=f"99 % within {slowest:.0f} ms"
        )

    files = [Files(state, names(3)[number % 3], f"bench{number}") for number in range(WRITERS)]
    rate(lambda number: files[number].rename(), "writes", 200)
    clients = [Client(state, names(3)[number % 3]) for number in range(WRITERS)]
    paths = [f"/nodes/{names(3)[number % 3]}/config" for number in range(WRITERS)]
    rate(lambda number: clients[number]("PUT", paths[number], description=str(time.perf_counter_ns())), "PUTs", None)


def joins(report: Report) -> None:
    """From hosts that know nothing of each other to one cluster, one join after the other."""
    count = report.size(NODES, 3)
    definition = {**clustered(1), "scale": JOIN_SCALE, "hosts": {name: {} for name in names(count)}}
    with stack(definition) as (state, _):
        secrets = yaml.safe_load((state / "secrets.yml").read_text())
        hosts = json.loads((state / "stack.json").read_text())["hosts"]

        def online() -> int:
            try:
                # a ticket from before the cluster is worth nothing after it
                rows = Client(state, "pve1")("GET", "/cluster/status")
            except (RuntimeError, OSError):
                return 0
            quorate = any(row.get("quorate") for row in rows if row["type"] == "cluster")
            return sum(row["online"] for row in rows if row["type"] == "node") if quorate else 0

        began = time.perf_counter()
        Client(state, "pve1")("POST", "/cluster/config", clustername="bench")
        until(lambda: online() == 1)
        for number, name in enumerate(names(count)[1:], 2):
            Client(state, name)(
                "POST",
                "/cluster/config/join",
                hostname=hosts["pve1"]["address"],
                fingerprint=secrets["hosts"]["pve1"]["fingerprint"],
                password=secrets["root_password"],
            )
            until(lambda number=number: online() == number)  # type: ignore[misc]
        report.add(f"{count} nodes joined one after the other", time.perf_counter() - began, "s", aim=60)


def run(report: Report) -> None:
    """All of it."""
    latencies(report, 3, aim=15)
    latencies(report, report.size(NODES, 4), aim=40)
    joins(report)
