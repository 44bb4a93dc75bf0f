# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to a backup server over HTTPS: its API, and the transfer of chunks (`transfer` is the other end).

Nodes use it for storages and backups, backup servers for their remotes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import ssl
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from agentstack.errors import AgentError
from agentstack.pbs.blob import decode, encode
from agentstack.pbs.index import DamagedIndex, Index, decode_index, is_index
from agentstack.pbs.keys import Key
from agentstack.pbs.snapshots import MANIFEST, BackupFile, Group, Manifest, Snapshot

DEFAULT_PORT = 8007


class Unreachable(AgentError):
    """The server could not be spoken to; the text is the reason alone."""


@dataclass(frozen=True)
class Login:
    """Where a server is and who one is there. `authid` is a user or a token, `secret` the password or the token's.

    `fingerprint` (`AB:CD:…`) pins the certificate; without it the system's authorities have to vouch for it.
    """

    server: str
    authid: str
    secret: str
    port: int = DEFAULT_PORT
    fingerprint: str | None = None

    @property
    def url(self) -> str:
        """`https://SERVER:PORT`."""
        return f"https://{self.server}:{self.port}"


class PbsClient:
    """A session with one server: `async with PbsClient(login, address) as client`. All calls go over one connection.

    `address` is the caller's own. Every call raises AgentError in the server's words, or Unreachable. `timeout` is in
    real seconds, per call.
    """

    def __init__(self, login: Login, address: str, timeout: float = 30.0) -> None:
        self.login = login
        self._address = address
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._verify: ssl.SSLContext | aiohttp.Fingerprint | bool = True
        self._headers: dict[str, str] = {}
        self._key: Key | None = None
        self._sent: Manifest

    async def __aenter__(self) -> Self:
        if self.login.fingerprint:
            self._verify = aiohttp.Fingerprint(bytes.fromhex(self.login.fingerprint.replace(":", "")))
        connector = aiohttp.TCPConnector(limit=1, local_addr=(self._address, 0))
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        try:
            await self._log_in()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def _log_in(self) -> None:
        login = self.login
        if "!" in login.authid:
            self._headers = {"Authorization": f"PBSAPIToken={login.authid}:{login.secret}"}
            return
        found = await self.call("POST", "/access/ticket", username=login.authid, password=login.secret)
        self._headers = {
            "Cookie": f"PBSAuthCookie={quote(found['ticket'], safe='')}",
            "CSRFPreventionToken": found["CSRFPreventionToken"],
        }

    async def call(self, verb: str, path: str, **given: Any) -> Any:
        """One call of the API; `_` in the names of parameters stands for `-`. Returns `data`."""
        return (await self.reply(verb, path, **given))["data"]

    async def reply(self, verb: str, path: str, **given: Any) -> dict[str, Any]:
        """As `call`, with what stands beside `data`."""
        params = {name.replace("_", "-"): _text(value) for name, value in given.items() if value is not None}
        where = {"params": params} if verb in ("GET", "DELETE") else {"data": params}
        async with self._request(verb, f"/api2/json{path}", **where) as response:
            await _check(response)
            document: dict[str, Any] = await response.json(content_type=None)
            return document

    async def fetch(self, path: str, params: dict[str, str], verb: str = "GET", body: bytes | None = None) -> bytes:
        """The bytes behind a path that is not a call of the API."""
        async with self._request(verb, path, params=params, data=body) as response:
            await _check(response)
            return await response.read()

    def _request(self, verb: str, path: str, **how: Any) -> _Guarded:
        url = f"{self.login.url}{path}"
        return _Guarded(self._session.request(verb, url, headers=self._headers, ssl=self._verify, **how))

    # --- snapshots ----------------------------------------------------------------------------------------------

    async def file(self, store: str, snapshot: Snapshot, filename: str) -> bytes:
        """A file of a snapshot as it lies on the server."""
        params = {**where(store, snapshot), "file-name": filename}
        return await self.fetch(f"/api2/json/admin/datastore/{store}/download", params)

    async def chunk(self, store: str, snapshot: Snapshot, digest: bytes) -> bytes:
        """A chunk that the snapshot refers to, encoded as it lies on the server."""
        return await self.fetch("/transfer/chunk", {**where(store, snapshot), "digest": digest.hex()})

    async def manifest(self, store: str, snapshot: Snapshot, key: Key | None = None) -> Manifest:
        """What a snapshot consists of; with its key, raises AgentError if it is not what the key's owner wrote."""
        found = Manifest.decode(await self.file(store, snapshot, MANIFEST), snapshot)
        if found.fingerprint is not None and key is not None:
            if found.fingerprint != key.fingerprint:
                raise AgentError(
                    f"wrong key - manifest's key {found.fingerprint} does not match provided key {key.fingerprint}"
                )
            if found.signature != key.sign(found.signed):
                raise AgentError("wrong signature in manifest")
        return found

    async def blob(self, store: str, snapshot: Snapshot, filename: str, key: Key | None = None) -> bytes:
        """The data of a small file of a snapshot; raises DamagedBlob."""
        return decode(await self.file(store, snapshot, filename), key)

    async def begin_backup(self, store: str, snapshot: Snapshot, key: Key | None = None) -> None:
        """Start to write a snapshot over this connection, encrypted with `key`; it exists after `finish_backup`."""
        self._key, self._sent = key, Manifest(snapshot, ())
        await self._send("backup", where(store, snapshot))

    async def previous_index(self, filename: str) -> Index | None:
        """The index of that name in the group's last snapshot, whose chunks need not be sent again."""
        content = await self.fetch("/transfer/backup/previous", {"file-name": filename})
        try:
            return decode_index(content) if content else None
        except DamagedIndex:
            return None

    async def send_chunk(self, digest: bytes, data: bytes) -> None:
        """Store a chunk."""
        await self._send("backup/chunk", {"digest": digest.hex()}, encode(data, self._key))

    async def send_encoded_chunk(self, digest: bytes, blob: bytes) -> None:
        """Store a chunk in the form in which it lies on another server."""
        await self._send("backup/chunk", {"digest": digest.hex()}, blob)

    async def send_file(self, entry: BackupFile, content: bytes) -> None:
        """Add a file in the form in which it lies on another server; the chunks of an index are there already."""
        what = "backup/index" if is_index(entry.filename) else "backup/blob"
        await self._send(what, {"file-name": entry.filename, "crypt-mode": entry.crypt_mode}, content)

    async def finish_copy(self, manifest: Manifest) -> None:
        """Complete a snapshot that was sent file by file as it lies elsewhere."""
        seal = {"key-fingerprint": manifest.fingerprint, "signature": manifest.signature}
        await self._send("backup/finish", {name: value for name, value in seal.items() if value is not None})

    async def send_index(self, filename: str, index: Index) -> None:
        """Add an image or a stream; its chunks were sent, or stand in the previous index of that name."""
        await self._send("backup/index", self._adding(filename, index.size, index.checksum.hex()), index.encode())

    async def send_blob(self, filename: str, data: bytes) -> None:
        """Add a small file to the snapshot."""
        content = encode(data, self._key)
        await self._send(
            "backup/blob", self._adding(filename, len(content), hashlib.sha256(content).hexdigest()), content
        )

    def _adding(self, filename: str, size: int, csum: str) -> dict[str, str]:
        mode = "encrypt" if self._key else "none"
        self._sent = replace(self._sent, files=(*self._sent.files, BackupFile(filename, size, csum, mode)))
        return {"file-name": filename, "crypt-mode": mode}

    async def finish_backup(self) -> None:
        """Complete the snapshot."""
        key = self._key
        seal = {"key-fingerprint": key.fingerprint, "signature": key.sign(self._sent.signed)} if key else {}
        await self._send("backup/finish", seal)

    async def _send(self, what: str, params: dict[str, str], body: bytes = b"") -> bytes:
        return await self.fetch(f"/transfer/{what}", params, "POST", body)


class _Guarded:
    """An HTTP request whose failures are Unreachable."""

    def __init__(self, request: Any) -> None:
        self._request = request

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            response: aiohttp.ClientResponse = await self._request.__aenter__()
            await response.read()
        except (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError) as error:
            raise Unreachable("certificate verify failed") from error
        except aiohttp.ClientOSError as error:
            # a connection from a stack's own networks to anywhere else cannot even be begun
            number = errno.EHOSTUNREACH if error.errno == errno.EINVAL else error.errno
            raise Unreachable(os.strerror(number) if number else str(error)) from error
        except TimeoutError as error:
            raise Unreachable("Connection timed out") from error
        except aiohttp.ClientError as error:
            raise Unreachable("connection closed by the server") from error
        return response

    async def __aexit__(self, *exception: Any) -> None:
        await self._request.__aexit__(*exception)


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status != HTTPStatus.OK:
        text = (await response.text()).strip()
        raise AgentError(text or f"{response.status} {response.reason}", status=response.status)


def where(store: str, snapshot: Snapshot) -> dict[str, str]:
    """A snapshot in the parameters of calls."""
    group: Group = snapshot.group
    place = {"store": store, "backup-type": group.type, "backup-id": group.id, "backup-time": str(snapshot.time)}
    return {**place, "ns": group.ns} if group.ns else place


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
