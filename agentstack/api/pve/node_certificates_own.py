# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/certificates/custom: certificates that a node gets from elsewhere (facts §18)."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from agentstack.acme.orders import CERTIFICATE, KEY, path
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.pve.node_certificates import describe
from agentstack.errors import AgentError, ParameterError

TEXTS = {
    "exists": "Custom certificate exists but 'force' is not set.",
    "no_key": "Attempted to upload custom certificate without (existing) key.",
    "mismatch": "key does not match the certificate",
    "pem": "invalid format - value does not look like a valid PEM-formatted certificate chain\n",
    "key": "invalid format - value does not look like a valid PEM-formatted string\n",
}

CUSTOM = "/nodes/{node}/certificates/custom"


def _check_pair(chain: str, key: str) -> None:
    """Refuse what is no chain, no key, or a key of another certificate."""
    try:
        first = load_pem_x509_certificates(chain.encode())[0]
    except (ValueError, IndexError):
        raise ParameterError({"certificates": TEXTS["pem"]}) from None
    try:
        private = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError):
        raise ParameterError({"key": TEXTS["key"]}) from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != first.public_key().public_bytes(*form):
        raise AgentError(TEXTS["mismatch"])


@pve("POST", CUSTOM)
async def upload(call: Call) -> Json:
    """The first certificate of the chain comes back; the API shows it after its restart (`restart`)."""
    host = call.host
    files = host.files
    chain = re.sub(r"\r\n?", "\n", call["certificates"]).strip() + "\n"
    key = call.get("key")
    if files.exists(path(host, CERTIFICATE)) and not call.get("force"):
        raise ParameterError({"force": TEXTS["exists"]})
    if key is None:
        if not files.exists(path(host, KEY)):
            raise ParameterError({"key": TEXTS["no_key"]})
        key = files.read_text(path(host, KEY))
    _check_pair(chain, key)
    await files.write(path(host, KEY), key.strip() + "\n")
    await files.write(path(host, CERTIFICATE), chain)
    if call.get("restart"):
        host.certificates.reload()
    return {"filename": CERTIFICATE, **describe(chain.encode())}


@pve("DELETE", CUSTOM)
async def delete(call: Call) -> Json:
    host = call.host
    for name in (CERTIFICATE, KEY):
        if host.files.exists(path(host, name)):
            await host.files.delete(path(host, name))
    if call.get("restart"):
        host.certificates.reload()
