# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup files in a directory: one compressed stream with the configuration, then the data of every disk.

A header of JSON (four bytes of length, then the text: configuration, and key, size and number of pieces of each
disk), then for each disk its pieces that are not zero: eight bytes of offset, four of length, the SHA-256, the data.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from agentstack.backup.images import Guest, pieces
from agentstack.errors import AgentError

PIECE = 1024 * 1024
MAGIC = b"VMAQ"
SUFFIXES = {"0": "", "gzip": ".gz", "zstd": ".zst", "1": ".lzo", "lzo": ".lzo"}
_LENGTH = struct.Struct(">I")
_PIECE = struct.Struct(">QI32s")


@contextmanager
def _writing(path: Path, compress: str) -> Iterator[IO[bytes]]:
    with path.open("wb") as raw:
        if compress == "zstd":
            with zstandard.ZstdCompressor(level=1).stream_writer(raw, closefd=False) as stream:
                yield cast(IO[bytes], stream)
        elif compress == "gzip":
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as packed:
                yield cast(IO[bytes], packed)
        elif compress == "0":
            yield raw
        else:
            raise AgentError("command 'lzop' failed: exec failed: No such file or directory")
        raw.flush()
        os.fsync(raw.fileno())


def write(path: Path, guest: Guest, compress: str) -> tuple[int, int]:
    """Write a backup file; returns (bytes of disk, bytes of them that were zeros). It is on disk afterwards."""
    total = zeros = 0
    header = {
        "vmid": guest.place.vmid,
        "type": guest.place.kind.type,
        "config": guest.config,
        "disks": [{"key": image.key, "size": image.size} for image in guest.images],
    }
    with _writing(path, compress) as stream:
        text = json.dumps(header).encode()
        stream.write(MAGIC + _LENGTH.pack(len(text)) + text)
        for image in guest.images:
            for number, data in enumerate(pieces(image, PIECE)):
                if data is None:
                    zeros += min(PIECE, image.size - number * PIECE)
                else:
                    digest = hashlib.sha256(data).digest()
                    stream.write(_PIECE.pack(number * PIECE, len(data), digest) + data)
            stream.write(_PIECE.pack(image.size, 0, bytes(32)))
            total += image.size
    return total, zeros


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if path.name.endswith(".zst"):
            with zstandard.ZstdDecompressor().stream_reader(raw) as stream:
                yield cast(IO[bytes], stream)
        elif path.name.endswith(".gz"):
            with gzip.GzipFile(fileobj=raw) as packed:
                yield cast(IO[bytes], packed)
        else:
            yield raw


def read_header(path: Path) -> dict[str, Any]:
    """The header of a backup file; raises AgentError if it is none."""
    with _reading(path) as stream:
        return _header(path, stream)


def _header(path: Path, stream: IO[bytes]) -> dict[str, Any]:
    if stream.read(len(MAGIC)) != MAGIC:
        raise AgentError(f"unable to read '{path.name}' - wrong magic number")
    header: dict[str, Any] = json.loads(stream.read(*_LENGTH.unpack(stream.read(_LENGTH.size))))
    return header


def read(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """The data in a backup file as (disk, offset, bytes); raises AgentError for damage."""
    with _reading(path) as stream:
        for disk in _header(path, stream)["disks"]:
            while True:
                offset, length, digest = _PIECE.unpack(stream.read(_PIECE.size))
                if not length:
                    break
                data = stream.read(length)
                if hashlib.sha256(data).digest() != digest:
                    raise AgentError(f"'{path.name}': {disk['key']} is damaged at {offset}")
                yield disk["key"], offset, data
