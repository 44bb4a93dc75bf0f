# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of 16 nodes and 1,000 guests: to judge what was read, to draw the page, its size, to plan moves, to
read it all from a live cluster, and the whole of it as a user has it."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.quorate.pve.plugins.module_utils._client import Client, Connection
from ansible_collections.quorate.pve.plugins.module_utils._errors import QuorateError
from ansible_collections.quorate.pve.plugins.module_utils._guest_facts import read_guest_facts
from ansible_collections.quorate.pve.plugins.module_utils._pure.ha_forecast import forecast
from ansible_collections.quorate.pve.plugins.module_utils._pure.rebalance import Bundle, Place, plan_moves
from ansible_collections.quorate.pve.plugins.module_utils._report_model import build
from ansible_collections.quorate.pve.plugins.module_utils._report_page import render
from ansible_collections.quorate.pve.plugins.module_utils._report_raw import Wishes

from ..report_models import raw
from ..stacks import RunningStack, free_net, wait_until
from .callbacks.durations import processor_seconds
from .playbooks import ROOT
from .report import Report, seconds

TEMPLATES = ROOT / "roles" / "report" / "templates"


def run(report: Report) -> None:
    """All figures."""
    nodes, guests = report.size(16, 3), report.size(1000, 20)
    size = f"{nodes} nodes, {guests} guests"
    sick = raw(nodes, guests)
    model: dict[str, Any] = {}
    report.add(f"judge {size}", seconds(lambda: model.update(build(sick, Wishes()))), "s", aim=5)
    page: list[str] = []
    report.add(f"draw {size}", seconds(lambda: page.append(render(model, TEMPLATES))), "s", aim=5)
    report.add(f"page of {size}", len(page[0].encode()) / 1e6, "MB", aim=3)
    assert sick.picture is not None
    picture = sick.picture
    report.add(f"forecast the loss of each of {size}", seconds(lambda: forecast(picture)), "s", aim=2)
    places = [Place(f"n{number:02}", 256) for number in range(nodes)]
    names = frozenset(place.name for place in places)
    bundles = [Bundle(f"g{n:04}", f"n{n % (nodes // 2):02}", 1 + n % 4, names) for n in range(min(guests, 50 * nodes))]
    report.add(f"plan 20 moves of {len(bundles)} guests", seconds(lambda: plan_moves(places, bundles)), "s", aim=5)
    _live(report, nodes, guests, size)


def _live(report: Report, nodes: int, guests: int, size: str) -> None:
    """What a live cluster takes: the one pass over all configurations, and the playbook from beginning to end."""
    there = {
        100 + n: {"name": f"g{n}", "node": f"pve{1 + n % nodes}", "memory": "16M", "disks": []} for n in range(guests)
    }
    hosts = {f"pve{number}": {"kind": "pve"} for number in range(1, nodes + 1)}
    content = {
        "name": "bench",
        "net": free_net(),
        "scale": 1,
        "start": {"clustered": {"name": "bench", "guests": there}},
    }
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "stack.yml"
        file.write_text(yaml.safe_dump({**content, "hosts": hosts}))
        stack = RunningStack(Path(directory) / "state", file)
        try:
            _up(stack)
            address = str(stack.resolved["hosts"]["pve1"]["addresses"]["mgmt"])
            client = Client(Connection((address,), password=str(stack.secrets["root_password"]), validate=False))
            wait_until(lambda: _complete(client, nodes, guests), 600)
            client.calls.clear()
            spent = seconds(lambda: read_guest_facts(client))
            report.add(f"read {size}", spent, "s", aim=10, note=f"{len(client.calls)} calls")
            _playbook(report, stack, Path(directory), size)
        finally:
            stack.down()


def _up(stack: RunningStack) -> None:
    """As `stack.up()`, with the patience that so many hosts take on a machine that has other things to do."""
    words = ["up", "--dir", stack.dir, "--file", stack.file]
    subprocess.run([sys.executable, "-m", "agentstack", *words], check=True, capture_output=True, timeout=600)


def _playbook(report: Report, stack: RunningStack, directory: Path, size: str) -> None:
    """playbooks/report.yml of that cluster: real seconds, and the processor seconds of both sides."""
    hosts, keys = stack.resolved["hosts"], stack.secrets["hosts"]
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "pve_cluster_name": "bench",
        "pve_cluster_group": "bench",
        "pve_api_password": stack.secrets["root_password"],
        "pve_ssh_port": 2222,
        "pve_report_dir": str(directory / "report"),
        "pve_trust_file": str(directory / "trust.json"),
    }
    members = {
        name: {
            "pve_address": host["addresses"]["mgmt"],
            "pve_fingerprint": keys[name]["fingerprint"],
            "pve_ssh_host_key": keys[name]["ssh_host_key"],
        }
        for name, host in hosts.items()
    }
    inventory = directory / "hosts.yml"
    inventory.touch(0o600)
    inventory.write_text(yaml.safe_dump({"pve": {"children": {"bench": {"hosts": members, "vars": variables}}}}))
    servers = stack.pids()
    before, used, began = processor_seconds(servers), _own_seconds(), time.perf_counter()
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, "playbooks/report.yml"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    spent, used, theirs = time.perf_counter() - began, _own_seconds() - used, processor_seconds(servers) - before
    if done.returncode:
        raise RuntimeError(f"report.yml ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    note = f"user and system: {used:.1f} s ansible-playbook, {theirs:.1f} s the servers"
    report.add(f"report.yml of {size}", spent, "s", aim=15, note=note)
    page = (directory / "report" / "bench.html").stat().st_size
    report.add(f"its page of {size}", page / 1e6, "MB", aim=3)


def _own_seconds() -> float:
    """Processor seconds of the programs that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _complete(client: Client, nodes: int, guests: int) -> bool:
    """Whether every node has told the others what it has."""
    try:
        rows = client.get("/cluster/resources")
    except QuorateError:
        return False
    online = [row for row in rows if row["type"] == "node" and row.get("status") == "online"]
    named = [row for row in rows if row["type"] == "qemu" and row.get("name")]
    return (len(online), len(named)) == (nodes, guests)
