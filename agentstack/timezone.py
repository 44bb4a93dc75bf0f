# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time zone that a host's calendar events are meant in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.host import Host

FILE = "etc/timezone"
DEFAULT = "UTC"


def zone(host: Host) -> str:
    """Name of the host's time zone."""
    path = host.root / FILE
    return path.read_text(encoding="utf-8").strip() if path.exists() else DEFAULT
