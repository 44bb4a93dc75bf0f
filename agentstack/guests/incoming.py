# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does for the others: it takes in guests that move, and copies of disks that are replicated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.guests import migrate
from agentstack.guests.tunnel import TunnelServer
from agentstack.replication import handover, transfer

if TYPE_CHECKING:
    from agentstack.host import Host


def make_server(host: Host) -> TunnelServer:
    """The part of a host that answers the other nodes' tunnels."""
    return TunnelServer(host, {**migrate.HANDLERS, **transfer.HANDLERS, **handover.HANDLERS})
