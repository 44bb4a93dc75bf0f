# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the way of a cluster. Pure: judges what was read. Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._ceph_osds import Place, missing_disks
from ._disks import choose
from ._errors import ConnectError, LoginError, QuorateError, TrustError
from ._membership import Membership

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)


@dataclass
class Look:
    """What one node said, or why it said nothing. ``node`` is the element of the module's list."""

    node: Mapping[str, Any]
    version: str | None = None
    membership: Membership | None = None
    guests: list[int] = field(default_factory=list)
    networks: list[Mapping[str, Any]] = field(default_factory=list)
    disks: list[Mapping[str, Any]] = field(default_factory=list)
    pools: list[str] = field(default_factory=list)
    error: QuorateError | None = None
    offline_member: bool = False
    new_certificate: str = ""
    calls: int = 0

    @property
    def name(self) -> str:
        """The name that it is to have."""
        return str(self.node["name"])

    @property
    def where(self) -> str:
        """Where the user wrote it."""
        return str(self.node["where"])

    def summary(self) -> dict[str, Any]:
        """An entry of the module's ``nodes``."""
        cluster = self.membership.cluster if self.membership else None
        return {"name": self.name, "version": self.version, "cluster": cluster, "guests": self.guests}


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    severity: str
    check: str
    node: str
    text: str
    where: str = ""
    fix: str = ""

    def describe(self) -> dict[str, str]:
        """An entry of the module's ``findings``."""
        return {
            "severity": self.severity,
            "check": self.check,
            "node": self.node,
            "text": self.text,
            "where": self.where,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.severity}: {place}{self.text.rstrip('.')}.{' ' + self.fix if self.fix else ''}"


@dataclass(frozen=True)
class Site:
    """All that the checks judge."""

    cluster: str
    looks: Sequence[Look]
    zfs_pools: Sequence[Mapping[str, Any]]
    membership: Membership | None
    ceph_osds: Sequence[Mapping[str, Any]] = ()

    @property
    def answering(self) -> list[Look]:
        """The nodes that could be asked."""
        return [look for look in self.looks if look.error is None]


def judge(
    cluster: str,
    looks: Sequence[Look],
    zfs_pools: Sequence[Mapping[str, Any]],
    membership: Membership | None,
    ceph_osds: Sequence[Mapping[str, Any]] = (),
) -> list[Finding]:
    """Everything that was found, errors first. ``membership`` is the cluster's, if it exists."""
    site = Site(cluster, looks, zfs_pools, membership, ceph_osds)
    findings = [finding for check in CHECKS for finding in check(site)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _doubles(site: Site) -> Iterator[Finding]:
    seen: dict[tuple[str, str], Look] = {}
    for look in site.looks:
        values = [("name", look.name), ("address", str(look.node["address"]))]
        values += [("link address", str(link["address"])) for link in look.node.get("links") or []]
        # a link may run over the management address
        for kind, value in dict.fromkeys(values):
            other = seen.setdefault((kind, value), look)
            if other is not look:
                text = f"the {kind} {value} is also that of {other.where}"
                yield Finding(ERROR, "unique", look.name, text, look.where, "Give every node its own.")


def _reachable(site: Site) -> Iterator[Finding]:
    checks = ((TrustError, "fingerprint"), (LoginError, "login"), (ConnectError, "reachable"))
    for look in site.looks:
        if look.offline_member:
            text = f"{look.name} is a member of {site.cluster} and offline ({look.error})"
            yield Finding(WARNING, "reachable", look.name, text, look.where)
        elif isinstance(look.error, LoginError) and site.membership and look.name in site.membership.members:
            # it refuses every login while it joins, and afterwards only members are asked (observed: join)
            text = f"{look.name} is a member of {site.cluster} and refuses the login; a join may be under way"
            yield Finding(WARNING, "login", look.name, text, look.where)
        elif look.error is not None:
            error = look.error
            check = next((name for kind, name in checks if isinstance(error, kind)), "api")
            yield Finding(ERROR, check, look.name, error.message, look.where, error.hint)
        elif look.new_certificate:
            text = f"{look.name} has the certificate of the cluster by now ({look.new_certificate})"
            yield Finding(INFO, "fingerprint", look.name, text, look.where)


def _names(site: Site) -> Iterator[Finding]:
    for look in site.answering:
        own = look.membership.local if look.membership else ""
        if own != look.name:
            text = f"the machine at {look.node['address']} is called {own}, not {look.name}"
            yield Finding(ERROR, "name", look.name, text, look.where, "Correct the name or the address.")


def _versions(site: Site) -> Iterator[Finding]:
    versions = {look.name: str(look.version) for look in site.answering}
    majors = {version.partition(".")[0] for version in versions.values()}
    if len(set(versions.values())) > 1:
        words = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        severity = ERROR if len(majors) > 1 else WARNING
        yield Finding(
            severity, "version", "", f"the nodes have different versions: {words}", "", "Bring all to the newest."
        )


def _clusters(site: Site) -> Iterator[Finding]:
    for look in site.answering:
        own = look.membership.cluster if look.membership else None
        if own not in (None, site.cluster):
            yield Finding(
                ERROR,
                "cluster",
                look.name,
                f"{look.name} is a member of the cluster {own}, not of {site.cluster}",
                look.where,
                "A node leaves a cluster by being installed anew; or name that cluster (pve_cluster_name).",
            )
    if site.membership is not None:
        if not site.membership.quorate:
            text = f"{site.cluster} is not quorate and takes no changes"
            yield Finding(ERROR, "quorum", site.membership.local, text, "", "Bring more of its nodes back first.")
        unnamed = sorted(set(site.membership.members) - {look.name for look in site.looks})
        if unnamed:
            text = f"{site.cluster} has members that are not listed: {', '.join(unnamed)}"
            yield Finding(WARNING, "members", "", text, "", "List them, or remove them from the cluster.")


def _guests(site: Site) -> Iterator[Finding]:
    """The node that the cluster is created on may have guests, those that join may not."""
    joining = [look for look in site.answering if look.membership is not None and look.membership.cluster is None]
    if site.membership is None:
        joining = [look for look in joining if look is not site.looks[0]]
    for look in joining:
        if look.guests:
            text = f"{look.name} has guests ({', '.join(map(str, look.guests))}), and a joining node must have none"
            fix = "Back them up, remove them, and restore them after the join."
            yield Finding(ERROR, "guests", look.name, text, look.where, fix)


def _links(site: Site) -> Iterator[Finding]:
    for look in site.answering:
        has = {str(each) for network in look.networks for each in _addresses(network)}
        dynamic = any(network.get("method") == "dhcp" for network in look.networks)
        for link in look.node.get("links") or []:
            address = str(link["address"])
            if _is_address(address) and address not in has:
                text = (
                    f"{look.name} has no address {address} for link {link['number']}; it has {', '.join(sorted(has))}"
                )
                severity = WARNING if dynamic else ERROR
                fix = "Configure the network of the link on the node, or correct the address."
                yield Finding(severity, "links", look.name, text, look.where, fix)


def _disks(site: Site) -> Iterator[Finding]:
    for look in site.answering:
        taken: set[str] = set()
        for index, pool in enumerate(site.zfs_pools):
            if pool.get("node") not in ("*", look.name) or pool.get("state", "present") != "present":
                continue
            if pool.get("name") in look.pools:
                continue
            where = f"zfs_pools[{index}] ({pool.get('name')})"
            try:
                taken.update(choose(look.disks, pool.get("devices"), taken, look.name, where))
            except QuorateError as error:
                yield Finding(ERROR, "disks", look.name, error.message, where, error.hint)
        for index, element in enumerate(site.ceph_osds):
            if element.get("node") not in ("*", look.name):
                continue
            place = Place(look.name, element, f"ceph_osds[{index}] ({element.get('node')})")
            try:
                missing_disks(look.disks, place, taken)
            except QuorateError as error:
                yield Finding(ERROR, "disks", look.name, error.message, place.where, error.hint)


CHECKS: tuple[Callable[[Site], Iterator[Finding]], ...] = (
    _doubles,
    _reachable,
    _names,
    _versions,
    _clusters,
    _guests,
    _links,
    _disks,
)


def _addresses(network: Mapping[str, Any]) -> Iterator[str]:
    for key in ("address", "address6", "cidr", "cidr6"):
        if network.get(key):
            yield str(network[key]).partition("/")[0]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
