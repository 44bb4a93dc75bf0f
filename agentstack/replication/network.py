# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network the copies between nodes take, as the data centre's options say (facts §9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.cluster.datacenter import option_parts, read_options

if TYPE_CHECKING:
    from agentstack.host import Host


def migration_network(host: Host) -> str | None:
    """The network of migrations (CIDR), if one is set."""
    return _network(host, "migration")


def replication_network(host: Host) -> str | None:
    """The network of replication (CIDR), by default that of migrations, if one is set."""
    return _network(host, "replication") or migration_network(host)


def _network(host: Host, option: str) -> str | None:
    return option_parts(read_options(host.files), option).get("network") or None
