# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would keep a guest from failing over to another node. Pure.

A guest's configuration is taken as GET /nodes/{node}/qemu/{vmid}/config (or lxc) gives it (facts §14).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WARNING, INFO = "warning", "info"
CHECKS = ("nodes", "disk", "storage", "iso", "passthrough", "cpu", "agent", "autostart", "backup")
"""What obstacles are called."""

# Types of storage that every node sees the same content of, whether `shared` is set or not (facts §11)
SHARED_TYPES = frozenset({"cephfs", "cifs", "esxi", "glusterfs", "iscsi", "iscsidirect", "nfs", "pbs", "rbd", "zfs"})
_DISK = re.compile(r"(?:scsi|virtio|sata|ide|mp)\d+|efidisk0|tpmstate0|rootfs")
_PASSED = re.compile(r"(?:hostpci|usb|dev|serial|parallel)\d+")
_NAMED = 3


@dataclass(frozen=True)
class Storage:
    """A storage: whether all its nodes see the same content, and which nodes have it (None: all)."""

    type: str
    shared: bool = False
    nodes: frozenset[str] | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Storage:
        """From an entry of GET /storage, or of the variables."""
        kind = str(entry.get("type") or "")
        listed = entry.get("nodes")
        names = listed.split(",") if isinstance(listed, str) else list(listed or ())
        shared = kind in SHARED_TYPES or str(entry.get("shared") or 0).lower() in ("1", "true", "yes")
        return cls(kind, shared, frozenset(names) if names else None)

    def on(self, node: str) -> bool:
        """Whether a node has it."""
        return self.nodes is None or node in self.nodes


@dataclass(frozen=True)
class Candidate:
    """A guest, the nodes that HA may start it on, those that hold replicas, and what is known of its backups.

    ``backed_up``: None if there is no telling. ``service_known``: whether it is known that what it is for starts by
    itself when it boots.
    """

    vmid: int
    kind: str
    node: str
    config: Mapping[str, Any]
    allowed: Sequence[str] = ()
    replicas: frozenset[str] = frozenset()
    backed_up: bool | None = None
    service_known: bool = False


@dataclass(frozen=True)
class Surroundings:
    """The storages by name, and the processor's model of each node that is known."""

    storages: Mapping[str, Storage]
    processors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Obstacle:
    """One thing in the way: ``check`` names its kind, ``stops`` says that the guest would not start elsewhere."""

    check: str
    severity: str
    text: str
    fix: str
    stops: bool = False

    def describe(self) -> dict[str, Any]:
        """As an entry of a module's result."""
        return {
            "check": self.check,
            "severity": self.severity,
            "text": self.text,
            "fix": self.fix,
            "stops": self.stops,
        }


def obstacles(guest: Candidate, around: Surroundings) -> list[Obstacle]:
    """All that would keep the guest from failing over well, what would stop it first."""
    targets = [node for node in guest.allowed if node != guest.node]
    found = [
        *_nowhere(guest, targets),
        *_disks(guest, around, targets),
        *_passed_through(guest),
        *_processor(guest, around),
        *_inside(guest),
    ]
    if guest.backed_up is False:
        text = "no backup of it exists, and no backup job includes it"
        found.append(Obstacle("backup", WARNING, text, "Add it to a job (pve_backup_jobs): replicas are no backups."))
    return sorted(found, key=lambda one: (not one.stops, one.severity != WARNING))


def _nowhere(guest: Candidate, targets: Sequence[str]) -> Iterator[Obstacle]:
    if not targets:
        text = f"HA may start it on no node but {guest.node}"
        yield Obstacle("nodes", WARNING, text, "Name further nodes in pve_ha_affinity, or leave strict out.", True)


def _disks(guest: Candidate, around: Surroundings, targets: Sequence[str]) -> Iterator[Obstacle]:
    for key, value in sorted(guest.config.items()):
        if not _DISK.fullmatch(key):
            continue
        volume, _comma, rest = str(value).partition(",")
        volume = volume.removeprefix("file=").removeprefix("volume=")
        options = dict(part.partition("=")[::2] for part in rest.split(",") if part)
        if volume == "none":
            continue
        media = options.get("media") == "cdrom"
        if volume == "cdrom" or volume.startswith("/"):
            if options.get("shared") == "1":
                continue
            what = "the host's CD drive" if volume == "cdrom" else volume
            text = f"{key} is {what} of {guest.node}"
            yield Obstacle("passthrough", WARNING, text, "Put it on a storage that the other nodes have.", True)
            continue
        name = volume.partition(":")[0]
        storage = around.storages.get(name)
        if storage is None:
            continue
        away = [node for node in targets if not storage.on(node)]
        if media and "cloudinit" not in volume:
            if not storage.shared:
                text = f"{key} has an image of the local storage {name} in its drive ({volume.partition(':')[2]})"
                yield Obstacle(
                    "iso", WARNING, text, f"Take it out (qm set {guest.vmid} --{key} none,media=cdrom).", True
                )
            elif away:
                yield _not_there(key, name, away)
        elif storage.shared:
            if away:
                yield _not_there(key, name, away)
        else:
            yield from _local(guest, key, name, storage, options, targets)


def _local(
    guest: Candidate, key: str, name: str, storage: Storage, options: Mapping[str, str], targets: Sequence[str]
) -> Iterator[Obstacle]:
    if storage.type != "zfspool":
        text = f"{key} is on {name}, which {guest.node} alone sees and which cannot be replicated"
        yield Obstacle("disk", WARNING, text, "Move it to shared storage, or to ZFS with replication.", True)
    elif options.get("replicate") == "0":
        text = f"{key} on {name} is left out of replication"
        yield Obstacle("disk", WARNING, text, "Remove replicate=0 from the disk.", True)
    elif not guest.replicas:
        text = f"{key} is on the local storage {name}, and no replication job copies it"
        yield Obstacle("disk", WARNING, text, "Add jobs to pve_replication_jobs, or move it to shared storage.", True)
    else:
        without = [node for node in targets if node not in guest.replicas]
        if without:
            text = f"HA may start it on {_words(without)}, where there is no replica of {key}"
            fix = "Keep it to the nodes with replicas (pve_ha_affinity, strict: true), or replicate to all."
            yield Obstacle("disk", WARNING, text, fix, not set(targets) & guest.replicas)


def _not_there(key: str, name: str, away: Sequence[str]) -> Obstacle:
    text = f"{key} is on {name}, which {_words(away)} {'does' if len(away) == 1 else 'do'} not have"
    return Obstacle("storage", WARNING, text, f"Let all nodes that it may run on have {name}.", True)


def _passed_through(guest: Candidate) -> Iterator[Obstacle]:
    for key, value in sorted(guest.config.items()):
        text = str(value)
        # a mapped device is looked up on the node that the guest starts on; spice and sockets are no devices
        if not _PASSED.fullmatch(key) or "mapping=" in text or text.partition(",")[0] in ("spice", "socket"):
            continue
        if key.startswith("usb") and text.startswith("host=spice"):
            continue
        words = f"{key} passes a device of {guest.node} through ({text.partition(',')[0]})"
        fix = "Use a resource mapping that every node has, or leave the guest out of HA."
        yield Obstacle("passthrough", WARNING, words, fix, True)


def _processor(guest: Candidate, around: Surroundings) -> Iterator[Obstacle]:
    if guest.kind != "qemu" or str(guest.config.get("cpu") or "").partition(",")[0].removeprefix("cputype=") != "host":
        return
    models = {around.processors[node] for node in {guest.node, *guest.allowed} if node in around.processors}
    if len(models) > 1:
        text = f"its processor is the host's, and the nodes have different ones ({_words(sorted(models))})"
        fix = "Give it a type that all nodes have, such as x86-64-v2-AES: it cannot move live between them."
        yield Obstacle("cpu", WARNING, text, fix)


def _inside(guest: Candidate) -> Iterator[Obstacle]:
    if guest.kind == "qemu" and not _agent(guest.config.get("agent")):
        text = "without the guest agent nobody outside knows whether the system in it runs"
        yield Obstacle("agent", INFO, text, "Install qemu-guest-agent in it, and set agent: 1.")
    if not guest.service_known:
        text = "whether what it is for starts by itself when it boots is not known"
        yield Obstacle("autostart", INFO, text, "Try it (a drill), then say so in pve_ha_services_known.")


def _agent(value: Any) -> bool:
    first = str(value or "0").partition(",")[0].removeprefix("enabled=")
    return first in ("1", "true", "True", "yes", "on")


def _words(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
