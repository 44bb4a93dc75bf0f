# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of client-side encryption: the key file, its fingerprint, and what is done with a key.

The server never sees one. A key file is a JSON document as `proxmox-backup-client key create` writes it: `kdf` (null:
the key lies in it as it is; scrypt: under a password), `created`, `modified`, `data` (base64), `fingerprint`, `hint`.
Chunks are encrypted with AES-256-GCM; their names are SHA-256 over the data and a value that only owners of the key can
compute, so equal data of different keys have different names. That value and the fingerprint are derived by HKDF.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

SIZE = 32
_VECTOR, _NONCE = 16, 12
_SCRYPT = {"n": 65536, "r": 8, "p": 1}


class BrokenSeal(Exception):
    """Data that was not encrypted with this key, or was changed since."""


class BadKeyFile(ValueError):
    """A key file that cannot be read, or not without its password."""


@dataclass(frozen=True)
class Key:
    """A symmetric key of 32 bytes."""

    secret: bytes

    @classmethod
    def create(cls) -> Key:
        """A new random key."""
        return cls(os.urandom(SIZE))

    def _derived(self, purpose: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=SIZE, salt=None, info=purpose).derive(self.secret)

    @cached_property
    def _identity(self) -> bytes:
        return self._derived(b"chunk names")

    @cached_property
    def fingerprint(self) -> str:
        """What names the key without telling it: `ab:cd:…`, 32 bytes."""
        return self._derived(b"fingerprint").hex(":")

    def digest(self, data: bytes) -> bytes:
        """The name of a chunk."""
        hasher = hashlib.sha256(data)
        hasher.update(self._identity)
        return hasher.digest()

    def sign(self, document: Any) -> str:
        """An authentication code over a JSON document, in hex."""
        text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return hmac.new(self._derived(b"manifest"), text, hashlib.sha256).hexdigest()

    def seal(self, data: bytes) -> tuple[bytes, bytes, bytes]:
        """Initialisation vector, tag, and the encrypted data."""
        vector = os.urandom(_VECTOR)
        encryptor = Cipher(algorithms.AES(self.secret), modes.GCM(vector)).encryptor()
        sealed = encryptor.update(data) + encryptor.finalize()
        return vector, encryptor.tag, sealed

    def unseal(self, vector: bytes, tag: bytes, sealed: bytes) -> bytes:
        """Undo `seal`; raises BrokenSeal."""
        decryptor = Cipher(algorithms.AES(self.secret), modes.GCM(vector, tag)).decryptor()
        try:
            return decryptor.update(sealed) + decryptor.finalize()
        except InvalidTag as error:
            raise BrokenSeal from error

    def to_file(self, now: float, password: str | None = None, hint: str | None = None) -> str:
        """The key's file; under `password` it is of no use without it."""
        moment = datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")
        kdf: dict[str, Any] | None = None
        data = self.secret
        if password is not None:
            salt, nonce = os.urandom(SIZE), os.urandom(_NONCE)
            kdf = {"Scrypt": {**_SCRYPT, "salt": base64.b64encode(salt).decode()}}
            data = nonce + AESGCM(_stretched(password, salt, _SCRYPT)).encrypt(nonce, self.secret, None)
        document = {"kdf": kdf, "created": moment, "modified": moment, "data": base64.b64encode(data).decode()}
        return json.dumps({**document, "fingerprint": self.fingerprint} | ({"hint": hint} if hint else {}))

    @classmethod
    def from_file(cls, text: str, password: str | None = None) -> Key:
        """Read a key's file; raises BadKeyFile."""
        try:
            document = json.loads(text)
            kdf, data = document["kdf"], base64.b64decode(document["data"], validate=True)
            if kdf is not None:
                settings = kdf["Scrypt"]
                if password is None:
                    raise BadKeyFile("no password to unlock the key")
                salt = base64.b64decode(settings["salt"], validate=True)
                data = AESGCM(_stretched(password, salt, settings)).decrypt(data[:_NONCE], data[_NONCE:], None)
        except InvalidTag as error:
            raise BadKeyFile("wrong password for the key") from error
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise BadKeyFile(str(error) or "malformed key file") from error
        if len(data) != SIZE:
            raise BadKeyFile("got invalid key length")
        key = cls(data)
        if document.get("fingerprint", key.fingerprint) != key.fingerprint:
            raise BadKeyFile("the key's fingerprint is not the one in its file")
        return key


def _stretched(password: str, salt: bytes, settings: dict[str, Any]) -> bytes:
    kdf = Scrypt(salt=salt, length=SIZE, n=settings["n"], r=settings["r"], p=settings["p"])
    return kdf.derive(password.encode())
