# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's notifications: find the targets of what happened, and send it there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.notifications import matchers
from agentstack.notifications.config import ENDPOINTS, MATCHER, Configuration
from agentstack.notifications.endpoints import Failed, Sender, deliver
from agentstack.notifications.message import Notification
from agentstack.timezone import zone

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

TEST = Notification("info", "Test notification", "This is a test of the notification target '{name}'. "
                    "The notification target works.", 0.0)  # fmt: skip


class Notifications:
    """Sends for one host. `load` reads the configuration; `author` and `address_of` are as in `Sender`."""

    def __init__(
        self, host: Host, load: Callable[[], Configuration], author: str, address_of: Callable[[str], str | None]
    ) -> None:
        self.host = host
        self.load = load
        self.sender = Sender(host.root, host.name, author, address_of)

    async def send(self, notification: Notification) -> list[str]:
        """Send to the targets of all matchers that fit; what fails is logged. Gives the targets that were reached."""
        found = self.load()
        chosen = matchers.targets((values for _, _, values in found.of(MATCHER)), notification, zone(self.host))
        reached = []
        for name in chosen:
            try:
                kind, values = found.endpoint(name)
                if values.get("disable"):
                    continue
                await deliver(self.sender, kind, values, notification)
            except (AgentError, Failed) as error:
                log.warning("could not notify via target `%s`: %s", name, error)
            else:
                reached.append(name)
        return reached

    async def test(self, name: str) -> None:
        """Send a test to one target; raises AgentError with what went wrong."""
        found = self.load()
        if all(name != other for _, other, _ in found.of(*ENDPOINTS)):
            raise AgentError(f"notification target '{name}' does not exist", status=404)
        kind, values = found.endpoint(name)
        fields = {"hostname": self.host.name, "type": "test"}
        told = Notification(TEST.severity, TEST.title, TEST.text.format(name=name), self.host.clock.now(), fields)
        try:
            await deliver(self.sender, kind, values, told)
        except Failed as error:
            raise AgentError(f"could not notify via endpoint(s): {name}: {error}") from error
