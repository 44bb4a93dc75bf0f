# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HA manager's arithmetic is about: services as the manager status has them, and loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict


class ServiceStatus(TypedDict, total=False):
    """One service in the manager status (facts §7.2)."""

    state: str
    node: str
    uid: str
    target: str
    timeout: int
    running: int
    cmd: list[Any]
    failed_nodes: list[str]
    maintenance_node: str


@dataclass(frozen=True, slots=True)
class Load:
    """CPU in cores and memory in bytes; for a node ``maxcpu``/``maxmem`` are its capacity, for a guest its limits."""

    cpu: float = 0.0
    maxcpu: float = 0.0
    mem: float = 0.0
    maxmem: float = 0.0
