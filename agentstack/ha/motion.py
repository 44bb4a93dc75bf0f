# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the migration of one service takes along, and what stands in its way (facts §7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from agentstack._shared.ha_rules import Affinities
from agentstack._shared.ha_types import ServiceStatus


class Motion(NamedTuple):
    """Services by sid: those that must come along, those that must not be met at the target."""

    comigrated: list[str]
    blocking: list[str]


def motion(affinities: Affinities, services: Mapping[str, ServiceStatus], sid: str, target: str) -> Motion:
    """Look at the partners of ``sid``; those that are at the target, or on their way there, need no move."""
    there = {other for other, service in services.items() if target in (service["node"], service.get("target"))}
    together = affinities.together.get(sid, frozenset())
    return Motion(
        sorted(other for other in together if other in services and other not in there),
        sorted(there & affinities.apart.get(sid, frozenset())),
    )
