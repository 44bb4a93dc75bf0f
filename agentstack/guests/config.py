# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's configuration file, `nodes/NODE/{qemu-server,lxc}/VMID.conf`, and where guests lie in the cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from agentstack._shared.section_config import config_digest
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "missing": "Configuration file '{path}' does not exist",
    "exists": "{label} {vmid} already exists on node '{node}'",
    "locked": "{label} is locked ({lock})",
}

PENDING = "PENDING"
_SECTION = re.compile(r"\[([A-Za-z][\w-]*)\]\s*")
_PROPERTY = re.compile(r"([a-z][a-z_\-]*\d*):\s*(.+?)\s*")
_TEXT_SAFE = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"


@dataclass(frozen=True)
class Kind:
    """What differs between virtual machines and containers."""

    type: str
    """Name in the API's paths and in resource lists: qemu, lxc."""
    directory: str
    service: str
    """Type of HA resource: vm, ct."""
    label: str
    prefix: str
    """First letters of task types: qm, vz."""
    disk_keys: re.Pattern[str]


QEMU = Kind("qemu", "qemu-server", "vm", "VM", "qm", re.compile(r"(?:scsi|virtio|sata|ide)\d+|efidisk0|tpmstate0"))
LXC = Kind("lxc", "lxc", "ct", "CT", "vz", re.compile(r"rootfs|mp\d+"))
KINDS = {kind.type: kind for kind in (QEMU, LXC)}
BY_SERVICE = {kind.service: kind for kind in (QEMU, LXC)}


@dataclass(frozen=True)
class Place:
    """Where a guest's configuration lies."""

    vmid: int
    kind: Kind
    node: str

    @property
    def path(self) -> str:
        return config_path(self.kind, self.node, self.vmid)


@dataclass
class GuestConfig:
    """A parsed configuration. `values` in the words of the file; `snapshots` by name; `pending`: changes that wait
    for the next start, None for a key to be deleted."""

    values: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, dict[str, str]] = field(default_factory=dict)
    pending: dict[str, str | None] = field(default_factory=dict)

    @property
    def lock(self) -> str | None:
        return self.values.get("lock")


def config_path(kind: Kind, node: str, vmid: int) -> str:
    """Path below /etc/pve."""
    return f"nodes/{node}/{kind.directory}/{vmid}.conf"


def parse(text: str) -> GuestConfig:
    """Parse a configuration file; lines that are no property are skipped, as the server does."""
    known = _parse(text)
    snapshots = {name: dict(values) for name, values in known.snapshots.items()}
    return GuestConfig(dict(known.values), snapshots, dict(known.pending))


@lru_cache(maxsize=4096)
def _parse(text: str) -> GuestConfig:
    # every status broadcast reads every guest's file, which hardly ever changes
    config = GuestConfig()
    section: str | None = None
    description: dict[str | None, str] = {}
    for line in text.splitlines():
        if match := _SECTION.fullmatch(line):
            section = match[1]
            if section.lower() != "pending":
                config.snapshots[section] = {}
        elif line.startswith("#"):
            description[section] = description.get(section, "") + unquote(line[1:]) + "\n"
        elif match := _PROPERTY.fullmatch(line):
            key, value = match[1], match[2]
            if section is None:
                config.values[key] = value
            elif section.lower() != "pending":
                config.snapshots[section][key] = value
            elif key == "delete":
                config.pending |= dict.fromkeys(value.split(","))
            else:
                config.pending[key] = value
    for name, text_of in description.items():
        target = config.values if name is None else config.snapshots.get(name)
        if target is not None:
            target["description"] = text_of
    return config


def format_config(config: GuestConfig) -> str:
    """The file for a configuration: description, properties by name, then [PENDING] and snapshots."""
    text = _format_values(config.values)
    if config.pending:
        values = {key: value for key, value in config.pending.items() if value is not None}
        deleted = sorted(key for key, value in config.pending.items() if value is None)
        if deleted:
            values["delete"] = ",".join(deleted)
        text += f"\n[{PENDING}]\n{_format_values(values)}"
    for name in sorted(config.snapshots):
        text += f"\n[{name}]\n{_format_values(config.snapshots[name])}"
    return text


def _format_values(values: dict[str, str]) -> str:
    lines = [
        f"#{quote(line, safe=_TEXT_SAFE)}\n" for line in values.get("description", "").rstrip("\n").split("\n") if line
    ]
    lines += [f"{key}: {values[key]}\n" for key in sorted(values) if key != "description"]
    return "".join(lines)


def places(host: Host) -> dict[int, Place]:
    """Every guest of the cluster by VMID, in the order of the numbers."""
    return {vmid: Place(vmid, KINDS[guest.type], guest.node) for vmid, guest in sorted(host.files.guests().items())}


def place(host: Host, vmid: int) -> Place | None:
    """Where a guest lies; None when there is none of that number."""
    guest = host.files.guests().get(vmid)
    return Place(vmid, KINDS[guest.type], guest.node) if guest else None


def check_free(host: Host, vmid: int) -> None:
    """Raise AgentError when the cluster has a guest of that number."""
    if found := place(host, vmid):
        raise AgentError(TEXTS["exists"].format(label=found.kind.label, vmid=vmid, node=found.node))


def load(host: Host, kind: Kind, vmid: int, node: str | None = None) -> GuestConfig:
    """A guest's configuration on a node (default: this one). Raises AgentError when it is not there."""
    return load_with_digest(host, kind, vmid, node)[0]


def load_with_digest(host: Host, kind: Kind, vmid: int, node: str | None = None) -> tuple[GuestConfig, str]:
    """As `load`, with the digest of the file."""
    path = config_path(kind, node or host.name, vmid)
    try:
        text = host.files.read(path).decode()
    except FileNotFoundError:
        raise AgentError(TEXTS["missing"].format(path=path)) from None
    return parse(text), config_digest(text)


async def save(host: Host, kind: Kind, vmid: int, config: GuestConfig) -> None:
    """Write a guest's configuration on this node."""
    await host.files.write(config_path(kind, host.name, vmid), format_config(config))


def check_lock(kind: Kind, config: GuestConfig) -> None:
    """Raise AgentError when an operation holds the guest."""
    if config.lock:
        raise AgentError(TEXTS["locked"].format(label=kind.label, lock=config.lock))
