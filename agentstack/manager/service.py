# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HA services of a host, and what the rest of the host asks them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from agentstack.ha.environment import ManagerStatus
from agentstack.manager import config
from agentstack.sections import Entry

if TYPE_CHECKING:
    from agentstack.host import Host

MANAGER_STATUS = "ha/manager_status"


class Manager:
    """CRM and LRM of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def start(self) -> None:
        """Begin the rounds."""

    async def stop(self) -> None:
        """End by the shutdown policy."""

    def manager_status(self) -> ManagerStatus:
        """What the active manager wrote last; empty before there was one."""
        text = self.host.files.read_text(MANAGER_STATUS, default="")
        return cast(ManagerStatus, json.loads(text)) if text.strip() else {}

    def resources(self) -> dict[str, Entry]:
        """The HA resources by service id."""
        return config.RESOURCES_CFG.read(self.host)[0]

    def manages(self, sid: str) -> bool:
        """Tell whether power and place of a guest are the manager's business."""
        resource = self.resources().get(sid)
        if resource is None or resource.values.get("state") == "ignored":
            return False
        return self.manager_status().get("disarm", {}).get("mode") != "ignore"

    async def forget(self, sid: str) -> None:
        """Take a guest that is removed out of HA."""
        if sid in self.resources():
            await config.delete_resource(self.host, sid, purge=True)
