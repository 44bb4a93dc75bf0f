# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node has another node do its part of a migration: the place of the real stack's SSH tunnel.

A TCP connection on the migration network. Who connects proves to be a member by the cluster's key, which only members
can read. One request a connection: a JSON line, then for disks their data in frames, then one JSON line back.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import secrets
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.storage import sparse

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

PORT = 60000
"""First port of the range that migrations use."""

KEY_FILE = "priv/authkey.key"
_FRAME = struct.Struct("<QI")
PIECE = 64 << 10
"""Bytes that are compared, and sent or not, where only what changed is sent."""
_NAME_BYTES = 4096
_LINE_LIMIT = 1 << 20

TEXTS = {
    "unreachable": "unable to open migration tunnel to node '{node}' ({address}) - {reason}",
    "closed": "tunnel to node '{node}' was closed unexpectedly",
    "denied": "not a member of this cluster",
    "no_address": "could not get migration ip: no IP address configured on local node for network '{network}'",
}

Handler = Callable[["Host", dict[str, Any], asyncio.StreamReader], Awaitable[Any]]
Sums = dict[tuple[str, int], int]
"""Check sums of what has been sent, by file and offset, so that a second pass sends only what has changed."""


def _proof(host: Host, nonce: str) -> str:
    key = hashlib.sha256(host.files.read(KEY_FILE)).digest()
    return hmac.new(key, nonce.encode(), hashlib.sha256).hexdigest()


def address_of(host: Host, node: str, network: str | None) -> str:
    """A node's address on the migration network (CIDR), by default its management address."""
    addresses = host.stack.hosts[node].addresses.values()
    if network is None:
        return host.cluster.address_of(node) or next(iter(addresses))
    for address in addresses:
        if ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False):
            return address
    raise AgentError(TEXTS["no_address"].format(network=network))


class TunnelServer:
    """Takes the requests of other nodes."""

    def __init__(self, host: Host, handlers: Mapping[str, Handler]) -> None:
        self.host = host
        self.handlers = handlers
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Listen on every address of the host."""
        for address in set(self.host.addresses.values()):
            self._servers.append(await asyncio.start_server(self._serve, address, PORT, limit=_LINE_LIMIT))

    async def stop(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            nonce = secrets.token_hex(16)
            writer.write(f"{nonce}\n".encode())
            hello = json.loads(await reader.readline() or b"{}")
            if not hmac.compare_digest(hello.get("proof", ""), _proof(self.host, nonce)):
                raise AgentError(TEXTS["denied"])
            answer = {"value": await self.handlers[hello["do"]](self.host, hello, reader)}
        except AgentError as error:
            answer = {"error": error.message}
        except (OSError, ValueError, KeyError, asyncio.IncompleteReadError) as error:
            log.warning("tunnel: %s", error)
            answer = {"error": f"tunnel request failed: {error}"}
        try:
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            writer.close()
        except ConnectionError as error:
            log.warning("tunnel: %s", error)


class Tunnel:
    """The way to one node."""

    def __init__(self, host: Host, node: str, network: str | None = None) -> None:
        self.host = host
        self.node = node
        self.address = address_of(host, node, network)

    async def ask(self, request: dict[str, Any], data: Path | None = None, sums: Sums | None = None) -> Any:
        """Make a request, with the content of a file or directory if given. Raises AgentError: the peer's reason."""
        try:
            await self.host.network.look_for(self.address)
            reader, writer = await asyncio.open_connection(
                self.address, PORT, local_addr=(self._own_address(), 0), limit=_LINE_LIMIT
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise AgentError(
                TEXTS["unreachable"].format(node=self.node, address=self.address, reason=reason)
            ) from error
        try:
            nonce = (await reader.readline()).decode().strip()
            hello = {**request, "proof": _proof(self.host, nonce), "node": self.host.name}
            writer.write(json.dumps(hello).encode() + b"\n")
            if data is not None:
                await _send(writer, data, sums)
            await writer.drain()
            line = await reader.readline()
        except ConnectionError as error:
            raise AgentError(TEXTS["closed"].format(node=self.node)) from error
        finally:
            writer.close()
        if not line:
            raise AgentError(TEXTS["closed"].format(node=self.node))
        answer = json.loads(line)
        if "error" in answer:
            raise AgentError(answer["error"])
        return answer["value"]

    def _own_address(self) -> str:
        network = ipaddress.ip_network(f"{self.address}/24", strict=False)
        found = (own for own in self.host.addresses.values() if ipaddress.ip_address(own) in network)
        return next(found, self.host.address)


async def _send(writer: asyncio.StreamWriter, path: Path, sums: Sums | None) -> None:
    """Frames of a file, or of every file in a directory: name, then (offset, data) pieces, an empty one at its end."""
    for file in _files_of(path):
        name = "" if file == path else str(file.relative_to(path))
        _write_frame(writer, file.stat().st_size, name.encode() or b"\0")
        for offset, data in sparse.extents(file, sparse.CHUNK if sums is None else PIECE):
            check_sum = zlib.crc32(data)
            if sums is not None:
                if sums.get((name, offset)) == check_sum:
                    continue
                sums[name, offset] = check_sum
            _write_frame(writer, offset, data)
            await writer.drain()
        _write_frame(writer, 0, b"")
    _write_frame(writer, 0, b"")


def _files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _write_frame(writer: asyncio.StreamWriter, number: int, data: bytes) -> None:
    writer.write(_FRAME.pack(number, len(data)) + data)


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    number, length = _FRAME.unpack(await reader.readexactly(_FRAME.size))
    return number, await reader.readexactly(length)


async def receive(reader: asyncio.StreamReader, path: Path) -> int:
    """Write the frames that come into a file or directory, durably; returns the number of bytes of data."""
    total = 0
    while True:
        size, name = await _read_frame(reader)
        if not name:
            return total
        relative = Path(name.decode()) if name != b"\0" else Path()
        if relative.is_absolute() or ".." in relative.parts or len(name) > _NAME_BYTES:
            raise ValueError(f"bad file name {relative}")
        file = path / relative if relative.parts else path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("r+b" if file.exists() else "w+b") as stream:
            if relative.parts:
                stream.truncate(size)
            while True:
                offset, data = await _read_frame(reader)
                if not data:
                    break
                stream.seek(offset)
                stream.write(data)
                total += len(data)
            stream.flush()
            await asyncio.to_thread(os.fsync, stream.fileno())
