# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What corosync's own tools print, and pvecm after them (observed: commands)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.cluster.corosync import View
    from agentstack.host import Host

NO_CMAP = "Cannot initialize CMAP service"


class NotRunning(AgentError):
    """corosync does not run on this host."""

    def __init__(self) -> None:
        super().__init__(NO_CMAP)


def view_of(host: Host) -> View:
    """The present membership; NotRunning if corosync does not run."""
    view = host.cluster.view
    if view is None:
        raise NotRunning
    return view


def quorum_status(host: Host, *, hexadecimal: bool = False, names: bool = True) -> str:
    """The status of corosync-quorumtool; pvecm has node ids hexadecimal and addresses for names."""
    view, votes = view_of(host), host.cluster.votes
    own = host.cluster.node_id
    date = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(host.clock.now()))
    lines = [
        "Quorum information",
        "------------------",
        f"Date:             {date}",
        "Quorum provider:  corosync_votequorum",
        f"Nodes:            {len(view.members)}",
        f"Node ID:          {f'0x{own:08x}' if hexadecimal else own}",
        f"Ring ID:          {view.ring[0]:x}.{view.ring[1]:x}",
        f"Quorate:          {'Yes' if votes.quorate else 'No'}",
        "",
        "Votequorum information",
        "----------------------",
        f"Expected votes:   {votes.expected}",
        f"Highest expected: {votes.highest_expected}",
        f"Total votes:      {votes.total}",
        f"Quorum:           {votes.quorum} {' ' if votes.quorate else 'Activity blocked'}",
        f"Flags:            {'Quorate ' if votes.quorate else ''}{'Qdevice ' if host.qdevice.running else ''}",
    ]
    return "\n".join(lines) + "\n" + member_list(host, hexadecimal=hexadecimal, names=names)


def member_list(host: Host, *, hexadecimal: bool = False, names: bool = True) -> str:
    """The table of the members that are online."""
    view, config = view_of(host), host.cluster.config
    device = host.qdevice.running and config is not None and config.device is not None
    column = "    Qdevice" if device else ""
    lines = ["", "Membership information", "----------------------", f"    Nodeid      Votes{column} Name"]
    for node in sorted(config.nodes if config is not None else (), key=lambda node: node.nodeid):
        if node.nodeid not in view.members:
            continue
        ident = f"0x{node.nodeid:08x}" if hexadecimal else f"{node.nodeid:10d}"
        name = node.name if names else node.addresses[min(node.addresses)]
        local = " (local)" if node.nodeid == host.cluster.node_id else ""
        flags = f" {host.qdevice.flags(node.name):>10}" if device else ""
        lines.append(f"{ident} {node.quorum_votes:10d}{flags} {name}{local}")
    if device:
        ident = "0x00000000" if hexadecimal else f"{0:10d}"
        votes = host.cluster.device_votes
        voting = host.cluster.device_voting
        lines.append(f"{ident} {votes if voting else 0:10d} {'':>10} Qdevice{'' if voting else f' (votes {votes})'}")
    return "\n".join(lines) + "\n"


def link_status(host: Host) -> str:
    """corosync-cfgtool -s: every link of this host and how it reaches the others on it."""
    view_of(host)
    own = host.cluster.node_id
    lines = [f"Local node ID {own}, transport knet"]
    for link in host.cluster.links():
        lines += [f"LINK ID {link.number} udp", f"\taddr\t= {link.address}", "\tstatus:"]
        states = {own: "localhost"} | {
            node: "connected" if connected else "disconnected" for node, connected in link.connected.items()
        }
        lines += [f"\t\tnodeid: {node:10d}:\t{states[node]}" for node in sorted(states)]
    return "\n".join(lines) + "\n"


OVERHEAD = 103
"""Bytes of a packet that are not corosync's data: an Ethernet link with an MTU of 1500 shows 1397."""
LARGEST = 65535
"""knet does not look for larger packets."""


def node_status(host: Host) -> str:
    """corosync-cfgtool -n: every other node and the links to it."""
    view = view_of(host)
    config, links = host.cluster.config, host.cluster.links()
    text = f"Local node ID {host.cluster.node_id}, transport knet\n"
    for node in sorted(config.nodes if config is not None else (), key=lambda node: node.nodeid):
        if node.nodeid == host.cluster.node_id:
            continue
        text += f"nodeid: {node.nodeid} {'reachable' if node.nodeid in view.members else 'unreachable'}\n"
        for link in links:
            state = "connected" if link.connected.get(node.nodeid) else "disconnected"
            way = f"{link.address}->{node.addresses.get(link.number, '')}"
            # a link that is down shows what was found before; nothing has been at the start
            mtu = min(link.mtu.get(node.nodeid, 0), LARGEST) - OVERHEAD
            text += f"   LINK: {link.number} udp ({way}) enabled {state} mtu: {max(mtu, 0) or 485}\n"
        text += "\n"
    return text
