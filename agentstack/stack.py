# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack is made of: its hosts, networks, disks and guests, as resolved from a stack file (`stackfile`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal["pve", "pbs", "witness"]
DiskType = Literal["hdd", "ssd", "nvme"]

FIRST_NET, LAST_NET = 64, 127
"""Second byte of the loopback networks that stacks choose from by themselves."""

SSH_PORT = 2222
QNETD_PORT = 5403
ACME_PORT = 14000
"""Where the authority answers: real ones do on 443, which only root may listen on."""
API_PORTS: dict[Kind, int] = {"pve": 8006, "pbs": 8007}


@dataclass(frozen=True)
class Release:
    """What a release of a product says of itself. `repoid`: the commit that it was built from, 16 hex digits."""

    version: str
    repoid: str
    kernel: str
    earlier: tuple[Release, ...] = ()
    """What came before it, the oldest first: hosts may begin with one of these."""


RELEASES: dict[Kind, dict[str, Release]] = {
    "pve": {
        "9.2": Release(
            *("9.2.11", "14a22df35955d97d", "6.17.4-2-pve"),
            (Release("9.2.4", "5d1f0c7be2a94863", "6.17.2-1-pve"),),
        ),
        "8.4": Release(
            *("8.4.21", "2606ac850d46da29", "6.8.12-17-pve"),
            (Release("8.4.14", "b502d23c55afcba1", "6.8.12-15-pve"),),
        ),
    },
    "pbs": {"4.0": Release("4.0.22", "b3a7c9e1d2f40586", "6.17.4-2-pve")},
    "witness": {"13": Release("13.1", "", "6.12.48+deb13-amd64")},
}
"""The first release of a kind is its default (facts: head)."""


def releases(kind: Kind) -> dict[str, Release]:
    """What a host of that kind can be: by release (its newest point), and by the exact version of each point."""
    known = dict(RELEASES[kind])
    for release in RELEASES[kind].values():
        known |= {point.version: point for point in (*release.earlier, release)}
    return known


def release_name(kind: Kind, version: str) -> str:
    """The release that a version is a point of: 9.2 of 9.2.11."""
    return next(
        name
        for name, newest in RELEASES[kind].items()
        if version in (newest.version, *(point.version for point in newest.earlier))
    )


@dataclass(frozen=True)
class Disk:
    """One disk of a host. `size` in bytes; `rpm` 0 for flash; `wearout`: remaining life in percent, None if unknown."""

    name: str
    size: int
    type: DiskType
    model: str
    vendor: str
    serial: str
    wwn: str
    rpm: int
    wearout: int | None
    health: str


@dataclass(frozen=True)
class Network:
    """A network of the stack: 127.<net>.<index>.0/24. Latency and jitter in seconds, loss 0..1, speed in Mbit/s."""

    name: str
    index: int
    latency: float
    jitter: float
    loss: float
    mtu: int
    speed: int


@dataclass(frozen=True)
class Array:
    """External storage that hosts reach over a network. `number`: last byte of its address; sizes in bytes."""

    name: str
    network: str
    number: int
    exports: dict[str, int] = field(hash=False)
    """What it gives over NFS: path -> size."""
    targets: dict[str, tuple[int, ...]] = field(hash=False)
    """What it gives over iSCSI: name of the target -> sizes of its LUNs."""
    address: str = ""


@dataclass(frozen=True)
class DnsAccount:
    """An account of the authority's acme-dns service, to whose records the challenges of a domain are delegated."""

    subdomain: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that speaks ACME, on the management network. `number`: last byte of its address.

    `validity`: seconds for which its certificates are valid; `http_port`: where it fetches answers of http-01.
    """

    name: str
    number: int
    validity: float
    http_port: int
    external_accounts: dict[str, str] = field(hash=False, repr=False)
    """Keys by their id (HMAC, base64url); with any, an account is bound to one of them."""
    names: dict[str, str] = field(hash=False)
    """Domain -> host, besides the hosts' own names."""
    dns: dict[str, DnsAccount] = field(hash=False)
    """Domain -> where its `_acme-challenge` record is a CNAME to."""
    address: str = ""

    @property
    def url(self) -> str:
        """`https://ADDRESS:PORT`."""
        return f"https://{self.address}:{ACME_PORT}"

    @property
    def directory(self) -> str:
        """Where a client begins."""
        return f"{self.url}/directory"

    @property
    def ports(self) -> list[tuple[str, int]]:
        """Every (address, port) that it listens on."""
        return [(self.address, ACME_PORT)]


@dataclass(frozen=True)
class Nic:
    """A host's card on a network. `speed` in Mbit/s, `mtu` in bytes; `vlan`: the network comes tagged over a card that
    carries another one, too."""

    name: str
    speed: int
    mtu: int
    driver: str
    mac: str
    vlan: int | None = None

    @property
    def interface(self) -> str:
        """The interface that carries the network's packets."""
        return self.name if self.vlan is None else f"{self.name}.{self.vlan}"


@dataclass(frozen=True)
class HostSpec:
    """One host. `number` is the last byte of its addresses; `clock_offset` in seconds; `memory`, `swap` and how much
    of it is used in bytes; `load`: load average, None for what the guests need; `watchdog`: the module of its
    watchdog, and whether there is a device for it; `packages`: Debian packages that it has from the start.

    `addresses` and `nics` by network name, the management network first.
    """

    name: str
    kind: Kind
    release: str
    version: str
    number: int
    memory: int
    cpus: int
    site: str
    clock_offset: float
    disks: tuple[Disk, ...]
    addresses: dict[str, str] = field(hash=False)
    nics: dict[str, Nic] = field(hash=False, default_factory=dict)
    swap: int = 0
    swap_used: int = 0
    load: float | None = None
    watchdog: str = "softdog"
    watchdog_device: bool = True
    timezone: str = "UTC"
    packages: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The address of the API and of SSH."""
        return next(iter(self.addresses.values()))

    @property
    def api_url(self) -> str | None:
        """`https://ADDRESS:PORT`, or None for a host without an API."""
        port = API_PORTS.get(self.kind)
        return f"https://{self.address}:{port}" if port else None

    @property
    def ports(self) -> list[tuple[str, int]]:
        """Every (address, port) that the host listens on for clients."""
        api = [API_PORTS[self.kind]] if self.kind in API_PORTS else []
        qnetd = [QNETD_PORT] if self.kind == "witness" else []
        return [(self.address, port) for port in [*api, SSH_PORT, *qnetd]]


@dataclass(frozen=True)
class GuestSpec:
    """A guest of a stack that starts clustered. `memory` in bytes, `disks`: sizes in bytes, `ha`: requested state."""

    vmid: int
    type: Literal["vm", "ct"]
    name: str
    node: str
    memory: int
    cores: int
    disks: tuple[int, ...]
    running: bool
    ha: str | None
    tags: tuple[str, ...]
    config: dict[str, str] = field(hash=False)


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster that exists from the first start on: its nodes by name, its links by network, its guests."""

    name: str
    nodes: tuple[str, ...]
    links: tuple[str, ...]
    description: str | None
    guests: tuple[GuestSpec, ...]


@dataclass(frozen=True)
class Stack:
    """A whole stack. `scale`: stack seconds per real second; `boot_time` in stack seconds; `net`: 127.<net>.0.0/16.

    `net` is 0 as long as none is chosen (`on_net`). The first network is the management network.
    """

    name: str
    net: int
    scale: float
    boot_time: float
    networks: dict[str, Network] = field(hash=False)
    hosts: dict[str, HostSpec] = field(hash=False)
    clusters: tuple[ClusterSpec, ...]
    arrays: dict[str, Array] = field(default_factory=dict, hash=False)
    authority: Authority | None = None

    def on_net(self, net: int) -> Stack:
        """The same stack with all addresses in 127.<net>.0.0/16."""
        hosts = {
            host.name: replace(
                host,
                addresses={name: f"127.{net}.{self.networks[name].index}.{host.number}" for name in host.addresses},
            )
            for host in self.hosts.values()
        }
        arrays = {
            array.name: replace(array, address=f"127.{net}.{self.networks[array.network].index}.{array.number}")
            for array in self.arrays.values()
        }
        authority = self.authority and replace(self.authority, address=f"127.{net}.0.{self.authority.number}")
        return replace(self, net=net, hosts=hosts, arrays=arrays, authority=authority)

    def cidr(self, network: str) -> str:
        """The addresses of the network of that name: `127.64.0.0/24`."""
        return f"127.{self.net}.{self.networks[network].index}.0/24"

    def describe(self) -> dict[str, Any]:
        """The resolved stack for readers of `STATE/stack.json`."""
        return {
            "name": self.name,
            "net": self.net,
            "scale": self.scale,
            "networks": {
                network.name: {"cidr": self.cidr(network.name), "index": network.index, "mtu": network.mtu}
                for network in self.networks.values()
            },
            "hosts": {
                host.name: {
                    "kind": host.kind,
                    "version": host.version,
                    "site": host.site,
                    "address": host.address,
                    "addresses": host.addresses,
                    "api_url": host.api_url,
                    "ssh_port": SSH_PORT,
                }
                for host in self.hosts.values()
            },
            "arrays": {
                array.name: {
                    **{"network": array.network, "address": array.address, "exports": list(array.exports)},
                    "targets": {target: len(luns) for target, luns in array.targets.items()},
                }
                for array in self.arrays.values()
            },
            "authority": self.authority
            and {"name": self.authority.name, "address": self.authority.address, "directory": self.authority.directory},
        }
