# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pve-firewall(8): whether the firewall is on, and in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

UNIT = "pve-firewall"


@command("pve-firewall")
async def pve_firewall(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["status"]:
            firewall = host.firewall
            words = f"{'enabled' if firewall.enabled else 'disabled'}/{'running' if firewall.running else 'stopped'}"
            io.out(f"Status: {words}{' (pending changes)' if firewall.pending else ''}\n")
        case ["start"]:
            await host.services.begin(UNIT)
        case ["stop"]:
            await host.services.end(UNIT)
        case ["restart"]:
            await host.services.restart(UNIT)
        case _:
            io.err("ERROR: unknown command\nUSAGE: pve-firewall <COMMAND> [ARGS] [OPTIONS]\n")
            return 255
    return 0
