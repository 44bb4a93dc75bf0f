# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/notifications (facts §15)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from agentstack.api.endpoint import Call, pve
from agentstack.api.notifications import register
from agentstack.notifications.config import Configuration
from agentstack.notify import EVENTS


class ClusterStore:
    """The cluster's notifications as their API wants them."""

    def load(self, call: Call) -> Configuration:
        """See Store."""
        return call.host.notifications.load()

    def changing(self, call: Call) -> AbstractAsyncContextManager[Configuration]:
        """See Store."""
        return call.host.notifications.changing()

    async def test(self, call: Call, name: str) -> None:
        """See Store."""
        await call.host.notifications.service.test(name)

    def field_values(self, call: Call) -> list[dict[str, str]]:
        """See Store."""
        return call.host.notifications.field_values()


def _inside(_: Call, row: dict[str, Any], digest: str) -> dict[str, Any]:
    """The digest is one of the object's own fields; where it comes from only lists say."""
    return {**{name: value for name, value in row.items() if name != "origin"}, "digest": digest}


register(pve, "/cluster/notifications", ClusterStore(), _inside, EVENTS)
