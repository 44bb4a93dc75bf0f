# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network the copies between nodes take, as the data centre's options say (facts §9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.host import Host


def migration_network(host: Host) -> str | None:
    """The network of migrations (CIDR), if one is set."""
    return _option(host, "migration")


def replication_network(host: Host) -> str | None:
    """The network of replication (CIDR), by default that of migrations, if one is set."""
    return _option(host, "replication") or migration_network(host)


def _option(host: Host, name: str) -> str | None:
    for line in host.files.read_text("datacenter.cfg", default="").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            parts = dict(part.strip().partition("=")[::2] for part in value.split(","))
            return parts.get("network") or None
    return None
