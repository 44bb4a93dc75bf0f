# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/certificates: what a node shows (facts §18; observed: calls)."""

from __future__ import annotations

import ipaddress

from cryptography.x509 import (
    Certificate,
    DNSName,
    ExtensionNotFound,
    IPAddress,
    Name,
    SubjectAlternativeName,
    load_pem_x509_certificate,
)
from cryptography.x509.oid import NameOID

from agentstack import x509
from agentstack.api.endpoint import Call, Json, pve

_SHORT = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.COUNTRY_NAME: "C",
}
_KEY_TYPES = {"RSAPublicKey": "rsaEncryption", "EllipticCurvePublicKey": "id-ecPublicKey"}


@pve("GET", "/nodes/{node}/certificates/info")
async def certificate_info(call: Call) -> Json:
    own = f"nodes/{call.host.name}"
    shown = ("pve-root-ca.pem", f"{own}/pve-ssl.pem", f"{own}/pveproxy-ssl.pem")
    files = call.host.files
    return [{"filename": path.rpartition("/")[2], **describe(files.read(path))} for path in shown if files.exists(path)]


def describe(pem: bytes) -> dict[str, Json]:
    """A certificate as the API shows it."""
    certificate = load_pem_x509_certificate(pem)
    key = certificate.public_key()
    return {
        "fingerprint": x509.fingerprint(pem),
        "subject": _name(certificate.subject),
        "issuer": _name(certificate.issuer),
        "notbefore": int(certificate.not_valid_before_utc.timestamp()),
        "notafter": int(certificate.not_valid_after_utc.timestamp()),
        "san": _alternatives(certificate),
        "pem": pem.decode(),
        "public-key-type": next((word for kind, word in _KEY_TYPES.items() if kind in type(key).__name__), "unknown"),
        "public-key-bits": getattr(key, "key_size", 0),
    }


def _name(name: Name) -> str:
    return "".join(f"/{_SHORT.get(part.oid, part.oid.dotted_string)}={part.value!s}" for part in name)


def _alternatives(certificate: Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    texts = []
    for name in found:
        if isinstance(name, IPAddress):
            # version 6 is written in full (observed: calls)
            address = name.value
            texts.append(address.exploded.upper() if isinstance(address, ipaddress.IPv6Address) else str(address))
        elif isinstance(name, DNSName):
            texts.append(name.value)
    return texts
