# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pve8to9: what stands in the way of an upgrade to the next major release, and which versions are installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentstack.packages import catalogue, sources
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

OLDEST = "8.4.1"
"""The version of pve-manager that an upgrade has to start from."""

LEAST_SPACE = 5 << 30
COUNTED = {"PASS": "PASSED", "SKIP": "SKIPPED", "WARN": "WARNINGS", "FAIL": "FAILURES"}

Finding = tuple[str, str]
"""PASS, INFO, SKIP, WARN or FAIL, and what was found."""


def _packages(host: Host) -> Iterator[Finding]:
    updates = [upgrade for upgrade in host.packages.pending() if upgrade.package.origin == "Proxmox"]
    newest = all(catalogue.release_of(suite) != host.release for suite in _suites(host))
    if updates and not newest:
        yield "WARN", f"updates for the following packages are available:\n{', '.join(_names(host))}"
    else:
        yield "PASS", "all packages up-to-date"
    if host.release.startswith("9."):
        yield "PASS", "already upgraded to Proxmox VE 9"
    elif catalogue.is_newer(OLDEST, host.version):
        yield "FAIL", f"proxmox-ve package is too old, please upgrade to >= {OLDEST}!"
    else:
        yield "PASS", f"proxmox-ve package has version >= {OLDEST}"
    yield "PASS", f"running kernel '{host.kernel}' is considered suitable for upgrade."
    if len(set(_suites(host))) > 1:
        yield "FAIL", f"Found mixed suites in package repositories: {', '.join(sorted(set(_suites(host))))}"
    else:
        yield "PASS", "found no suite mismatch"


def _suites(host: Host) -> list[str]:
    return [
        suite.partition("-")[0]
        for file in sources.read(host.root)
        for entry in file.repositories
        if entry.enabled
        for suite in entry.suites
    ]


def _names(host: Host) -> list[str]:
    return [upgrade.package.name for upgrade in host.packages.pending()]


def _cluster(host: Host) -> Iterator[Finding]:
    if not host.cluster.in_cluster:
        yield "SKIP", "standalone node."
        return
    for unit in ("pve-cluster", "corosync"):
        state = "active" if host.services.is_active(unit) else "inactive"
        yield "PASS" if state == "active" else "FAIL", f"systemd unit '{unit}.service' is in state '{state}'"
    quorate = host.files.quorate
    yield ("PASS", "Cluster Filesystem is quorate.") if quorate else ("FAIL", "Cluster Filesystem is not quorate!")
    votes = host.cluster.votes
    yield "INFO", f"configured votes - nodes: {len(host.cluster.nodes())}"
    yield "INFO", f"current expected votes: {votes.highest_expected}"
    yield "INFO", f"current total votes: {votes.total}"
    offline = [view.name for view in host.cluster.nodes() if not view.online]
    if offline:
        yield "WARN", f"nodes are offline: {', '.join(offline)}"


def _storage(host: Host) -> Iterator[Finding]:
    for name, status in sorted(host.storage.statuses().items()):
        if not status["enabled"]:
            yield "SKIP", f"storage '{name}' disabled."
        elif status["active"]:
            yield "PASS", f"storage '{name}' enabled and active."
        else:
            yield "WARN", f"storage '{name}' enabled but not active!"


def _miscellaneous(host: Host) -> Iterator[Finding]:
    running = len(host.guests.running)
    if running:
        yield "WARN", f"{running} running guest(s) detected - consider migrating or stopping them."
    else:
        yield "PASS", "no running guest detected."
    for service in ("pveproxy", "pvedaemon", "pvescheduler", "pvestatd"):
        state = "active" if host.services.is_active(service) else "inactive"
        yield "PASS" if state == "active" else "FAIL", f"systemd unit '{service}.service' is in state '{state}'"
    if host.storage.root_filesystem().available < LEAST_SPACE:
        yield "WARN", "less than 5 GB free space on root file system."
    else:
        yield "PASS", "enough free space on the root file system."


CHAPTERS = (
    ("VERSION INFORMATION FOR PVE PACKAGES", _packages),
    ("CLUSTER HEALTH/SETTINGS", _cluster),
    ("CONFIGURED STORAGES", _storage),
    ("MISCELLANEOUS CHECKS", _miscellaneous),
)


@command("pve8to9")
async def pve8to9(host: Host, argv: list[str], io: CommandIO) -> int:
    counts: Counter[str] = Counter()
    for title, check in CHAPTERS:
        io.out(f"= CHECKING {title} =\n\n")
        for kind, text in check(host):
            counts[kind] += 1
            io.out(f"{kind}: {text}\n")
        io.out("\n")
    io.out("= SUMMARY =\n\n")
    io.out(f"TOTAL:    {sum(counts[kind] for kind in COUNTED)}\n")
    for kind, title in COUNTED.items():
        io.out(f"{title + ':':<10}{counts[kind]}\n")
    if counts["FAIL"]:
        io.out("\nATTENTION: Please check the output for detailed information!\n")
    return 0
