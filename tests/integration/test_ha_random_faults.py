# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in any order: afterwards every guest runs once, and the disks show one writer at a time and nothing lost.

QUORATE_FAULT_SECONDS sets how long it goes on breaking things (real seconds), QUORATE_FAULT_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable

import pytest

from ..drills import TRANSIENT, Site, make_site
from ..stacks import StackFactory

pytestmark = [
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
    pytest.mark.long,
]

SECONDS = float(os.environ.get("QUORATE_FAULT_SECONDS", "60"))
SEED = int(os.environ.get("QUORATE_FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


class Chaos:
    """Breaks something, and later something else, and now and then restores."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.random = random.Random(seed)
        self.history: list[str] = []
        self.begun = time.monotonic()

    def step(self) -> None:
        """One event, and a pause in which it may have its effect."""
        name = self.random.choice(list(ACTIONS))
        host = self.random.choice(self.site.hosts)
        moment = (time.monotonic() - self.begun) * self.site.scale
        self.history.append(f"{moment:8.0f} s  {name} {host}")
        ACTIONS[name](self, host)
        # from less than a round to more than a lock's life
        threading.Event().wait(self.random.choice([5, 20, 70, 130]) / self.site.scale)

    def power(self, host: str, action: str) -> None:
        allowed = {"off": ("on", "paused"), "on": ("off",), "reset": ("on",), "pause": ("on",), "resume": ("paused",)}
        if self.site.stack.host(host)["power"] in allowed[action]:
            self.site.stack.power(action, host)

    def separate(self, host: str) -> None:
        others = [name for name in self.site.hosts if name != host]
        self.site.fault("partition", host, ",".join(others))

    def move(self, host: str) -> None:
        """Somebody has a guest moved just now."""
        vmid = self.random.choice([101, 102, 103])
        for other in self.site.hosts:
            try:
                self.site.root(other)("POST", f"/cluster/ha/resources/vm:{vmid}/migrate", node=host)
            except TRANSIENT:
                continue
            return

    def restart(self, host: str) -> None:
        try:
            self.site.root(host)("POST", f"/nodes/{host}/services/pve-ha-lrm/restart")
        except TRANSIENT:
            self.history.append("            (nobody there)")


ACTIONS: dict[str, Callable[[Chaos, str], None]] = {
    "kill": lambda chaos, host: chaos.power(host, "off"),
    "reset": lambda chaos, host: chaos.power(host, "reset"),
    "power on": lambda chaos, host: chaos.power(host, "on"),
    "power on again": lambda chaos, host: chaos.power(host, "on"),
    "pause": lambda chaos, host: chaos.power(host, "pause"),
    "resume": lambda chaos, host: chaos.power(host, "resume"),
    "cut off": lambda chaos, host: chaos.site.fault("host", host, "cut"),
    "plug in": lambda chaos, host: chaos.site.fault("host", host, "restore"),
    "leave nothing but its storage to": lambda chaos, host: chaos.site.cut_off(host),
    "cut the first network of": lambda chaos, host: chaos.site.fault("link", host, "mgmt", "cut"),
    "separate": lambda chaos, host: chaos.separate(host),
    "unite all, not only": lambda chaos, _host: chaos.site.fault("partition", "restore"),
    "mend all cables, not only of": lambda chaos, _host: chaos.site.mend(),
    "clock ahead of": lambda chaos, host: chaos.site.fault("clock", host, "+300s"),
    "clock behind of": lambda chaos, host: chaos.site.fault("clock", host, "-300s"),
    "restart LRM of": lambda chaos, host: chaos.restart(host),
    "move a guest to": lambda chaos, host: chaos.move(host),
}


@pytest.fixture(scope="module", params=[True, False], ids=["external storage", "ceph"])
def site(request: pytest.FixtureRequest, stack_factory: StackFactory) -> Site:
    return make_site(stack_factory, external=request.param)


def test_no_order_of_faults_makes_two_writers_or_loses_a_record(site: Site) -> None:
    chaos = Chaos(site, SEED)
    try:
        while time.monotonic() - chaos.begun < SECONDS:
            chaos.step()
        site.clear()
        site.at_rest_or_error()
        site.revive()
        site.at_rest()
        report = site.check_disks()
    except BaseException:
        print(f"QUORATE_FAULT_SEED={SEED}", *chaos.history, sep="\n")
        raise
    print(f"{len(chaos.history)} faults (seed {SEED})")
    assert all(guest.acknowledged and guest.runs for guest in report.guests)
