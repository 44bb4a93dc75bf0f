# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight read, and how it says what it found. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ._errors import QuorateError
from ._machine import Machine
from ._membership import Membership
from ._mentions import Mention
from ._paths import Measured

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
    subscription: Mapping[str, Any] | None = None
    repositories: Mapping[str, Any] | None = None
    machine: Machine | None = None
    shell_error: QuorateError | None = None

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
class Wishes:
    """What the variables want of the cluster, as far as the checks compare it with what is there."""

    zfs_pools: Sequence[Mapping[str, Any]] = ()
    ceph_osds: Sequence[Mapping[str, Any]] = ()
    networks: Sequence[Mapping[str, Any]] = ()
    guests: Sequence[Mapping[str, Any]] = ()
    storages: Sequence[Mapping[str, Any]] = ()
    replication_jobs: Sequence[Mapping[str, Any]] = ()
    interfaces: Sequence[Mapping[str, Any]] = ()
    ceph: bool = False
    witness: bool = False
    load_max: int = 75


@dataclass(frozen=True)
class Site:
    """All that the checks judge. ``measured``: None unless the hosts were asked over SSH as well."""

    cluster: str
    looks: Sequence[Look]
    membership: Membership | None
    wishes: Wishes = field(default_factory=Wishes)
    measured: Sequence[Measured] | None = None
    resources: Sequence[Mapping[str, Any]] = ()
    strays: Sequence[Mention] = ()
    unread: Sequence[str] = ()
    """Where there may be more of them: paths that the login may not read, with the server's words."""

    @property
    def answering(self) -> list[Look]:
        """The nodes that could be asked."""
        return [look for look in self.looks if look.error is None]

    @property
    def machines(self) -> dict[str, Machine]:
        """What is known of the nodes as machines, by name."""
        return {look.name: look.machine for look in self.looks if look.machine is not None}

    def where(self, node: str) -> str:
        """Where the user wrote the node."""
        return next((look.where for look in self.looks if look.name == node), "")


Check: TypeAlias = Callable[[Site], Iterator[Finding]]
