# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for devices and directories that every node has under its own path: mapping/{pci,usb,dir}.cfg.

nic
\tdescription the fast one
\tmap id=8086:1533,node=pve1,path=0000:01:00.0
\tmap id=8086:1533,node=pve2,path=0000:02:00.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack._shared.section_config import config_digest, decode_text, encode_text
from agentstack.errors import AgentError
from agentstack.sections import TEXTS as SECTION_TEXTS
from agentstack.sections import check_digest

if TYPE_CHECKING:
    from agentstack.host import Host

KINDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "dir": ("directory", frozenset({"description", "map"})),
    "pci": ("pci", frozenset({"description", "map", "mdev", "live-migration-capable"})),
    "usb": ("usb", frozenset({"description", "map"})),
}
"""Name in texts, and properties."""

TEXTS = {
    "exists": "{kind} ID '{id}' already defined",
    "missing": "{kind} ID '{id}' does not exist",
    "twice": "duplicate mapping for node '{node}' not allowed",
}


@dataclass
class Mapped:
    """One name. `map`: property strings, one or more a node; `values`: everything else."""

    map: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def to_api(self, name: str) -> dict[str, Any]:
        """As the API shows it."""
        return {"id": name, **self.values, "map": list(self.map)}


def parse(text: str) -> dict[str, Mapped]:
    """Read a file; ids stand alone on their line."""
    found: dict[str, Mapped] = {}
    current = Mapped()
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line[0].isspace():
            current = found.setdefault(line.strip(), Mapped())
            continue
        key, _, value = line.strip().partition(" ")
        if key == "map":
            current.map.append(value)
        elif key == "description":
            current.values[key] = decode_text(value)
        else:
            current.values[key] = int(value)
    return found


def format_mappings(found: Mapping[str, Mapped]) -> str:
    """Write a file."""
    lines: list[str] = []
    for name, mapped in found.items():
        lines.append(name)
        for key, value in sorted({**mapped.values, "map": mapped.map}.items()):
            if key == "map":
                lines += [f"\tmap {each}" for each in mapped.map]
            else:
                lines.append(f"\t{key} {encode_text(value) if key == 'description' else value}")
        lines.append("")
    return "".join(f"{line}\n" for line in lines)


def parts(entry: str) -> dict[str, str]:
    """One entry of `map`."""
    return {key: value for key, _, value in (part.partition("=") for part in entry.split(","))}


def read(host: Host, kind: str) -> tuple[dict[str, Mapped], str]:
    """All names of a kind and the digest of the file."""
    text = host.files.read_text(f"mapping/{kind}.cfg", default="")
    return parse(text), config_digest(text)


def get(host: Host, kind: str, name: str) -> tuple[Mapped, str]:
    """One name; raises AgentError."""
    found, digest = read(host, kind)
    return _require(found, kind, name), digest


def _require(found: Mapping[str, Mapped], kind: str, name: str) -> Mapped:
    if name not in found:
        raise AgentError(TEXTS["missing"].format(kind=KINDS[kind][0], id=name))
    return found[name]


async def _write(host: Host, kind: str, found: Mapping[str, Mapped]) -> None:
    if not host.files.is_directory("mapping"):
        await host.files.mkdir("mapping", exist_ok=True)
    await host.files.write(f"mapping/{kind}.cfg", format_mappings(found))


def _set(kind: str, mapped: Mapped, values: Mapping[str, Any]) -> None:
    mapped.map = values.get("map", mapped.map)
    mapped.values |= {key: value for key, value in values.items() if key != "map"}
    if kind == "dir":
        nodes = [parts(entry)["node"] for entry in mapped.map]
        for node in nodes:
            if nodes.count(node) > 1:
                raise AgentError(TEXTS["twice"].format(node=node))


async def create(host: Host, kind: str, name: str, values: Mapping[str, Any]) -> None:
    """Add a name."""
    async with host.files.lock(f"file-mapping_{kind}_cfg"):
        found, _ = read(host, kind)
        if name in found:
            raise AgentError(TEXTS["exists"].format(kind=KINDS[kind][0], id=name))
        found[name] = Mapped()
        _set(kind, found[name], values)
        await _write(host, kind, found)


async def update(
    host: Host, kind: str, name: str, values: Mapping[str, Any], delete: str | None, digest: str | None
) -> None:
    """Change a name; `map` is replaced as a whole."""
    async with host.files.lock(f"file-mapping_{kind}_cfg"):
        found, present = read(host, kind)
        check_digest(present, digest)
        mapped = _require(found, kind, name)
        for key in split_list(delete):
            if key not in KINDS[kind][1]:
                raise AgentError(SECTION_TEXTS["delete_unknown"].format(name=key))
            if key == "map":
                raise AgentError(SECTION_TEXTS["delete_required"].format(name=key))
            mapped.values.pop(key, None)
        _set(kind, mapped, values)
        await _write(host, kind, found)


async def remove(host: Host, kind: str, name: str) -> None:
    """Remove a name; one that is not there is no error."""
    async with host.files.lock(f"file-mapping_{kind}_cfg"):
        found, _ = read(host, kind)
        if found.pop(name, None) is not None:
            await _write(host, kind, found)


def faults(host: Host, kind: str, mapped: Mapped, node: str) -> list[str]:
    """Why a name cannot be used on this node; empty if it can."""
    here = [parts(entry) for entry in mapped.map if parts(entry)["node"] == node]
    if not here:
        return [f"No mapping for node {node}."]
    if kind == "dir":
        missing = [each["path"] for each in here if not (host.root / each["path"].lstrip("/")).is_dir()]
        return [f"directory {path} does not exist" for path in missing]
    label = "PCI device" if kind == "pci" else "USB device"
    # a node of this stack has no such hardware
    return [f"{label} '{each.get('path', each['id'])}' not found" for each in here]
