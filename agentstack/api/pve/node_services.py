# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/services: what runs on a node (facts §18; observed: calls)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.tables import load

if TYPE_CHECKING:
    from agentstack.host import Host

TEMPLATES = {"8": {"postfix": "postfix@-"}}
"""Services that a major release runs as an instance of a template unit: that is their description."""


def services(release: str) -> list[str]:
    """The services that a release knows."""
    major = release.partition(".")[0]
    declared = load(f"pve{major}")["/nodes/{node}/services/{service}/state"]["GET"]
    return list(declared.params["service"]["enum"])


def describe(host: Host, name: str) -> dict[str, str]:
    """A service and its state; corosync runs in a cluster only."""
    runs = name != "corosync" or host.cluster.in_cluster
    return {
        "service": name,
        "name": name,
        "desc": TEMPLATES.get(host.release.partition(".")[0], {}).get(name, name),
        "state": "running" if runs else "dead",
        "active-state": "active" if runs else "inactive",
        "unit-state": "enabled",
    }


@pve("GET", "/nodes/{node}/services")
async def list_services(call: Call) -> Json:
    return [describe(call.host, name) for name in services(call.host.release)]


@pve("GET", "/nodes/{node}/services/{service}/state")
async def service_state(call: Call) -> Json:
    return describe(call.host, call["service"])
