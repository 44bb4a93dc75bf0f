# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority's keys, and the certificates that it signs: a root that is given to those who shall trust it, an issuer
below it, and the server certificate of the authority itself."""

from __future__ import annotations

import datetime
import ipaddress
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT, ISSUER, SERVER = "root", "issuer", "server"
YEARS = 10 * 365 * 86400.0
GRACE = 3600.0
"""Seconds before now from which a certificate is valid: clocks differ."""


@dataclass(frozen=True)
class Signer:
    """Who signs: a name and its key."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, directory: Path, stem: str) -> Signer:
        """The one of these files."""
        certificate = x509.load_pem_x509_certificate((directory / f"{stem}.pem").read_bytes())
        key = load_pem_private_key((directory / f"{stem}.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(certificate.subject, key)


def prepare(directory: Path, fqdn: str, address: str, title: str) -> None:
    """Make root, issuer and server certificate where there are none (NAME.pem, NAME.key)."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / f"{SERVER}.pem").exists():
        return
    root, issuer = (
        Signer(_name(f"{title} {word}"), ec.generate_private_key(ec.SECP256R1())) for word in ("Root", "R1")
    )
    key, now = ec.generate_private_key(ec.SECP256R1()), time.time()
    top = _certify(root, root.name, root.key.public_key(), YEARS, now=now, path_length=1)
    below = _certify(root, issuer.name, issuer.key.public_key(), YEARS, now=now, path_length=0)
    names = [x509.DNSName(fqdn), x509.IPAddress(ipaddress.ip_address(address))]
    server = _certify(issuer, _name(fqdn), key.public_key(), YEARS, now=now, names=names)
    for stem, private, chain in (
        (ROOT, root.key, [top]),
        (ISSUER, issuer.key, [below]),
        (SERVER, key, [server, below]),
    ):
        content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(directory / f"{stem}.key", content, 0o600)
        _write(directory / f"{stem}.pem", b"".join(each.public_bytes(Encoding.PEM) for each in chain), 0o644)


def issue(
    directory: Path, domains: Sequence[str], key: CertificatePublicKeyTypes, now: float, validity: float
) -> tuple[int, str]:
    """A certificate for domains, valid for so many seconds from now on: its serial number, and its chain in PEM."""
    made = _certify(
        Signer.load(directory, ISSUER),
        _name(next((domain for domain in domains if len(domain) <= 64), None)),
        key,
        validity,
        now=now,
        names=[x509.DNSName(domain) for domain in domains],
    )
    chain = made.public_bytes(Encoding.PEM).decode() + (directory / f"{ISSUER}.pem").read_text(encoding="ascii")
    return made.serial_number, chain


def _certify(
    signer: Signer,
    subject: x509.Name,
    key: CertificatePublicKeyTypes,
    validity: float,
    *,
    now: float,
    names: Sequence[x509.GeneralName] = (),
    path_length: int | None = None,
) -> x509.Certificate:
    """A certificate of an authority if it has a path length, else of a server; `now`: the moment (epoch) of issue."""
    is_authority = path_length is not None
    start = datetime.datetime.fromtimestamp(now - GRACE, datetime.UTC)
    own, above = x509.SubjectKeyIdentifier.from_public_key, x509.AuthorityKeyIdentifier.from_issuer_public_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(seconds=GRACE + validity))
        .add_extension(x509.BasicConstraints(is_authority, path_length), critical=True)
        .add_extension(_usage(is_authority), critical=True)
        .add_extension(own(key), critical=False)
        .add_extension(above(signer.key.public_key()), critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject)).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    return builder.sign(signer.key, hashes.SHA256())


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str | None) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
        stream.write(content)
