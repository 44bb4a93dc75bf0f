# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a host's firewall lets connect to one of its TCP ports (facts §19).

Rules are mappings in the API's words: type, action, enable, macro, proto, source, dest, sport, dport, iface.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .lists import split_list

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Rule = Mapping[str, Any]
Verdict: TypeAlias = "tuple[Network, bool]"
"""Where connections come from, and whether they are let in."""

PORTS = {"ssh": 22, "https": 443, "http": 80}
"""Names that rules have for ports, as far as they matter here; a macro of the name stands for TCP to the port."""

MANAGEMENT = "management"
"""The IP set whose members may always manage the hosts, unless a rule says otherwise."""
MANAGEMENT_PORTS = (22, 3128, 8006)
EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@dataclass(frozen=True)
class Names:
    """What rules can refer to, all names in lower case. `sets`: members as (network or alias, taken out)."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, Sequence[tuple[str, bool]]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[Rule]] = field(default_factory=dict)


def verdicts(rules: Iterable[Rule], names: Names, *, address: str, port: int, iface: str = "") -> list[Verdict]:
    """What the rules say of connections to `port` at `address` of the interface `iface`, the first that fits decides.

    Rules for other ports, protocols and addresses are left out, and so are those for other interfaces.
    """
    found: list[Verdict] = []
    for rule in rules:
        if not _truth(rule.get("enable", 1)) or (rule.get("iface") and rule["iface"] != iface):
            continue
        kind = str(rule.get("type", "in")).lower()
        if kind == "group":
            inner = names.groups.get(str(rule["action"]).lower(), ())
            found += verdicts(inner, names, address=address, port=port, iface=iface)
        elif kind == "in" and _fits(rule, names, address, port):
            accept = str(rule["action"]).upper() == "ACCEPT"
            sources = networks(rule["source"], names) if rule.get("source") else list(EVERYWHERE)
            found += [(network, accept) for network in sources]
    return found


def management(names: Names, local: Iterable[str], port: int) -> list[Verdict]:
    """Those who may manage the host where no rule decides: the set `management`, and the hosts' own networks."""
    if port not in MANAGEMENT_PORTS:
        return []
    allowed = [*networks(f"+{MANAGEMENT}", names), *(ipaddress.ip_network(each, strict=False) for each in local)]
    return [(network, True) for network in allowed]


def decide(found: Iterable[Verdict], source: str) -> bool | None:
    """Whether a connection from `source` is let in; None if none of the rules is about it."""
    address = ipaddress.ip_address(source)
    return next((accept for network, accept in found if address in network), None)


def networks(text: str, names: Names) -> list[Network]:
    """The networks of a rule's `source` or `dest`: addresses, networks, ranges, aliases, `+sets`; unknown names: none.

    What a set takes out is taken out.
    """
    found: list[Network] = []
    for part in split_list(text):
        name = part.lstrip("+").rpartition("/")[2].lower()
        if part.startswith("+"):
            members = names.sets.get(name, ())
            inside = [each for member, out in members if not out for each in networks(member, names)]
            for member, out in members:
                for hole in networks(member, names) if out else ():
                    inside = [rest for each in inside for rest in _without(each, hole)]
            found += inside
        elif (alias := names.aliases.get(name)) is not None and not part[0].isdecimal():
            found += networks(alias, names)
        else:
            found += _written(part)
    return found


def _written(text: str) -> list[Network]:
    try:
        low, dash, high = text.partition("-")
        if not dash:
            return [ipaddress.ip_network(text, strict=False)]
        ends = ipaddress.ip_address(low), ipaddress.ip_address(high)
        return list(ipaddress.summarize_address_range(*ends))
    except ValueError:
        return []


def _without(network: Network, hole: Network) -> list[Network]:
    if network.version != hole.version or not network.overlaps(hole):
        return [network]
    if network.subnet_of(hole):  # type: ignore[arg-type]
        return []
    return list(network.address_exclude(hole))  # type: ignore[arg-type]


def _truth(value: Any) -> bool:
    return str(value).lower() in ("1", "true", "yes", "on")


def _fits(rule: Rule, names: Names, address: str, port: int) -> bool:
    if rule.get("sport") or str(rule.get("proto") or "tcp").lower() not in ("tcp", "6"):
        return False
    if rule.get("macro"):
        if PORTS.get(str(rule["macro"]).lower()) != port:
            return False
    elif rule.get("dport") and not any(_covers(part, port) for part in split_list(str(rule["dport"]))):
        return False
    if not rule.get("dest"):
        return True
    return any(ipaddress.ip_address(address) in network for network in networks(str(rule["dest"]), names))


def _covers(text: str, port: int) -> bool:
    low, _colon, high = text.partition(":")
    numbers = [PORTS.get(each.lower(), -1) if not each.isdecimal() else int(each) for each in (low, high or low)]
    return numbers[0] <= port <= numbers[1]
