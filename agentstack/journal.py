# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's journal: what its parts have logged, and the tasks that began and ended, under the names of the daemons."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack._shared.time_zone import time_zone
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) [A-Z]+ (\S+): (.*)")

UNITS = (
    ("agentstack.cluster.corosync", "corosync"),
    ("agentstack.cluster", "pmxcfs"),
    ("agentstack.manager", "pve-ha-crm"),
    ("agentstack.ha", "pve-ha-crm"),
    ("agentstack.replication", "pvescheduler"),
    ("agentstack.backup", "pvescheduler"),
    ("agentstack.scheduler", "pvescheduler"),
    ("agentstack.daily_update", "pveupdate"),
    ("agentstack.pvestatd", "pvestatd"),
    ("agentstack.api", "pveproxy"),
    ("agentstack.host", "systemd"),
    ("agentstack.shell", "sshd"),
    ("asyncssh", "sshd"),
    ("agentstack", "pvedaemon"),
)
"""Which daemon a part of the host stands for; the first prefix that fits."""


@dataclass(frozen=True)
class Entry:
    """One line. `time`: seconds since the epoch."""

    time: float
    unit: str
    text: str

    def line(self, host: Host) -> str:
        """As `journalctl` prints it, in the host's time zone."""
        moment = datetime.datetime.fromtimestamp(self.time, time_zone(zone(host)))
        return f"{moment:%b %d %H:%M:%S} {host.name} {self.unit}: {self.text}"


def entries(host: Host) -> list[Entry]:
    """Everything since the first boot, the oldest first."""
    return sorted([*_logged(host), *_tasks(host)], key=lambda entry: entry.time)


def _logged(host: Host) -> Iterator[Entry]:
    path = host.state / "agent.log"
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        # lines of other forms continue the one before, as tracebacks do: no daemon would put them into a journal
        if match is not None:
            moment = datetime.datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").timestamp()
            yield Entry(moment + int(match[2]) / 1000 + host.clock.offset, _unit(match[3]), match[4])


def _unit(logger: str) -> str:
    return next((unit for prefix, unit in UNITS if logger.startswith(prefix)), "kernel")


def _tasks(host: Host) -> Iterator[Entry]:
    for upid in host.tasks.active():
        yield Entry(upid.starttime, f"pvedaemon[{upid.pid}]", f"<{upid.user}> starting task {upid}")
    for end in host.tasks.finished:
        upid = end.upid
        yield Entry(upid.starttime, f"pvedaemon[{upid.pid}]", f"<{upid.user}> starting task {upid}")
        yield Entry(end.endtime, f"pvedaemon[{upid.pid}]", f"<{upid.user}> end task {upid} {end.status}")
