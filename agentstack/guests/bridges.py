# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may plug a guest's network cards into what.

Source: pve-admin-guide, "User Management", privilege `SDN.Use` ("Access SDN vnets and local network bridges") and the
paths below `/sdn/zones`. Bridges of the nodes are in the zone `localnetwork`; a VLAN is a path below its bridge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from agentstack.sdn.config import VNETS

if TYPE_CHECKING:
    from agentstack.access.identity import Identity
    from agentstack.host import Host

LOCAL_ZONE = "localnetwork"
PRIVILEGE = "SDN.Use"

_CARD = re.compile(r"net\d+")


def check_bridges(host: Host, identity: Identity, options: Mapping[str, str]) -> None:
    """Raise 403 unless the caller may use the networks of all cards among a guest's options."""
    for key, value in sorted(options.items()):
        if _CARD.fullmatch(key):
            for path in _paths(host, dict(part.partition("=")[::2] for part in value.split(","))):
                host.access.check(identity, path, [PRIVILEGE])


def _paths(host: Host, card: Mapping[str, str]) -> Iterator[str]:
    bridge = card.get("bridge")
    if not bridge:
        return
    entries, _ = VNETS.file.read(host)
    zone = entries[bridge].values["zone"] if bridge in entries else LOCAL_ZONE
    whole = f"/sdn/zones/{zone}/{bridge}"
    vlans = [card["tag"]] if card.get("tag") else []
    for part in (card.get("trunks") or "").split(";"):
        first, _, last = part.partition("-")
        vlans += [str(vlan) for vlan in range(int(first), int(last or first) + 1)] if first else []
    yield from [f"{whole}/{vlan}" for vlan in vlans] or [whole]
