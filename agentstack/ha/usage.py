# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load that the manager sees, in the mode of the scheduler that is configured."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agentstack._shared.ha_types import ServiceStatus
from agentstack._shared.ha_usage import BasicUsage, LoadUsage, Usage
from agentstack.ha.environment import CrsSettings, Environment


class UsageError(Exception):
    """The data for static or dynamic scheduling is not there; the text says what is missing."""


def build_usage(
    env: Environment, settings: CrsSettings, online: Collection[str], services: Mapping[str, ServiceStatus]
) -> Usage:
    """Usage in the configured mode, filled with what HA manages; raises UsageError."""
    identity = env.release >= 9
    if settings.mode == "static" or (settings.mode == "dynamic" and identity):
        usage: Usage = _load_usage(env, settings.mode, online, identity)
    else:
        usage = BasicUsage(online, identity)
    if identity:
        for guest, node in env.running_guests().items():
            if guest not in services:
                usage.place(guest, {"state": "started", "node": node})
    for sid, service in services.items():
        usage.place(sid, service)
    return usage


def _load_usage(env: Environment, mode: str, online: Collection[str], identity: bool) -> LoadUsage:
    measured: Mapping[str, str] = {}
    if mode == "static":
        nodes, services = env.static_node_stats(), env.static_service_stats()
    else:
        nodes, services = env.dynamic_node_stats(), env.dynamic_service_stats()
        measured = env.running_guests()
    missing = sorted(set(online) - nodes.keys())
    if missing:
        raise UsageError(f"did not get {mode} node usage information for '{missing[0]}'")
    return LoadUsage(mode, nodes, online, services, measured=measured, identity=identity)
