# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the newest backup of each guest may be, as the backup jobs promise, and who breaks the promise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from itertools import islice, pairwise
from typing import Any

from .calendar_event import parse
from .lists import split_list
from .units import format_duration

SLACK = 1.5
"""Times the longest pause between two runs: a run takes its time, and one may come late."""

_RUNS = 400


@dataclass(frozen=True)
class Demand:
    """What a guest is promised: a backup no older than ``max_age`` seconds (None: by no job), because of ``job``."""

    vmid: int
    name: str = ""
    ha: bool = False
    job: str | None = None
    max_age: float | None = None

    @property
    def label(self) -> str:
        """The guest in words."""
        return f"guest {self.vmid}" + (f" ({self.name})" if self.name else "")


def longest_pause(schedule: str, now: int) -> float | None:
    """Seconds between those two runs after ``now`` that are farthest apart; None if it runs less than twice.

    Raises ``ValueError`` for what is no calendar event.
    """
    runs = list(islice(parse(schedule).occurrences(now, UTC), _RUNS))
    return max((later - earlier for earlier, later in pairwise(runs)), default=None)


def takes(job: Mapping[str, Any], guest: Mapping[str, Any]) -> bool:
    """Whether a job as GET /cluster/backup lists it backs a guest of /cluster/resources up (facts §13)."""
    vmid = str(guest["vmid"])
    if job.get("node") and job["node"] != guest.get("node"):
        return False
    if int(job.get("all") or 0):
        return vmid not in split_list(str(job.get("exclude") or ""))
    if job.get("pool"):
        return bool(job["pool"] == guest.get("pool"))
    return vmid in split_list(str(job.get("vmid") or ""))


def demands(
    jobs: Iterable[Mapping[str, Any]],
    guests: Iterable[Mapping[str, Any]],
    max_ages: Mapping[str, float],
    now: int,
) -> list[Demand]:
    """The strictest promise to each guest, by number. ``max_ages``: seconds by job, where they are said."""
    active = [job for job in jobs if int(job.get("enabled", 1))]
    ages: dict[str, float | None] = {}
    for job in active:
        pause = longest_pause(str(job["schedule"]), now) if job.get("schedule") else None
        ages[str(job["id"])] = max_ages.get(str(job["id"]), None if pause is None else SLACK * pause)
    found = []
    for guest in sorted(guests, key=lambda guest: int(guest["vmid"])):
        taking = [str(job["id"]) for job in active if takes(job, guest)]
        strictest = min(taking, key=lambda job: (ages[job] is None, ages[job] or 0), default=None)
        ha = str(guest.get("hastate") or "ignored") != "ignored"
        age = ages[strictest] if strictest is not None else None
        found.append(Demand(int(guest["vmid"]), str(guest.get("name") or ""), ha, strictest, age))
    return found


def shortfall(demand: Demand, newest: int | None, now: int) -> str | None:
    """In words, what is wrong with a guest's newest backup (its time, None without one); None if nothing is."""
    if demand.job is None:
        has = (
            "it has no backup"
            if newest is None
            else f"its newest backup is {format_duration(max(0, now - newest))} old"
        )
        return f"no backup job takes {demand.label}, and {has}"
    if newest is None:
        return f"{demand.label} has no backup yet; job {demand.job} takes it"
    age = max(0, now - newest)
    if demand.max_age is not None and age > demand.max_age:
        allowed = format_duration(demand.max_age)
        return f"the newest backup of {demand.label} is {format_duration(age)} old; job {demand.job} allows {allowed}"
    return None
