# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node does once a day by itself: a certificate that an authority gave it is renewed in its last 30 days.

Documentation: certificate management, "automatic renewal of ACME certificates" by pve-daily-update.service, which runs
at one o'clock or up to five hours later, and after a start if the day's run was missed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from agentstack.access.identity import ROOT, Identity
from agentstack.acme import orders
from agentstack.api.pve.node_config import acme_wishes
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

HOUR = 1
SPREAD = 5 * 3600
"""Seconds over which the nodes of the world spread their runs."""
STAMP = "var/lib/systemd/timers/stamp-pve-daily-update.timer"
PERIOD = 1.0
"""Real seconds between two looks at the clock, which can leap."""


class DailyUpdate:
    """The timer of one node and what it sets off."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._stamp = host.root / STAMP
        self._delay = random.uniform(0, SPREAD)
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look at the clock; a node that is new has nothing to catch up with."""
        if not self._stamp.exists():
            self._stamp.parent.mkdir(parents=True, exist_ok=True)
            self._run_now(renew=False)
        self._loop = asyncio.create_task(self._watch(), name="daily update")

    async def stop(self) -> None:
        """Look no more; renewals are tasks, which end with their host."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            if self.host.clock.now() >= self._due():
                self._run_now(renew=True)

    def _due(self) -> float:
        """The next run (epoch): the first one o'clock since the last one, and the delay of this start."""
        last = datetime.fromtimestamp(float(self._stamp.read_text()), ZoneInfo(zone(self.host)))
        first = last.replace(hour=HOUR, minute=0, second=0, microsecond=0)
        if first <= last:
            first += timedelta(days=1)
        return first.timestamp() + self._delay

    def _run_now(self, *, renew: bool) -> None:
        write_durably(self._stamp, str(self.host.clock.now()).encode())
        self._delay = random.uniform(0, SPREAD)
        if not renew:
            return
        try:
            self._renew()
        except AgentError as error:
            log.warning("the certificate could not be renewed: %s", error)

    def _renew(self) -> None:
        """Order anew what ends soon, if there are domains to order it for."""
        host = self.host
        if not host.files.exists(orders.path(host, orders.CERTIFICATE)) or not orders.expires_soon(host):
            return
        account, domains = acme_wishes(host, host.name)
        if domains:
            host.tasks.start(Identity(ROOT), "acmerenew", "", lambda task: orders.order(host, task, account, domains))
