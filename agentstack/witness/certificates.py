# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates between qnetd and the nodes of a cluster: what the two certutil commands make of files.

Witness: a CA and a server certificate. Cluster: one key and certificate for all nodes, signed by that CA, its name the
cluster's. The real tools keep them in an NSS database under the same directories.
"""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from agentstack.x509 import CA_DAYS, Pair, make_ca, make_node_certificate, new_key

QNETD = "etc/corosync/qnetd/nssdb"
QDEVICE = "etc/corosync/qdevice/net/nssdb"
CA_CERTIFICATE = "qnetd-cacert.crt"
REQUEST = "qdevice-net-node.crq"
BUNDLE = "qdevice-net-node.p12"
_CA_KEY, _SERVER = "ca-key.pem", "server.pem"
_KEY, _CLIENT = "key.pem", "client.pem"


def init_witness(directory: Path, fqdn: str, addresses: list[str], now: float) -> None:
    """Make the witness's CA and server certificate."""
    ca = make_ca(now)
    server = make_node_certificate(ca, fqdn, addresses, now)
    directory.mkdir(parents=True, exist_ok=True)
    _keep(directory / _CA_KEY, ca.key)
    _keep(directory / _SERVER, server.certificate + server.key)
    _keep(directory / CA_CERTIFICATE, ca.certificate)


def sign(directory: Path, request: bytes, now: float) -> bytes:
    """A cluster's certificate, PEM, from its request, DER."""
    wanted = x509.load_der_x509_csr(request)
    ca = x509.load_pem_x509_certificate((directory / CA_CERTIFICATE).read_bytes())
    key = serialization.load_pem_private_key((directory / _CA_KEY).read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    start = datetime.datetime.fromtimestamp(now, datetime.UTC) - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(wanted.subject)
        .issuer_name(ca.subject)
        .public_key(wanted.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=CA_DAYS))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def request(directory: Path, cluster: str) -> None:
    """Make the cluster's key and a request for its certificate."""
    key = new_key()
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, rsa.RSAPrivateKey)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cluster)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    _keep(directory / _KEY, key)
    _keep(directory / REQUEST, made.public_bytes(serialization.Encoding.DER))


def import_signed(directory: Path, certificate: bytes) -> None:
    """Take the signed certificate, and bundle it with the key for the other nodes."""
    _use(directory, Pair(certificate, (directory / _KEY).read_bytes()))


def import_bundle(directory: Path, bundle: bytes) -> None:
    """Take the certificate and key that another node has bundled."""
    key, certificate, _ = pkcs12.load_key_and_certificates(bundle, None)
    if key is None or certificate is None:
        raise ValueError("no key in the bundle")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _use(directory, Pair(certificate.public_bytes(serialization.Encoding.PEM), pem))


def _use(directory: Path, pair: Pair) -> None:
    key = serialization.load_pem_private_key(pair.key, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    plain = serialization.NoEncryption()
    bundle = pkcs12.serialize_key_and_certificates(b"Cluster Cert", key, certificate, None, plain)
    _keep(directory / _CLIENT, pair.certificate + pair.key)
    _keep(directory / BUNDLE, bundle)


def server_context(directory: Path) -> ssl.SSLContext:
    """For qnetd: only clients whose certificate its own CA has signed. OSError if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / _SERVER)
    context.load_verify_locations(directory / CA_CERTIFICATE)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(directory: Path) -> ssl.SSLContext:
    """For qdevice: only the witness whose CA was imported. OSError if the certificates are missing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_cert_chain(directory / _CLIENT)
    context.load_verify_locations(directory / CA_CERTIFICATE)
    return context


def _keep(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
