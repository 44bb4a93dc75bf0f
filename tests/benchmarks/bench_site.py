# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ansible-playbook site.yml` that changes nothing: on the lab, and on sixteen nodes with a thousand objects."""

from __future__ import annotations

import re
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ..api_client import Root
from ..site.conftest import Lab, Run
from ..site.inventories import Site
from ..stacks import RunningStack, free_net, wait_until
from .report import Report
from .seeds import FIRST_GUEST, guests_on, ha_resources, replication_jobs, users, write

NODES = (16, 3)
EACH = {"HA resources": (400, 10), "replication jobs": (400, 10), "users": (200, 5)}
"""How many objects of each kind, in a full and in a quick run."""
ROUNDS = 3
CALLS = re.compile(r"(\d+) \(\d+ written\)")


def run(report: Report) -> None:
    """Make each of them, then run again."""
    _lab(report)
    _many(report)


def _lab(report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        lab = Lab(Path(folder) / "lab", str(free_net()))
        try:
            _checked(lab.site())
            _add(report, "site.yml unchanged, the lab", lab.site, aim=6)
        finally:
            lab.agentstack("down")


def _many(report: Report) -> None:
    nodes = report.size(*NODES)
    counts = {kind: report.size(*count) for kind, count in EACH.items()}
    names = [f"pve{number}" for number in range(1, nodes + 1)]
    definition = {
        "name": "bench",
        "net": free_net(),
        "scale": 2,
        "hosts": {name: {"disks": [{"size": "32G"}, {"size": "8G"}]} for name in names},
        "start": {"clustered": {"name": "test"}},
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        directory = Path(folder)
        file = directory / "stack.yml"
        file.write_text(yaml.safe_dump(definition))
        stack = RunningStack(directory / "state", file)
        stack.up()
        try:
            _seed(stack, names, counts)
            site = Site(stack, directory, _variables(names, counts))
            _checked(site.run())
            of = ", ".join(f"{count} {kind}" for kind, count in counts.items())
            _add(report, f"site.yml unchanged, {nodes} nodes, {of}", site.run, aim=15)
        finally:
            stack.down()


def _seed(stack: RunningStack, names: list[str], counts: dict[str, int]) -> None:
    """The objects; only the pools are left for the site to make."""
    under_ha, copied = _guests(counts)
    write(stack, guests_on(names, len(under_ha) + len(copied)))
    write(stack, ha_resources(under_ha, "stopped"))
    write(stack, replication_jobs({vmid: (_node(names, vmid), _node(names, vmid + 1)) for vmid in copied}))
    write(stack, users(counts["users"]))
    root = Root(stack, "pve1")
    wait_until(lambda: len(root("GET", "/cluster/resources", type="vm")) == len(under_ha) + len(copied), 120)


def _guests(counts: dict[str, int]) -> tuple[range, range]:
    """Numbers of the guests under HA, and of those that are copied."""
    under_ha = range(FIRST_GUEST, FIRST_GUEST + counts["HA resources"])
    return under_ha, range(under_ha.stop, under_ha.stop + counts["replication jobs"])


def _node(names: list[str], vmid: int) -> str:
    return names[vmid % len(names)]


def _variables(names: list[str], counts: dict[str, int]) -> dict[str, Any]:
    """What there is to be. Guests that are nothing but their configuration are not run, moved or copied."""
    under_ha, copied = _guests(counts)
    tank = {"node": "*", "name": "tank", "raidlevel": "single", "devices": {"max_size": "8G"}, "storage": True}
    return {
        "pve_preflight_severity": {"repositories": "info", "count": "warning"},
        "pve_zfs_pools": [tank],
        "pve_users": [{"userid": f"bench{number}@pve"} for number in range(counts["users"])],
        "pve_replication_jobs": [{"guest": vmid, "target": _node(names, vmid + 1), "disable": True} for vmid in copied],
        "pve_replication_wait": False,
        "pve_ha_resources": [{"sid": f"vm:{vmid}", "state": "stopped"} for vmid in under_ha],
    }


def _add(report: Report, name: str, work: Callable[[], Run], *, aim: float) -> None:
    """The fastest of a few rounds; what it used of the processors, without the servers; calls to the API."""
    rounds = []
    for _ in range(report.size(ROUNDS, 1)):
        begun, spent = time.perf_counter(), _processor_seconds()
        done = _checked(work())
        if done.changed:
            raise RuntimeError(f"{name}: something was changed again\n{done.output[-3000:]}")
        calls = sum(int(number) for number in CALLS.findall(done.output))
        rounds.append((time.perf_counter() - begun, _processor_seconds() - spent, calls))
    wall, processor, calls = min(rounds)
    report.add(name, wall, "s", aim=aim, note=f"{processor:.1f} s of the processors, {calls} API calls")


def _checked(done: Run) -> Run:
    if done.status:
        raise RuntimeError(f"ansible-playbook ended with {done.status}:\n{done.output[-3000:]}")
    return done


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
