# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand objects by one task, beside a loop over one object a task: of our modules, and of community.proxmox where
it has one.

The loops run over a few objects, and their costs are extrapolated. They are created before the many objects are and
removed after they have gone, which is to the loops' favour; looked at and changed while all are there.

Whoever it is, a client talks to the server through the same relay, which sees how long it waits for answers: that is
the server's time, and the rest is spent outside of it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..api_client import Root
from ..modules import Modules
from ..stacks import RunningStack, free_net, wait_until
from .playbooks import Cost, NotToBeHad, Playbooks, Task, others
from .relay import Relay
from .report import Report, seconds
from .seeds import FIRST_GUEST, guests_on, write

LOOPED = 50
PHASES = ("created", "unchanged", "1 % changed", "deleted")
OURS = Path(sys.executable).parent / "ansible-playbook"
COMMUNITY = "community.proxmox looped"
OWN_LOOP = "looped one by one"
PASSWORD = "{{ password }}"
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A collection of the cluster: `make` gives the element with that number and comment; `theirs` the parameters of
    community.proxmox's module for the same object; `key` are the fields that name it; `path` lists all that there are;
    `count` is how many, in full and in a quick run."""

    name: str
    module: str
    option: str
    key: tuple[str, ...]
    path: str
    make: Callable[[int, str], Parameters]
    count: tuple[int, int]
    extra: Parameters
    their_module: str | None = None
    theirs: Callable[[int, str], Parameters] | None = None

    def element(self, number: int, phase: str) -> Parameters:
        """What is to be of an object in that phase."""
        made = self.make(number, "changed" if phase == "1 % changed" else "bench")
        return {**{name: made[name] for name in self.key}, "state": "absent"} if phase == "deleted" else made


def _resource(number: int, comment: str) -> Parameters:
    sid = f"vm:{FIRST_GUEST + number}"
    return {"sid": sid, "state": "stopped", "max_restart": 1, "max_relocate": 1, "comment": comment}


def _their_resource(number: int, comment: str) -> Parameters:
    return {"name": f"vm:{FIRST_GUEST + number}", "hastate": "stopped", "comment": comment}


def _replication(number: int, comment: str) -> Parameters:
    return {"guest": FIRST_GUEST + number, "target": "pve2", "schedule": "*/30", "disable": True, "comment": comment}


def _backup(number: int, comment: str) -> Parameters:
    guests = [FIRST_GUEST + number]
    return {"id": f"bench-{number}", "schedule": "02:00", "storage": "local", "guests": guests, "comment": comment}


def _user(number: int, comment: str) -> Parameters:
    return {"userid": f"bench{number}@pve", "comment": comment}


KINDS = (
    Kind(
        *("HA resources", "ha_resources", "resources", ("sid",), "/cluster/ha/resources", _resource, (1000, 20)),
        # the manager's ten seconds are no cost of a module, and the others do not wait either
        {"wait": False},
        *("proxmox_cluster_ha_resources", _their_resource),
    ),
    Kind(
        *("replication jobs", "replication_jobs", "jobs", ("guest", "target"), "/cluster/replication", _replication),
        *((1000, 20), {}),
    ),
    Kind("backup jobs", "backup_jobs", "jobs", ("id",), "/cluster/backup", _backup, (200, 10), {}),
    Kind("users", "users", "users", ("userid",), "/access/users", _user, (500, 15), {}, "proxmox_user", _user),
)


def run(report: Report) -> None:
    """Every kind after the other on one cluster of two nodes, its guests stopped."""
    loop = report.size(LOOPED, 2)
    try:
        theirs: Path | None = others(install=not report.quick)
        why = ""
    except NotToBeHad as error:
        theirs, why = None, f"without community.proxmox: {error}"
    guests = max(report.size(*kind.count) for kind in KINDS) + 2 * loop
    definition = {
        "name": "bench",
        "net": free_net(),
        "scale": 5,
        "hosts": {name: {"disks": [{"size": "32G"}, {"size": "8G"}]} for name in ("pve1", "pve2")},
        "start": {"clustered": {"name": "bench"}},
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "stack.yml"
        file.write_text(yaml.safe_dump(definition))
        stack = RunningStack(Path(folder) / "state", file)
        stack.up()
        try:
            pool = {"node": "*", "name": "tank", "raidlevel": "single", "devices": {"max_size": "8G"}, "storage": True}
            Modules(stack.dir)("zfs_pools", pools=[pool])
            write(stack, guests_on(["pve1"], guests))
            root = Root(stack, "pve1")
            wait_until(lambda: len(root("GET", "/cluster/resources", type="vm")) == guests, 120)
            address, port = f"127.{definition['net']}.250.1", 8006
            with Relay(address, port, stack.resolved["hosts"]["pve1"]["address"], f"{folder}/relay") as relay:
                for kind in KINDS:
                    _Bench(report, stack, relay, kind, loop, theirs, why).run()
        finally:
            stack.down()


class _Bench:
    """One kind of object. The many have the numbers from 0; the loops take those after them."""

    def __init__(
        self, report: Report, stack: RunningStack, relay: Relay, kind: Kind, loop: int, theirs: Path | None, why: str
    ) -> None:
        self.report, self.kind, self.loop, self.theirs = report, kind, loop, theirs
        self.why = why if kind.theirs else "community.proxmox has no such module"
        self.count = report.size(*kind.count)
        self.module = Modules(stack.dir)
        self.root = Root(stack, "pve1")
        self.before = self._there()
        self.idle: dict[str, Cost] = {}
        connection = self.module.connection
        connection["api_hosts"] = [relay.address]
        self.playbook = Playbooks(stack.pids(), relay, {"password": connection["api_password"]})
        self.ours = {**connection, "api_password": PASSWORD}
        self.their = {
            "api_host": relay.address,
            "api_user": "root@pam",
            "api_password": PASSWORD,
            "validate_certs": False,
        }

    def run(self) -> None:
        """All by playbooks, and once in this process to see what the playbook adds."""
        for phase in PHASES:
            own: Cost | None = None
            other: Cost | None = None
            if phase == "created":
                own, other = self._own_loop(phase), self._their_loop(phase)
            whole = self._one_task(phase)
            if own is None:
                own, other = self._own_loop(phase), self._their_loop(phase)
            self._add(phase, whole, own, other)
        self._wait_until_gone()

    def _there(self) -> int:
        return len(self.root("GET", self.kind.path))

    def _wait_until_gone(self) -> None:
        """Replication jobs are removed by the node's scheduler."""
        wait_until(lambda: self._there() == self.before, 600)

    def _elements(self, phase: str) -> list[Parameters]:
        """All of them; of a hundred, one changes."""
        changing = max(1, self.count // 100)
        return [
            self.kind.element(number, "created" if phase == "1 % changed" and number >= changing else phase)
            for number in range(self.count)
        ]

    def _in_process(self) -> float:
        """The module alone, with nothing to change."""
        parameters = {self.kind.option: self._elements("unchanged"), **self.kind.extra}
        return seconds(lambda: self.module(self.kind.module, **parameters))

    def _one_task(self, phase: str) -> Cost:
        task = self._task(self._elements(phase))
        return self._checked(phase, self.playbook(OURS, task), 1)

    def _own_loop(self, phase: str) -> Cost:
        first = self.count
        task = self._task(["{{ item }}"])
        task["loop"] = [self.kind.element(number, phase) for number in range(first, first + self.loop)]
        return self._checked(phase, self.playbook(OURS, task), self.loop)

    def _their_loop(self, phase: str) -> Cost | None:
        if self.theirs is None or self.kind.theirs is None:
            return None
        first = self.count + self.loop
        words = "changed" if phase == "1 % changed" else "bench"
        objects = [self.kind.theirs(number, words) for number in range(first, first + self.loop)]
        state = "absent" if phase == "deleted" else "present"
        item: Parameters = {name: f"{{{{ item.{name} }}}}" for name in objects[0]}
        module = f"community.proxmox.{self.kind.their_module}"
        task: Task = {"name": phase, module: {**self.their, **item, "state": state}, "loop": objects}
        return self._checked(phase, self.playbook(self.theirs, task), self.loop)

    def _task(self, elements: list[Any]) -> Task:
        parameters = {**self.ours, self.kind.option: elements, **self.kind.extra}
        return {"name": self.kind.name, f"quorate.pve.{self.kind.module}": parameters}

    def _checked(self, phase: str, cost: Cost, rounds: int) -> Cost:
        """A measurement counts only if what was done is what was to be done."""
        expected = 0 if phase == "unchanged" else rounds
        if cost.changed != expected:
            raise RuntimeError(f"{self.kind.name} {phase}: {cost.changed} of {rounds} changed, not {expected}")
        return cost

    def _add(self, phase: str, whole: Cost, own: Cost, other: Cost | None) -> None:
        name = f"{self.count} {self.kind.name} {phase}"
        aim = 0.25 if phase == "unchanged" else None
        note = f"{whole.calls} calls; {_at_the_server(whole)}"
        if phase == "unchanged":
            note += f"; the module alone {self._in_process():.2f} s"
        if other is None:
            note += f"; {self.why}"
        for title, looped in ((COMMUNITY, other), (OWN_LOOP, own)):
            if looped is None:
                continue
            many = self._extrapolated(title, phase, looped)
            said = f"{note}; the loop, from {self.loop} objects: {_at_the_server(many)}"
            self.report.add(name, whole.wall, "s", aim=aim, against=(title, many.wall), note=said)
            outside = max(whole.outside, 1e-3)
            self.report.add("  outside the server", outside, "s", against=(title, many.outside))

    def _extrapolated(self, title: str, phase: str, looped: Cost) -> Cost:
        """What the loop takes for all: when one of a hundred changes, the others are looped over unchanged."""
        if phase == "unchanged":
            self.idle[title] = looped
        if phase == "1 % changed":
            looped = looped * 0.01 + self.idle[title] * 0.99
        return looped * (self.count / self.loop)


def _at_the_server(cost: Cost) -> str:
    return f"{cost.server:.2f} s waiting for the server, which used {cost.processor:.2f} s of the processors"
