# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate a server must show: fingerprints, and the file of those learnt from members.

Private to this collection.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ._errors import ConnectError, InputError, TrustError
from ._whole_files import replace_file

_HEX = re.compile(r"[0-9A-F]{64}")
NEXT = "next"


def normalise_fingerprint(text: str) -> str:
    """``aa:bb…`` or ``aabb…`` as ``AA:BB:…``. Raises :class:`InputError` for anything but 32 bytes."""
    digits = re.sub(r"[\s:]", "", text).upper().removeprefix("SHA256")
    if not _HEX.fullmatch(digits):
        raise InputError(f"'{text}' is not a SHA-256 fingerprint", hint="It has 32 bytes, such as AB:CD:….")
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


def fingerprint_of(certificate: bytes) -> str:
    """The fingerprint of a certificate in DER form."""
    return normalise_fingerprint(hashlib.sha256(certificate).hexdigest())


class PinnedContext(ssl.SSLContext):
    """TLS that ends before the first byte of the request unless the peer's certificate has an accepted fingerprint.

    With ``accepted`` None every certificate does.
    """

    accepted: frozenset[str] | None = None

    @classmethod
    def create(cls, accepted: frozenset[str] | None) -> PinnedContext:
        """A context without certification authorities (which take 25 ms to load)."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.accepted = accepted
        return context

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        wrapped = super().wrap_socket(sock, *args, **kwargs)
        if self.accepted is not None:
            shown = fingerprint_of(wrapped.getpeercert(binary_form=True) or b"")
            if shown not in self.accepted:
                peer = wrapped.getpeername()[0]
                wrapped.close()
                raise TrustError(
                    f"the certificate of {peer} has the fingerprint {shown}, which is not among the accepted ones"
                    f" ({', '.join(sorted(self.accepted))}); nothing was sent",
                    hint="If this is the right machine, correct its fingerprint (pve_fingerprint or pbs_fingerprint "
                    "in the inventory, or the trust file).",
                )
        return wrapped


def shown_fingerprint(address: str, port: int, timeout: float) -> str:
    """The fingerprint of the certificate that a server shows. Raises :class:`ConnectError` if none answers."""
    try:
        with (
            socket.create_connection((address, port), timeout) as raw,
            PinnedContext.create(None).wrap_socket(raw) as tls,
        ):
            return fingerprint_of(tls.getpeercert(binary_form=True) or b"")
    except OSError as error:
        raise ConnectError(f"no answer from {address}:{port}: {error.strerror or error}") from error


def vouched_fingerprint(address: str, port: int, name: str, ca_file: Path | None, timeout: float) -> str:
    """As :func:`shown_fingerprint`, if an authority vouches for it to be ``name``'s; else :class:`TrustError`."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    try:
        with (
            socket.create_connection((address, port), timeout) as raw,
            context.wrap_socket(raw, server_hostname=name) as tls,
        ):
            return fingerprint_of(tls.getpeercert(binary_form=True) or b"")
    except ssl.SSLError as error:
        raise TrustError(
            f"no authority that is trusted here vouches for the certificate of {address}: {error}"
        ) from error
    except OSError as error:
        raise ConnectError(f"no answer from {address}:{port}: {error.strerror or error}") from error


def read_trust_file(path: Path | None) -> dict[str, str]:
    """Fingerprints by address. A file that is not there holds none. Raises :class:`InputError` if it cannot be read."""
    return {address: found[0] for address, found in _read(path).items()}


def _read(path: Path | None) -> dict[str, list[str]]:
    """By address what a server shows, then what it may have been made to show since."""
    if path is None or not path.exists():
        return {}
    try:
        nodes = json.loads(path.read_text("utf-8"))["nodes"]
        return {
            address: [normalise_fingerprint(text) for text in (entry["fingerprint"], *entry.get(NEXT, ()))]
            for address, entry in nodes.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the trust file {path} cannot be read: {error}", hint="Remove it to start afresh from the fingerprints."
        ) from error


def record_trust(path: Path | None, address: str, node: str, fingerprint: str) -> bool:
    """Note a fingerprint in the trust file, and return whether that was new. Without a file nothing is noted.

    Several clusters may be built side by side with one file: it is locked while it is rewritten.
    """
    if path is None or read_trust_file(path).get(address) == fingerprint:
        return False
    _rewrite(path, lambda nodes: nodes.update({address: {"node": node, "fingerprint": fingerprint}}))
    return True


def expect_trust(path: Path | None, address: str, node: str, fingerprint: str) -> None:
    """Note what a server may show soon, beside what it shows: a certificate can be taken without an answer."""

    def change(nodes: dict[str, Any]) -> None:
        entry = nodes.setdefault(address, {"node": node, "fingerprint": fingerprint})
        entry[NEXT] = [*entry.get(NEXT, ()), fingerprint]

    if path is not None and fingerprint not in _read(path).get(address, ()):
        _rewrite(path, change)


def forget_trust(path: Path | None, address: str) -> None:
    """Strike out what was noted of a server that is gone."""
    if path is not None and address in read_trust_file(path):
        _rewrite(path, lambda nodes: nodes.pop(address))


def _rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {"nodes": {}}
        change(content["nodes"])
        replace_file(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
    finally:
        os.close(lock)


def accepted_fingerprints(given: Iterable[str], trust_file: Path | None, address: str) -> frozenset[str]:
    """What a server at ``address`` may show; empty if nothing is known of it and authorities must be asked.

    A certificate learnt from a member of the cluster is the server's newest; those given are from before it joined.
    """
    return frozenset([*map(normalise_fingerprint, given), *_read(trust_file).get(address, ())])
