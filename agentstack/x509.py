# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates as the products make them for themselves."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
import uuid
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
NODE_DAYS = 730

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def new_key() -> bytes:
    """A private RSA key of 2048 bits, PEM (some 40 ms)."""
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def make_ca(now: float) -> Pair:
    """The root certificate of a cluster (of one or more nodes), valid from `now` (seconds since the epoch).

    It has no key usage, as nothing has that `openssl req -x509` makes with its default configuration: clients that
    verify by this CA and insist on one (Python from 3.13 on) refuse the real one, too.
    """
    key = new_key()
    private = _private(key)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Proxmox Virtual Environment"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, str(uuid.uuid4())),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PVE Cluster Manager CA"),
        ]
    )
    builder = (
        _builder(name, name, private.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )
    return Pair(_sign(builder, private), key)


def make_node_certificate(ca: Pair, fqdn: str, addresses: list[str], now: float) -> Pair:
    """A node's certificate with a new key, signed by its cluster's CA; valid for its names and addresses."""
    key = new_key()
    private = _private(key)
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "PVE Cluster Node"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Proxmox Virtual Environment"),
            x509.NameAttribute(NameOID.COMMON_NAME, fqdn),
        ]
    )
    builder = (
        _builder(subject, issuer.subject, private.public_key(), now, NODE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_names(fqdn, addresses), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(_private(ca.key).public_key()), critical=False
        )
    )
    return Pair(_sign(builder, _private(ca.key)), key)


def make_self_signed(organisation: str, unit: str, fqdn: str, addresses: list[str], now: float) -> Pair:
    """A server certificate that vouches for itself."""
    key = new_key()
    private = _private(key)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, fqdn),
        ]
    )
    builder = (
        _builder(name, name, private.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(_names(fqdn, addresses), critical=False)
    )
    return Pair(_sign(builder, private), key)


def make_request(domains: list[str]) -> tuple[bytes, bytes]:
    """A new key (PEM), and a request for a certificate of that key and these domains (DER)."""
    key = new_key()
    # a common name is no longer than 64 characters
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain) for domain in domains[:1] if len(domain) <= 64])
    names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, critical=False)
    return key, builder.sign(_private(key), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def fingerprint(pem: bytes) -> str:
    """SHA-256 over the first certificate of a PEM text, as `AB:CD:…`; ValueError if it holds none."""
    match = _PEM.search(pem)
    if not match:
        raise ValueError("no certificate in PEM form")
    der = x509.load_pem_x509_certificate(match[0]).public_bytes(serialization.Encoding.DER)
    return _colons(hashlib.sha256(der).hexdigest())


def _colons(digest: str) -> str:
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)).upper()


def _names(fqdn: str, addresses: list[str]) -> x509.SubjectAlternativeName:
    ips = [ipaddress.ip_address(text) for text in dict.fromkeys(["127.0.0.1", "::1", *addresses])]
    return x509.SubjectAlternativeName(
        [
            *(x509.IPAddress(ip) for ip in ips),
            *(x509.DNSName(name) for name in dict.fromkeys(["localhost", fqdn.partition(".")[0], fqdn])),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: rsa.RSAPublicKey, now: float, days: int
) -> x509.CertificateBuilder:
    # a minute of grace: the clocks of those who look at it may be behind
    start = datetime.datetime.fromtimestamp(now, datetime.UTC) - datetime.timedelta(minutes=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )


def _sign(builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _private(pem: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key
