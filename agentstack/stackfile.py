# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a stack file into a `Stack`; every error names the line and the path in the file.

name: lab
net: 64                            # optional: 127.64.0.0/16; else --net, else the first free one
scale: 20                          # durations are divided by this
boot_time: 20s                     # from power on until a host's services start, in stack time
defaults: {version: "9.2", memory: 16G, cpus: 8, site: dc1}
networks: {mgmt: {}, ring1: {latency: 0.3ms}}
hosts:
  pve1: {kind: pve, disks: [{size: 32G}, {size: 64G, model: SSD-A, count: 2}]}
arrays: {nas1: {network: ring1, exports: {/export/vm: 500G}, targets: {"iqn.2026-01.test:san": [200G]}}}   # optional
authority: {validity: 90d}         # optional
start: fresh                       # or clustered: {name, nodes, links, guests: {100: {node: pve1, …}}}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from agentstack.reader import Reader, StackError, boolean, choice, integer, matching, number, repeated_key, text
from agentstack.stack import (
    Array,
    Authority,
    ClusterSpec,
    Disk,
    DiskType,
    DnsAccount,
    GuestSpec,
    HostSpec,
    Kind,
    Network,
    Nic,
    Stack,
    release_name,
    releases,
)
from agentstack.units import parse_duration, parse_size

HOST_NAME = matching(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", "a host name: letters, digits and -")
NETWORK_NAME = matching(r"[a-zA-Z][a-zA-Z0-9_-]{0,14}", "a network name: a letter, then letters, digits, - and _")
MODULE_NAME = matching(r"[A-Za-z0-9_]{1,56}", "the name of a kernel module")
NIC_NAME = matching(r"[a-z][a-z0-9]{0,10}", "the name of a network card: nic0, eno1")
STACK_NAME = matching(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,31}", "a stack name: letters, digits, . _ and -")
CLUSTER_NAME = matching(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,13}[a-zA-Z0-9])?", "a cluster name: at most 15 letters, digits, -")

FIRST_NUMBER: dict[Kind, int] = {"pve": 11, "pbs": 101, "witness": 151}
KINDS: tuple[Kind, ...] = ("pve", "pbs", "witness")
FIRST_ARRAY = 201
AUTHORITY = 241
EXPORT = matching(r"(/[A-Za-z0-9][A-Za-z0-9._-]*)+", "an absolute path")
TARGET = matching(r"(iqn|eui|naa)\.[A-Za-z0-9.:-]+", "an iSCSI name: iqn.…")
DOMAIN = matching(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", "a domain in lower case")
DNS_LABEL = matching(r"[a-z0-9-]{1,63}", "a name without dots")
HMAC_KEY = matching(r"[A-Za-z0-9_-]{43,}", "a key of at least 32 bytes in base64url")
KEY_ID = matching(r"[A-Za-z0-9._-]+", "the id of a key")
HA_STATES = ("started", "stopped", "disabled", "ignored")

DNS_ACCOUNT = {"subdomain": DNS_LABEL, "username": text, "password": text}

DISK_TYPES: dict[DiskType, dict[str, Any]] = {
    "hdd": {"model": "HDD-7K2", "vendor": "ATA", "rpm": 7200, "wearout": None},
    "ssd": {"model": "SSD-960", "vendor": "ATA", "rpm": 0, "wearout": 100},
    "nvme": {"model": "NVME-960", "vendor": "unknown", "rpm": 0, "wearout": 100},
}


def load(path: Path, net: int | None = None) -> Stack:
    """Read and resolve the file at `path`; raises StackError. `net` is used where the file names none (else 0)."""
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from error
    return loads(source, str(path), net)


def loads(source: str, name: str = "stack.yml", net: int | None = None) -> Stack:
    """As `load`, for the text of a stack file; `name` is what errors call it."""
    try:
        node = yaml.compose(source, Loader=yaml.SafeLoader)
        data = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise StackError(f"{name}: not valid YAML: {error}") from error
    if twice := repeated_key(node):
        raise StackError(f"{name}:{twice.start_mark.line + 1}: {twice.value} stands twice in one mapping")
    if not isinstance(data, dict):
        raise StackError(f"{name}: a mapping with at least `hosts` is expected")
    return _stack(Reader(data, (), name, node), net)


def _stack(reader: Reader, net: int | None) -> Stack:
    networks = _networks(reader)
    hosts = _hosts(reader, networks)
    taken: set[int | str] = {host.number for host in hosts.values()} | set(hosts)
    arrays = _arrays(reader, tuple(networks), set(taken))
    stack = Stack(
        name=reader.take("name", STACK_NAME, "stack"),
        net=reader.take("net", integer(1, 254), net or 0),
        scale=reader.take("scale", number(0.1, 1000), 1.0),
        boot_time=reader.take("boot_time", parse_duration, 20.0),
        networks=networks,
        hosts=hosts,
        clusters=_clusters(reader, hosts, tuple(networks)),
        arrays=arrays,
        authority=_authority(reader, hosts, taken | {each for a in arrays.values() for each in (a.number, a.name)}),
    )
    reader.done()
    if net and stack.net != net:
        raise reader.error(f"is {stack.net}, but {net} was asked for", "net")
    return stack.on_net(stack.net)


def _networks(reader: Reader) -> dict[str, Network]:
    networks: dict[str, Network] = {}
    for index, (name, entry) in enumerate(reader.entries("networks", NETWORK_NAME, {"mgmt": {}})):
        networks[name] = Network(
            name=name,
            index=index,
            latency=entry.take("latency", parse_duration, 0.0),
            jitter=entry.take("jitter", parse_duration, 0.0),
            loss=entry.take("loss", number(0, 1), 0.0),
            mtu=entry.take("mtu", integer(576, 65520), 1500),
            speed=entry.take("speed", integer(10, 400_000), 10_000),
        )
        entry.done()
    return networks


def _hosts(reader: Reader, networks: dict[str, Network]) -> dict[str, HostSpec]:
    defaults = reader.section("defaults", {})
    common = {
        "memory": defaults.take("memory", parse_size, 16 * 2**30),
        "cpus": defaults.take("cpus", integer(1, 8192), 8),
        "site": defaults.take("site", text, "dc1"),
        "swap": defaults.take("swap", parse_size, 0),
        "timezone": defaults.take("timezone", text, "UTC"),
    }
    default_release = defaults.take("version", text, None)
    known = {name for kind in KINDS for name in releases(kind)}
    if default_release is not None and default_release not in known:
        raise defaults.error(f"{default_release!r} is not one of {', '.join(sorted(known))}", "version")
    defaults.done()

    hosts: dict[str, HostSpec] = {}
    numbers: dict[int, str] = {}
    for name, entry in reader.entries("hosts", HOST_NAME):
        kind: Kind = entry.take("kind", choice(*KINDS), "pve")
        known_releases = releases(kind)
        # the common release is the hypervisors' most of the time; the other kinds of host then take their own default
        default = default_release if default_release in known_releases else next(iter(known_releases))
        version = known_releases[entry.take("version", choice(*known_releases), default)].version
        position = FIRST_NUMBER[kind] + sum(host.kind == kind for host in hosts.values())
        last_byte = entry.take("address", integer(2, 254), position)
        if last_byte in numbers:
            raise entry.error(f"{last_byte} is already the address of {numbers[last_byte]}", "address")
        numbers[last_byte] = name
        nics = _nics(entry, networks, name)
        watchdog = entry.section("watchdog", {})
        hosts[name] = HostSpec(
            name=name,
            kind=kind,
            release=release_name(kind, version),
            version=version,
            number=last_byte,
            memory=entry.take("memory", parse_size, common["memory"]),
            cpus=entry.take("cpus", integer(1, 8192), common["cpus"]),
            site=entry.take("site", text, common["site"]),
            clock_offset=entry.take("clock_offset", number(-1e9, 1e9), 0.0),
            disks=_disks(entry, name),
            addresses=dict.fromkeys(nics, ""),
            nics=nics,
            swap=entry.take("swap", parse_size, common["swap"]),
            swap_used=entry.take("swap_used", parse_size, 0),
            load=entry.take("load", number(0, 1e6), None),
            watchdog=watchdog.take("module", MODULE_NAME, "softdog"),
            watchdog_device=watchdog.take("device", boolean, True),
            timezone=entry.take("timezone", text, common["timezone"]),
            packages=entry.words("packages", text, ()),
        )
        watchdog.done()
        if hosts[name].swap_used > hosts[name].swap:
            raise entry.error("is more than there is swap", "swap_used")
        entry.done()
    if not hosts:
        raise reader.error("at least one host is needed", "hosts")
    return hosts


def _nics(host: Reader, networks: dict[str, Network], host_name: str) -> dict[str, Nic]:
    """The host's cards by network: `networks` is a list of names, or a mapping of names to what the cards are like."""
    names = tuple(networks)
    if isinstance(host.data.get("networks"), dict):
        entries = dict(host.entries("networks", choice(*names)))
    else:
        entries = {name: Reader({}, (), "", None) for name in host.words("networks", choice(*names), names)}
    if names[0] not in entries:
        raise host.error(f"every host needs the management network ({names[0]})", "networks")
    nics: dict[str, Nic] = {}
    for network in (network for network in networks.values() if network.name in entries):
        entry = entries[network.name]
        name = entry.take("nic", NIC_NAME, f"nic{len(nics)}")
        shared = any(nic.name == name for nic in nics.values())
        mark = hashlib.sha256(f"{host_name}/{name}".encode()).hexdigest()
        nics[network.name] = Nic(
            name=name,
            speed=entry.take("speed", integer(10, 400_000), network.speed),
            mtu=entry.take("mtu", integer(576, 65520), network.mtu),
            driver=entry.take("driver", MODULE_NAME, "ixgbe"),
            mac=":".join(["bc", "24", "11", mark[0:2], mark[2:4], mark[4:6]]),
            vlan=entry.take("vlan", integer(1, 4094), 10 * network.index if shared else None),
        )
        entry.done()
    return nics


def _disks(host: Reader, host_name: str) -> tuple[Disk, ...]:
    disks: list[Disk] = []
    for entry in host.items("disks", [{"size": "32G"}]):
        kind: DiskType = entry.take("type", choice(*DISK_TYPES), "ssd")
        known = DISK_TYPES[kind]
        count = entry.take("count", integer(1, 64), 1)
        size = entry.take("size", parse_size)
        model = entry.take("model", text, known["model"])
        vendor = entry.take("vendor", text, known["vendor"])
        serial = entry.take("serial", text, None)
        wearout = entry.take("wearout", integer(0, 100), known["wearout"])
        health = entry.take("health", choice("PASSED", "FAILED", "UNKNOWN"), "PASSED")
        entry.done()
        if serial and count > 1:
            raise entry.error("disks that share one entry cannot share one serial number", "serial")
        for _ in range(count):
            name = _disk_name(kind, disks)
            # stable over restarts and different on every host, as printed on a real disk's label
            mark = hashlib.sha256(f"{host_name}/{name}".encode()).hexdigest()
            disks.append(
                Disk(
                    name=name,
                    size=size,
                    type=kind,
                    model=model,
                    vendor=vendor,
                    serial=serial or f"S{mark[:11].upper()}",
                    wwn=f"eui.{mark[:16]}" if kind == "nvme" else f"0x5{mark[:15]}",
                    rpm=known["rpm"],
                    wearout=wearout,
                    health=health,
                )
            )
    return tuple(disks)


def _disk_name(kind: DiskType, before: list[Disk]) -> str:
    if kind == "nvme":
        return f"nvme{sum(disk.type == 'nvme' for disk in before)}n1"
    position = sum(disk.type != "nvme" for disk in before)
    prefix = chr(ord("a") + position // 26 - 1) if position >= 26 else ""
    return f"sd{prefix}{chr(ord('a') + position % 26)}"


def _arrays(reader: Reader, networks: tuple[str, ...], taken: set[int | str]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for position, (name, entry) in enumerate(reader.entries("arrays", HOST_NAME, {})):
        last_byte = entry.take("address", integer(2, 254), FIRST_ARRAY + position)
        if taken & {name, last_byte}:
            raise entry.error(f"{name if name in taken else last_byte} is already that of a host", "address")
        taken |= {name, last_byte}
        exports = entry.section("exports", {})
        targets = entry.section("targets", {})
        arrays[name] = Array(
            name=name,
            network=entry.take("network", choice(*networks), networks[0]),
            number=last_byte,
            exports={path: exports.take(path, parse_size) for path in _names(exports, EXPORT)},
            targets={target: targets.words(target, parse_size, ()) for target in _names(targets, TARGET)},
        )
        exports.done()
        targets.done()
        entry.done()
    return arrays


def _authority(reader: Reader, hosts: dict[str, HostSpec], taken: set[int | str]) -> Authority | None:
    if reader.data.get("authority") is None:
        reader.take("authority", text, None)
        return None
    entry = reader.section("authority")
    external, names = entry.section("external_accounts", {}), entry.section("names", {})
    dns: dict[str, DnsAccount] = {}
    for domain, account in entry.entries("dns", DOMAIN, {}):
        dns[domain] = DnsAccount(*(account.take(key, convert) for key, convert in DNS_ACCOUNT.items()))
        account.done()
    authority = Authority(
        name=entry.take("name", HOST_NAME, "ca"),
        number=entry.take("address", integer(2, 254), AUTHORITY),
        validity=entry.take("validity", parse_duration, 90 * 86400.0),
        http_port=entry.take("http_port", integer(1, 65535), 80),
        external_accounts={kid: external.take(kid, HMAC_KEY) for kid in _names(external, KEY_ID)},
        names={domain: names.take(domain, choice(*hosts)) for domain in _names(names, DOMAIN)},
        dns=dns,
    )
    external.done()
    names.done()
    entry.done()
    if taken & {authority.name, authority.number}:
        raise entry.error("its name or its address is already that of a host or an array", "name")
    return authority


def _names(reader: Reader, name: Callable[[object], str]) -> list[str]:
    found = []
    for raw in reader.data:
        try:
            found.append(name(raw))
        except ValueError as error:
            raise reader.error(str(error), str(raw)) from error
    return found


def _clusters(reader: Reader, hosts: dict[str, HostSpec], networks: tuple[str, ...]) -> tuple[ClusterSpec, ...]:
    if reader.data.get("start", "fresh") == "fresh":
        reader.take("start", text, "fresh")
        return ()
    start = reader.section("start")
    raw = start.data.get("clustered")
    entries = list(start.items("clustered")) if isinstance(raw, list) else [start.section("clustered")]
    start.done()
    clusters: list[ClusterSpec] = []
    for entry in entries:
        cluster = _cluster(entry, hosts, networks)
        for other in clusters:
            if both := set(other.nodes) & set(cluster.nodes):
                raise entry.error(f"{min(both)} is already a node of {other.name}", "nodes")
        clusters.append(cluster)
    return tuple(clusters)


def _cluster(entry: Reader, hosts: dict[str, HostSpec], networks: tuple[str, ...]) -> ClusterSpec:
    pve = tuple(host.name for host in hosts.values() if host.kind == "pve")
    nodes = entry.words("nodes", choice(*pve), pve)
    cluster = ClusterSpec(
        name=entry.take("name", CLUSTER_NAME),
        nodes=nodes,
        links=entry.words("links", choice(*networks), networks[:1]),
        description=entry.take("description", text, None),
        guests=tuple(
            _guest(vmid, guest, nodes) for vmid, guest in entry.entries("guests", integer(100, 999_999_999), {})
        ),
    )
    entry.done()
    if not 1 <= len(cluster.links) <= 8:
        raise entry.error("a cluster has one to eight links", "links")
    return cluster


def _guest(vmid: int, entry: Reader, nodes: tuple[str, ...]) -> GuestSpec:
    config = entry.data.get("config", {})
    if not isinstance(config, Mapping):
        raise entry.error("a mapping of configuration keys is expected", "config")
    entry.take("config", lambda value: value, {})
    guest = GuestSpec(
        vmid=vmid,
        type=entry.take("type", choice("vm", "ct"), "vm"),
        name=entry.take("name", HOST_NAME, f"guest{vmid}"),
        node=entry.take("node", choice(*nodes)),
        memory=entry.take("memory", parse_size, 512 * 2**20),
        cores=entry.take("cores", integer(1, 512), 1),
        disks=entry.words("disks", parse_size, ()),
        running=entry.take("running", boolean, False),
        ha=entry.take("ha", choice(*HA_STATES), None),
        tags=entry.words("tags", matching(r"[a-z0-9_][a-z0-9_.+-]*", "a tag"), ()),
        config={str(key): str(value) for key, value in config.items()},
    )
    entry.done()
    return guest
