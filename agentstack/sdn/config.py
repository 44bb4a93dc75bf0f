# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of /etc/pve/sdn: one a kind of object, and `.running-config`, what was applied last.

Objects are compared with what runs: `new`, `changed`, `deleted` are the states of what is pending.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentstack.sections import Entry, Kind, SectionFile, SectionType

if TYPE_CHECKING:
    from agentstack.host import Host

RUNNING = "sdn/.running-config"
LOCK = "domain-sdn"

_ZONE = frozenset({"dhcp", "dns", "dnszone", "ipam", "mtu", "nodes", "reversedns"})
_EVPN = frozenset(
    {
        *("advertise-subnets", "disable-arp-nd-suppression", "exitnodes", "exitnodes-local-routing"),
        *("exitnodes-primary", "fabric", "mac", "rt-import", "secondary-controllers", "vxlan-port"),
    }
)
_BGP = frozenset({"bgp-multipath-as-path-relax", "ebgp", "ebgp-multihop", "loopback"})
_IN_BOTH = frozenset({"bgp-mode", "fabric", "nodes", "peer-group-name", "peers", "route-map-in", "route-map-out"})


def _type(*required: str, optional: frozenset[str] = frozenset()) -> SectionType:
    return SectionType(required, frozenset(), optional)


@dataclass(frozen=True)
class ObjectKind:
    """One kind of object: what the API calls it, its key there, its file, what is written of it in texts."""

    name: str
    key: str
    label: str
    file: SectionFile
    applied: bool = True
    """Whether it takes effect only when it is applied."""


def _file(name: str, types: Mapping[str, SectionType], kinds: Mapping[str, Kind]) -> SectionFile:
    return SectionFile(f"sdn/{name}.cfg", LOCK, types, kinds)


_FLAGS: tuple[str, ...] = (
    *("advertise-subnets", "bridge-disable-mac-learning", "disable-arp-nd-suppression", "exitnodes-local-routing"),
    *("bgp-multipath-as-path-relax", "ebgp", "isolate-ports", "snat", "vlanaware"),
)
_NUMBERS = ("asn", "dp-id", "ebgp-multihop", "mtu", "reversemaskv6", "section", "tag", "ttl", "vrf-vxlan", "vxlan-port")
_TYPED: dict[str, Kind] = {
    **dict[str, Kind].fromkeys(_FLAGS, "boolean"),
    **dict[str, Kind].fromkeys(_NUMBERS, "integer"),
}

ZONES = ObjectKind(
    "zones",
    "zone",
    "zone",
    _file(
        "zones",
        {
            "simple": _type(optional=_ZONE),
            "vlan": _type("bridge", optional=_ZONE | {"bridge-disable-mac-learning"}),
            "qinq": _type("bridge", "tag", optional=_ZONE | {"bridge-disable-mac-learning", "vlan-protocol"}),
            "vxlan": _type(optional=_ZONE | {"fabric", "peers", "vxlan-port"}),
            "evpn": _type("controller", "vrf-vxlan", optional=_ZONE | _EVPN),
            "faucet": _type("controller", "dp-id", optional=_ZONE),
        },
        _TYPED,
    ),
)
VNETS = ObjectKind(
    "vnets",
    "vnet",
    "vnet",
    _file("vnets", {"vnet": _type("zone", optional=frozenset({"alias", "isolate-ports", "tag", "vlanaware"}))}, _TYPED),
)
SUBNETS = ObjectKind(
    "subnets",
    "subnet",
    "subnet",
    _file(
        "subnets",
        {
            "subnet": _type(
                "vnet", optional=frozenset({"dhcp-dns-server", "dhcp-range", "dnszoneprefix", "gateway", "snat"})
            )
        },
        _TYPED,
    ),
)
CONTROLLERS = ObjectKind(
    "controllers",
    "controller",
    "controller",
    _file(
        "controllers",
        {
            "bgp": _type("asn", "node", optional=_BGP | _IN_BOTH),
            "evpn": _type("asn", optional=_IN_BOTH),
            "faucet": _type(),
            "isis": _type("isis-domain", "isis-ifaces", "isis-net", "node", optional=frozenset({"loopback"})),
        },
        _TYPED,
    ),
)
IPAMS = ObjectKind(
    "ipams",
    "ipam",
    "ipam",
    _file(
        "ipams",
        {
            "pve": _type(),
            "netbox": _type("token", "url", optional=frozenset({"fingerprint"})),
            "phpipam": _type("section", "token", "url", optional=frozenset({"fingerprint"})),
        },
        _TYPED,
    ),
    applied=False,
)
DNS = ObjectKind(
    "dns",
    "dns",
    "dns",
    _file(
        "dns",
        {"powerdns": _type("key", "url", optional=frozenset({"fingerprint", "reversemaskv6", "reversev6mask", "ttl"}))},
        _TYPED,
    ),
    applied=False,
)
KINDS = (ZONES, VNETS, SUBNETS, CONTROLLERS, IPAMS, DNS)
APPLIED = tuple(kind for kind in KINDS if kind.applied)

Objects = dict[str, dict[str, Any]]
"""Values of objects, `type` among them, by id."""


def configured(host: Host, kind: ObjectKind) -> tuple[Objects, str]:
    """The objects of a kind and the digest of their file."""
    entries, digest = kind.file.read(host)
    if kind is IPAMS:
        entries.setdefault("pve", Entry("pve", "pve"))
    return {entry.id: {"type": entry.type, **entry.values} for entry in entries.values()}, digest


def running(host: Host) -> dict[str, Any]:
    """What was applied last: `version`, and `{"ids": objects}` for every kind."""
    text = host.files.read_text(RUNNING, default="")
    found: dict[str, Any] = json.loads(text) if text.strip() else {"version": 0}
    return found


def running_objects(host: Host, kind: ObjectKind) -> Objects:
    """The objects of a kind that run."""
    found: Objects = running(host).get(kind.name, {}).get("ids", {})
    return found


def pending(host: Host, kind: ObjectKind) -> Objects:
    """All objects, those to be deleted included: as they run, with `state` and `pending` where that will change."""
    wanted, _ = configured(host, kind)
    present = running_objects(host, kind)
    found: Objects = {}
    for ident in {**present, **wanted}:
        old, new = present.get(ident), wanted.get(ident)
        if old is None and new is not None:
            found[ident] = {**new, "state": "new", "pending": {k: v for k, v in new.items() if k != "type"}}
        elif new is None and old is not None:
            found[ident] = {**old, "state": "deleted"}
        elif old is not None and new is not None:
            changes = {name: new.get(name, "deleted") for name in {**old, **new} if old.get(name) != new.get(name)}
            found[ident] = {**old, **({"state": "changed", "pending": changes} if changes else {})}
    return found


def has_pending(host: Host) -> bool:
    """Whether anything is configured that does not run yet."""
    return any(configured(host, kind)[0] != running_objects(host, kind) for kind in APPLIED)


async def apply(host: Host) -> int:
    """Let what is configured run; the version of what runs now."""
    version = int(running(host)["version"]) + 1
    found: dict[str, Any] = {"version": version}
    for kind in APPLIED:
        found[kind.name] = {"ids": configured(host, kind)[0]}
    await _make_directory(host)
    await host.files.write(RUNNING, json.dumps(found))
    return version


async def roll_back(host: Host) -> None:
    """Configure what runs."""
    for kind in APPLIED:
        values = running_objects(host, kind).items()
        await write(host, kind, [Entry(ident, each["type"], _without_type(each)) for ident, each in values])


async def write(host: Host, kind: ObjectKind, entries: list[Entry]) -> None:
    """Replace the file of a kind."""
    await _make_directory(host)
    await kind.file.write(host, entries)


async def _make_directory(host: Host) -> None:
    if not host.files.is_directory("sdn"):
        await host.files.mkdir("sdn", exist_ok=True)


def _without_type(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "type"}
