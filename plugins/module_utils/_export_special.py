# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a live cluster cannot be told from a module's spec alone: links, disks, guests, Ceph's daemons.

Private to this collection. Every function gives the value of one variable, or None where there is nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_interface
from typing import Any

from ._api import Api
from ._ceph_config import settings
from ._ceph_crush import crush_map
from ._ceph_daemons import Daemons, Managers, Monitors
from ._ceph_flags import present as present_flags
from ._ceph_osds import EVERY
from ._ceph_pools import POOLS, Pools
from ._errors import ApiError
from ._guests import GUESTS, Guests
from ._membership import read_links, read_membership
from ._plan import Wanted
from ._pure.crush_map import Rule
from ._pure.lists import natural_key, natural_sorted
from ._pure.units import parse_size
from ._spec import Item, Spec
from ._values import join_properties, split_properties

_DISK = re.compile(r"(scsi|virtio|sata|ide|efidisk|tpmstate)\d+")
_NET = re.compile(r"net\d+")
# an identity of this guest, or what the server keeps for itself
_OWN = frozenset({"digest", "vmgenid", "smbios1", "meta", "lock", "parent", "vmstate", "template", "snaptime"})
_GIB = 2**30
_PARTITION = re.compile(r"(?<=\w)-part1$")
_VDEVS = {"mirror": "mirror", "raidz1": "raidz", "raidz2": "raidz2", "raidz3": "raidz3"}


def element(spec: Spec, item: Mapping[str, Any]) -> Item:
    """An object as an element of the module's list: what names it, and what differs from the server's defaults."""
    return {
        field.name: item[field.name]
        for field in spec.fields
        if not field.secret
        and item.get(field.name) is not None
        and (field.name in spec.keys or item[field.name] != field.default)
    }


def cluster_name(api: Api) -> str | None:
    """What the cluster is called; None on a standalone node."""
    return read_membership(api.client).cluster


def links(api: Api) -> list[Item] | None:
    """The links with their networks, as the nodes' interfaces have them, and their priorities."""
    if read_membership(api.client).cluster is None:
        return None
    by_node = read_links(api.client)
    interfaces = (api.client.get("/cluster/config/totem") or {}).get("interface") or {}
    networks = {node: list(_networks(api, node)) for node in by_node if node in api.nodes and api.online(node)}
    found = []
    for number in sorted({number for known in by_node.values() for number in known}):
        network = next(
            (
                str(interface.network)
                for node, known in by_node.items()
                for interface in networks.get(node, ())
                if number in known and _is_address(known[number]) and ip_address(known[number]) in interface.network
            ),
            None,
        )
        priority = (interfaces.get(str(number)) or {}).get("knet_link_priority")
        link: Item = {"number": number, "network": network, "priority": int(priority) if priority else None}
        found.append({name: value for name, value in link.items() if value is not None})
    # without a network a link's addresses are the nodes' own, in their pve_link_addresses
    return found if all("network" in link for link in found) else None


def _networks(api: Api, node: str) -> Iterator[Any]:
    for interface in api.client.get(f"/nodes/{node}/network"):
        for name in ("cidr", "cidr6"):
            if interface.get(name):
                yield ip_interface(interface[name])


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def guests(api: Api) -> list[Item] | None:
    """Virtual machines with their disks by size, so that they can be made anew elsewhere. Templates are left out."""
    vmids = [
        vmid for vmid, guest in sorted(api.guests.items()) if guest["type"] == "qemu" and not guest.get("template")
    ]
    collection = Guests(api, {"guests": []})
    seen = collection.observe([Wanted({"vmid": vmid, "started": True}, "") for vmid in vmids])
    return [_guest(item) for _key, item in sorted(seen.items())] or None


def _guest(item: Item) -> Item:
    config: Mapping[str, Any] = item["_config"]
    found = element(GUESTS, {name: value for name, value in item.items() if not name.startswith("_")})
    known = {field.api_name for field in GUESTS.fields}
    disks = {name: _disk(str(value)) for name, value in sorted(config.items()) if _DISK.fullmatch(name)}
    nets = {name: str(value) for name, value in sorted(config.items()) if _NET.fullmatch(name)}
    others = {
        name: value
        for name, value in sorted(config.items())
        if name not in {*known, *disks, *nets, *_OWN} and not name.startswith(("unused", "snap"))
    }
    for name, group in (("disks", disks), ("nets", nets), ("options", others)):
        if group:
            found[name] = group
    if not item["_managed"]:
        found["started"] = bool(item["_running"])
    return found


def _disk(text: str) -> str:
    """``tank:vm-101-disk-0,size=8G`` as ``tank:8``: how it is made, not what it was called."""
    settings_of = split_properties(text, "")
    volume, size = settings_of.pop("", ""), settings_of.pop("size", None)
    storage, colon, _name = volume.partition(":")
    if colon and size and settings_of.get("media") != "cdrom":
        amount = repr(parse_size(size) / _GIB)
        if "e" not in amount:
            volume = f"{storage}:{amount.removesuffix('.0')}"
    return join_properties({**settings_of, "": volume})


def zfs_pools(api: Api) -> list[Item] | None:
    """Pools with their disks; one that every node has alike is one element for ``*``."""
    online = [node for node in natural_sorted(api.nodes) if api.online(node)]
    pools: dict[tuple[Any, ...], list[str]] = {}
    for node in online:
        for pool in api.client.get(f"/nodes/{node}/disks/zfs"):
            detail = api.client.get(f"/nodes/{node}/disks/zfs/{pool['name']}")
            level, devices = _layout(detail.get("children") or [])
            pools.setdefault((str(pool["name"]), level, tuple(devices)), []).append(node)
    found = []
    for (name, level, paths), nodes in sorted(pools.items(), key=lambda pair: (pair[0][0], natural_key(pair[1][0]))):
        entry = {"name": name, **({"raidlevel": level} if level else {}), "devices": list(paths)}
        everywhere = len(nodes) == len(api.nodes) > 1
        found += [{"node": node, **entry} for node in ([EVERY] if everywhere else nodes)]
    return found or None


def _layout(tree: list[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The level and the disks of a pool from ``zpool status`` as the API has it."""
    top = [each for pool in tree for each in pool.get("children") or [pool]]
    disks = [disk for each in top for disk in _leaves(each)]
    kinds = {str(each["name"]).partition("-")[0] for each in top if each.get("children")}
    if not kinds:
        return "single", disks
    kind = kinds.pop()
    if kind == "mirror" and len(top) > 1:
        return "raid10", disks
    return _VDEVS.get(kind, kind.partition(":")[0].replace("draid1", "draid")), disks


def _leaves(entry: Mapping[str, Any]) -> Iterator[str]:
    below = entry.get("children") or []
    if not below:
        name = str(entry["name"])
        # the server makes a partition of the whole disk
        yield _PARTITION.sub("", name if name.startswith("/") else f"/dev/{name}")
    for each in below:
        yield from _leaves(each)


def has_ceph(api: Api) -> bool:
    """Whether Ceph is configured."""
    try:
        return bool(api.client.get("/nodes/localhost/ceph/cfg/raw"))
    except ApiError as error:
        if error.node_offline or error.status in (401, 403):
            raise
        # neither packages nor a configuration
        return False


def ceph(api: Api) -> Item | None:
    """Release and networks."""
    if not has_ceph(api):
        return None
    present = settings(api)
    found = {"network": present.get("public_network"), "cluster_network": present.get("cluster_network")}
    version = str((api.client.get("/cluster/ceph/metadata") or {}).get("version") or "")
    release = next((name for name in _RELEASES if name in version or version.startswith(_RELEASES[name])), None)
    release = release or _release(api)
    return {name: value for name, value in {"release": release, **found}.items() if value}


_RELEASES = {"quincy": "17.", "reef": "18.", "squid": "19.", "tentacle": "20."}


def _release(api: Api) -> str | None:
    daemons = api.client.get("/nodes/localhost/ceph/mon") or []
    versions = {str(each.get("ceph_version_short") or each.get("ceph_version") or "") for each in daemons}
    return next((name for name, prefix in _RELEASES.items() for each in versions if each.startswith(prefix)), None)


def monitors(api: Api) -> list[str] | None:
    """Names of the nodes with a monitor."""
    return _daemons(api, Monitors)


def managers(api: Api) -> list[str] | None:
    """Names of the nodes with a manager."""
    return _daemons(api, Managers)


def _daemons(api: Api, kind: type[Daemons]) -> list[str] | None:
    if not has_ceph(api):
        return None
    return natural_sorted(str(item["node"]) for item in kind(api, {}).observe([]).values()) or None


def osds(api: Api) -> list[Item] | None:
    """The disks with an OSD, node by node."""
    if not has_ceph(api):
        return None
    found = []
    for node in natural_sorted(api.nodes):
        if not api.online(node):
            continue
        disks = api.client.get(f"/nodes/{node}/disks/list", skipsmart=1)
        paths = [str(disk["devpath"]) for disk in disks if int(disk.get("osdid", -1)) >= 0]
        if paths:
            found.append({"node": node, "devices": natural_sorted(paths)})
    return found or None


def ceph_flags(api: Api) -> dict[str, bool] | None:
    """The flags that are set; others are left to whoever sets them for a while."""
    if not has_ceph(api):
        return None
    return {name: True for name, is_set in sorted(present_flags(api).items()) if is_set} or None


def ceph_pools(api: Api) -> list[Item] | None:
    """Pools of users; their placement groups are Ceph's own business."""
    if not has_ceph(api):
        return None
    seen = Pools(api, {"pools": []}).observe([])
    found = [element(POOLS, item) for _key, item in sorted(seen.items()) if not str(item["name"]).startswith(".")]
    return [{name: each[name] for name in each if name != "pg_num"} for each in found] or None


def crush_buckets(api: Api) -> list[Item] | None:
    """Buckets above the hosts, and hosts that stand in one."""
    present = crush_map(api, "export") if has_ceph(api) else None
    found = []
    for bucket in present.buckets.values() if present else ():
        above = present.parent(bucket.name) if present else None
        plain_host = bucket.type == "host" and (above is None or above.type == "root")
        if plain_host or bucket.name == "default" or "~" in bucket.name:
            continue
        location = {above.type: above.name} if above else {}
        found.append({"name": bucket.name, "type": bucket.type, **({"location": location} if location else {})})
    # what others stand in is made first
    order = ("root", "region", "zone", "datacenter", "room", "pod", "pdu", "row", "rack", "chassis", "host")
    return sorted(found, key=lambda entry: order.index(entry["type"]) if entry["type"] in order else 0) or None


def crush_rules(api: Api) -> list[Item] | None:
    """Rules of the forms that the module ceph_crush makes; Ceph's own first rule is left out."""
    present = crush_map(api, "export") if has_ceph(api) else None
    found = [
        _crush_rule(rule) for rule in (present.rules.values() if present else ()) if rule.name != "replicated_rule"
    ]
    return [rule for rule in found if rule] or None


def _crush_rule(rule: Rule) -> Item | None:
    steps = list(rule.steps)
    across = steps.pop(0)[2] if len(steps) == 2 and steps[0][0] == "choose" else None
    if len(steps) != 1:
        return None
    _operation, count, domain = steps[0]
    given = {
        "name": rule.name,
        "root": rule.root if rule.root != "default" else None,
        "failure_domain": domain,
        "device_class": rule.device_class,
        "across": across,
        "copies_in_each": count or None,
    }
    return {name: value for name, value in given.items() if value is not None}
