# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for certificates, and their revocation (RFC 8555 §7.4, §7.6)."""

from __future__ import annotations

import binascii
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from josepy.b64 import b64decode

from agentstack.authority import ca
from agentstack.authority.problems import Problem
from agentstack.authority.register import Issued, Order, Register, new_id
from agentstack.authority.requests import Signed

SMALLEST_RSA = 2048
REASONS = frozenset({0, 1, 3, 4, 5})
"""Of RFC 5280 §5.3.1, those that who has a certificate may give."""


def requested(signed: Signed, order: Order) -> x509.CertificateSigningRequest:
    """The request of a finalization, which is for the order's domains; raises Problem."""
    try:
        request = x509.load_der_x509_csr(b64decode(signed.content["csr"]))
        names = _names(request)
    except (KeyError, TypeError, ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise Problem("badCSR", f"Error parsing certificate request: {error}") from error
    if not request.is_signature_valid:
        raise Problem("badCSR", "invalid signature on CSR")
    if names != set(order.domains):
        raise Problem("badCSR", f"CSR names {', '.join(sorted(names))}, the order {', '.join(order.domains)}")
    key = request.public_key()
    good = isinstance(key, ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA
    )
    if not good:
        raise Problem("badCSR", "unsupported or too small key in CSR")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    account_key = signed.key.key.public_bytes(*form)
    if key.public_bytes(*form) == account_key:
        raise Problem("badCSR", "certificate public key must be different than account key")
    return request


def issue(
    directory: Path, order: Order, request: x509.CertificateSigningRequest, now: float, validity: float
) -> Issued:
    """The certificate."""
    _serial, chain = ca.issue(directory, order.domains, request.public_key(), now, validity)
    return Issued(new_id(), order.account, order.domains, chain)


def revoke(register: Register, signed: Signed) -> None:
    """Note that a certificate is not good any more; raises Problem. Its account may say so, and its own key."""
    try:
        wanted = x509.load_der_x509_certificate(b64decode(signed.content["certificate"]))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Problem("malformed", f"Unable to parse certificate: {error}") from error
    reason = signed.content.get("reason", 0)
    if reason not in REASONS:
        raise Problem("badRevocationReason", f"unsupported revocation reason code {reason!r}")
    form = wanted.public_bytes(Encoding.PEM).decode()
    found = next((each for each in register.certificates.values() if each.chain.startswith(form)), None)
    if found is None:
        raise Problem("malformed", "No such certificate", status=404)
    if signed.account is not None:
        allowed = found.account == signed.account.id
    else:
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        allowed = wanted.public_key().public_bytes(*spki) == signed.key.key.public_bytes(*spki)
    if not allowed:
        raise Problem("unauthorized", "The key ID specified in the revocation request does not match the certificate's")
    if found.revoked is not None:
        raise Problem("alreadyRevoked", "Certificate already revoked")
    found.revoked = int(reason)


def _names(request: x509.CertificateSigningRequest) -> set[str]:
    names = {str(each.value).lower() for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return names
    return names | {name.lower() for name in extension.value.get_values_for_type(x509.DNSName)}
