# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/config/notifications (facts §15, §20.4)."""

from __future__ import annotations

from typing import Any

from agentstack.api.endpoint import Call, pbs
from agentstack.api.notifications import register
from agentstack.pbs.notify import EVENTS, ApiStore


def _beside(call: Call, row: dict[str, Any], digest: str) -> dict[str, Any]:
    call.extra["digest"] = digest
    return row


register(pbs, "/config/notifications", ApiStore(), _beside, EVENTS)
