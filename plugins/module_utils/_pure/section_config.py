# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section files of /etc/pve: storage.cfg, replication.cfg, jobs.cfg, status.cfg, ha/*.cfg.

A section is a head line ``type: id`` followed by lines of a tab, a key and a value; an empty line ends it. A key
without a value is a flag (``disable``). The properties are written in this order (as found in the files of a live
9.2 cluster): ``comment``, ``disable``, those that the type requires, all others by name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

_HEAD = re.compile(r"([^\s:#][^\s:]*):\s*(\S+)\s*")
_PROPERTY = re.compile(r"\s+([^\s#]\S*)(?:\s+(\S|\S.*\S))?\s*")
_UNSAFE = re.compile(rb"[^\x20-\x7e]|[%:]")

#: properties that every section may have and that come first
LEADING = ("comment", "disable")

#: required properties of each section type, as the server writes them: before the optional ones
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # storage.cfg (facts §12)
        "dir": ("path",),
        "zfspool": ("pool",),
        "pbs": ("datastore", "server"),
        "nfs": ("export", "path", "server"),
        "cifs": ("path", "server", "share"),
        "cephfs": ("path",),
        "lvm": ("vgname",),
        "lvmthin": ("thinpool", "vgname"),
        "btrfs": ("path",),
        "iscsi": ("portal", "target"),
        # replication.cfg
        "local": ("target",),
        # jobs.cfg
        "vzdump": ("schedule",),
        # status.cfg
        "graphite": ("port", "server"),
        "influxdb": ("port", "server"),
        "opentelemetry": ("port", "server"),
        # ha/groups.cfg, ha/rules.cfg
        "group": ("nodes",),
        "node-affinity": ("nodes", "resources"),
        "resource-affinity": ("affinity", "resources"),
    }
)


class SectionConfigError(ValueError):
    """A section file that cannot be read; the text names the line."""


@dataclass
class Section:
    """One section: its type and its properties as text; a flag (``disable``) has the value ``""``."""

    type: str
    properties: dict[str, str] = field(default_factory=dict)


def parse_section_config(text: str) -> dict[str, Section]:
    """Parse a section file into ``{id: Section}``, in the order of the file.

    Comment lines (``#``) are skipped. Raises :class:`SectionConfigError` for a line that is neither head nor property,
    an id or property that comes twice, and a property outside a section.
    """
    sections: dict[str, Section] = {}
    current: Section | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            current = None
            continue
        if line.lstrip().startswith("#"):
            continue
        if head := _HEAD.fullmatch(line):
            if head[2] in sections:
                raise SectionConfigError(f"line {number}: section '{head[2]}' is already defined")
            current = sections[head[2]] = Section(head[1])
            continue
        prop = _PROPERTY.fullmatch(line)
        if prop is None or current is None:
            raise SectionConfigError(f"line {number}: neither a section nor a property of one: '{line.strip()}'")
        if prop[1] in current.properties:
            raise SectionConfigError(f"line {number}: property '{prop[1]}' is already defined")
        current.properties[prop[1]] = prop[2] or ""
    return sections


def format_section_config(sections: Mapping[str, Section], required: Mapping[str, tuple[str, ...]] = REQUIRED) -> str:
    """Write sections as the server does, in the order of the mapping.

    ``required`` gives for each section type the properties to put before the optional ones. Raises
    ``SectionConfigError`` for an id, a key or a value that would not come back as itself (line breaks, outer blanks).
    """
    blocks = []
    for identifier, section in sections.items():
        lines = [f"{section.type}: {identifier}"]
        if _HEAD.fullmatch(lines[0]) is None:
            raise SectionConfigError(f"invalid section head '{lines[0]}'")
        order = (*LEADING, *required.get(section.type, ()))
        keys = [key for key in order if key in section.properties]
        keys += sorted(set(section.properties) - set(order))
        for key in keys:
            value = section.properties[key]
            line = f"\t{key} {value}" if value else f"\t{key}"
            match = _PROPERTY.fullmatch(line)
            if "\n" in line or match is None or (match[1], match[2] or "") != (key, value):
                raise SectionConfigError(f"section '{identifier}': property '{key}' cannot hold {value!r}")
            lines.append(line)
        blocks.append("\n".join(lines) + "\n\n")
    return "".join(blocks)


def config_digest(content: str | bytes) -> str:
    """Digest of a whole configuration file as ``digest`` parameters want it: SHA-1 in hex. A missing file is empty."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def encode_text(text: str) -> str:
    """Encode a comment for storing: UTF-8, bytes outside printable ASCII and ``%`` and ``:`` as ``%XX`` (facts §2)."""
    return _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], text.encode()).decode("ascii")


def decode_text(text: str) -> str:
    """Undo :func:`encode_text`; bytes that are no UTF-8 become the replacement character."""
    return unquote(text, errors="replace")
