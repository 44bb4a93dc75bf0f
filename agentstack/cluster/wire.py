# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames between a host and the switch: a JSON header and a payload that the switch hands on unread."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any, BinaryIO

_LENGTHS = struct.Struct("!II")

MAX_FRAME = 256 * 1024 * 1024
"""Bytes; above the largest image of a whole /etc/pve (128 MiB)."""

Header = dict[str, Any]


def encode(header: Header, payload: bytes = b"") -> bytes:
    """One frame: lengths of header and payload (32 bit each), the header as JSON, the payload."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(head), len(payload)) + head + payload


async def receive(reader: asyncio.StreamReader) -> tuple[Header, bytes]:
    """Read one frame. Raises asyncio.IncompleteReadError at the end of the stream, ValueError for what is no frame."""
    head_length, payload_length = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    if head_length + payload_length > MAX_FRAME:
        raise ValueError(f"frame of {head_length + payload_length} bytes")
    header = json.loads(await reader.readexactly(head_length))
    if not isinstance(header, dict):
        raise ValueError("frame header is not a mapping")
    return header, await reader.readexactly(payload_length) if payload_length else b""


def read(stream: BinaryIO) -> tuple[Header, bytes]:
    """Read one frame from a blocking stream. ConnectionError at its end."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        raise ConnectionResetError("the switch has closed the connection")
    head_length, payload_length = _LENGTHS.unpack(lengths)
    header: Header = json.loads(stream.read(head_length))
    return header, stream.read(payload_length)
