# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the way of a cluster. Pure: judges what was read. Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ._ceph_osds import Place, missing_disks
from ._disks import behind_controller, choose, describe
from ._errors import ConnectError, LoginError, QuorateError, TrustError
from ._preflight_look import ERROR, INFO, SEVERITIES, WARNING, Check, Finding, Look, Site
from ._preflight_machine import MACHINE
from ._preflight_network import NETWORK
from ._preflight_planned import PLANNED
from ._preflight_promised import promised


def judge(site: Site, severities: Mapping[str, str]) -> list[Finding]:
    """Everything that was found, errors first. ``severities``: what findings of a check count as, by its name."""
    findings = [_weighed(finding, severities) for check in CHECKS for finding in check(site)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _weighed(finding: Finding, severities: Mapping[str, str]) -> Finding:
    if finding.severity == INFO or finding.check not in severities:
        return finding
    return replace(finding, severity=severities[finding.check])


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
        to_come = promised(site.wishes.interfaces, look.name)
        has = {str(each) for network in look.networks for each in _addresses(network)}
        dynamic = any(network.get("method") == "dhcp" for network in look.networks)
        for link in look.node.get("links") or []:
            address = str(link["address"])
            if _is_address(address) and address not in has:
                if interface := to_come.get(address):
                    text = f"{look.name} is to get {address}, its address on link {link['number']}, on {interface}"
                    yield Finding(INFO, "links", look.name, text, look.where, "It is looked at again then.")
                    continue
                text = (
                    f"{look.name} has no address {address} for link {link['number']}; it has {', '.join(sorted(has))}"
                )
                severity = WARNING if dynamic else ERROR
                fix = "Configure the network of the link on the node, or correct the address."
                yield Finding(severity, "links", look.name, text, look.where, fix)


def _disks(site: Site) -> Iterator[Finding]:
    for look in site.answering:
        taken: set[str] = set()
        for index, pool in enumerate(site.wishes.zfs_pools):
            if pool.get("node") not in ("*", look.name) or pool.get("state", "present") != "present":
                continue
            if pool.get("name") in look.pools:
                continue
            where = f"zfs_pools[{index}] ({pool.get('name')})"
            try:
                chosen = choose(look.disks, pool.get("devices"), taken, look.name, where)
                taken.update(chosen)
                if not pool.get("allow_raid_controller"):
                    yield from _logical(look, chosen, where)
            except QuorateError as error:
                yield Finding(ERROR, "disks", look.name, error.message, where, error.hint)
        for index, element in enumerate(site.wishes.ceph_osds):
            if element.get("node") not in ("*", look.name) or element.get("state", "present") != "present":
                continue
            place = Place(look.name, element, f"ceph_osds[{index}] ({element.get('node')})")
            try:
                missing_disks(look.disks, place, taken)
            except QuorateError as error:
                yield Finding(ERROR, "disks", look.name, error.message, place.where, error.hint)


def _logical(look: Look, chosen: Iterable[str], where: str) -> Iterator[Finding]:
    """ZFS must have the disks themselves."""
    for disk in look.disks:
        if disk["devpath"] in chosen and behind_controller(disk):
            text = f"{describe(disk)} on {look.name} looks like a logical drive of a RAID controller"
            fix = "Let the controller pass its disks through (HBA mode)."
            yield Finding(ERROR, "raid", look.name, text, where, fix)


CHECKS: tuple[Check, ...] = (
    _doubles,
    _reachable,
    _names,
    _versions,
    _clusters,
    _guests,
    _links,
    _disks,
    *NETWORK,
    *MACHINE,
    *PLANNED,
)
"""In the order in which findings of one severity are listed."""


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
