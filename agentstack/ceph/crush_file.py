# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled CRUSH maps in files of a host. What is in them is between `ceph` and `crushtool`: nobody else reads it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

_MAGIC = struct.pack("<I", 0x00010000)


def path(host: Host, name: str) -> Path:
    """A file of the host. Raises AgentError for one outside of its root."""
    found = (host.root / name.lstrip("/") if name.startswith("/") else host.root / "root" / name).resolve()
    if not found.is_relative_to(host.root.resolve()):
        raise AgentError(f"can't open {name}: (13) Permission denied")
    return found


def write(host: Host, name: str, text: str) -> None:
    """Compile a text into a file."""
    target = path(host, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_MAGIC + zlib.compress(text.encode()))


def read(host: Host, name: str) -> str:
    """The text of a compiled map. Raises AgentError."""
    try:
        data = path(host, name).read_bytes()
    except OSError as error:
        raise AgentError(f"Can't open input file {name}: {error.strerror}") from error
    if not data.startswith(_MAGIC):
        raise AgentError("Error EINVAL: Failed to parse crushmap: buffer::malformed_input")
    return zlib.decompress(data[len(_MAGIC) :]).decode()
