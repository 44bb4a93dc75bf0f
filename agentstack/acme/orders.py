# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders of a certificate for a node's domains, and its revocation.

The lines of the logs are those of the administration guide's examples, `pvenode acme cert order`.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.b64 import b64encode

from agentstack import jws
from agentstack import x509 as own
from agentstack.acme import accounts, plugins, proofs
from agentstack.acme.client import Client
from agentstack.errors import AgentError
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.sections import Entry

CERTIFICATE, KEY = "pveproxy-ssl.pem", "pveproxy-ssl.key"
RENEWED_BEFORE = 30 * 86400
"""Seconds before its end from which a certificate is renewed (documentation: certificate management)."""
PAUSE, LONGER = 5.0, 10.0
"""Seconds between two looks at what the authority thinks."""
PATIENCE = 60.0
"""Real seconds for the authority's decision on one domain, and for its certificate."""

TEXTS = {
    "invalid": "validating challenge '{url}' failed - status: {status}",
    "late": "validating challenge '{url}' failed - status: still {status}",
    "order": "finalizing order failed - status: {status}",
    "chain": "the authority sent no certificate",
}

_CHAIN = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def path(host: Host, name: str) -> str:
    """Where a node's own certificate or key is below /etc/pve."""
    return f"nodes/{host.name}/{name}"


async def order(host: Host, task: Task, account_name: str, domains: dict[str, str]) -> None:
    """The work of `acmenewcert` and `acmerenew`. `domains`: domain -> id of the plugin that proves it."""
    task.log("Loading ACME account details")
    account = accounts.read(host, account_name)
    ways = {domain: plugins.usable(host, plugin) for domain, plugin in domains.items()}
    async with account.client(host) as client:
        task.log("Placing ACME order")
        wish = {"identifiers": [{"type": "dns", "value": domain} for domain in domains]}
        placed = await client.post(await client.resource("newOrder"), wish)
        url, document = placed.headers.get("Location", ""), placed.json
        task.log(f"Order URL: {url}")
        for each in document.get("authorizations", ()):
            task.log(f"\nGetting authorization details from '{each}'")
            found = (await client.post(each, None)).json
            domain = str(found["identifier"]["value"])
            way = ways.get(f"*.{domain}" if found.get("wildcard") else domain)
            if found["status"] == "valid":
                task.log(f"{domain} is already validated!")
            elif way is not None:
                task.log(f"The validation for {domain} is pending!")
                await _prove(host, task, client, way, domain, each, found)
        task.log("\nAll domains validated!\n\nCreating CSR")
        key, request = await asyncio.to_thread(own.make_request, list(domains))
        chain = await _fetch(host, task, client, url, str(document["finalize"]), request)
    task.log("Setting pveproxy certificate and key")
    await host.files.write(path(host, KEY), key)
    await host.files.write(path(host, CERTIFICATE), chain)
    task.log("Restarting pveproxy")
    host.certificates.reload()


async def revoke(host: Host, task: Task, account_name: str) -> None:
    """The work of `acmerevoke`: the authority is told, then the node shows the cluster's certificate again."""
    task.log("Loading ACME account details")
    account = accounts.read(host, account_name)
    certificate = x509.load_pem_x509_certificate(host.files.read(path(host, CERTIFICATE)))
    task.log("Revoking old certificate")
    async with account.client(host) as client:
        form = b64encode(certificate.public_bytes(Encoding.DER)).decode()
        await client.post(await client.resource("revokeCert"), {"certificate": form, "reason": 0})
    task.log("Deleting certificate files")
    for name in (CERTIFICATE, KEY):
        await host.files.delete(path(host, name))
    task.log("Restarting pveproxy")
    host.certificates.reload()


def expires_soon(host: Host) -> bool:
    """Whether the node's own certificate ends within the time in which it is renewed."""
    certificate = x509.load_pem_x509_certificate(host.files.read(path(host, CERTIFICATE)))
    return certificate.not_valid_after_utc.timestamp() - host.clock.now() < RENEWED_BEFORE


async def _prove(
    host: Host, task: Task, client: Client, way: Entry, domain: str, url: str, found: dict[str, Any]
) -> None:
    assert client.key is not None
    thumbprint = jws.thumbprint(client.key)
    async with proofs.proven(host, task, client, way, domain, found["challenges"], thumbprint) as challenge:
        task.log("Triggering validation")
        await client.post(challenge, {})
        task.log("Sleeping for 5 seconds")
        await host.clock.sleep(PAUSE)
        until = time.monotonic() + PATIENCE
        while (status := (await client.post(url, None)).json["status"]) == "pending":
            if time.monotonic() > until:
                raise AgentError(TEXTS["late"].format(url=url, status=status))
            task.log("Status is still 'pending', trying again in 10 seconds")
            await host.clock.sleep(LONGER)
        if status != "valid":
            raise AgentError(TEXTS["invalid"].format(url=url, status=status))
        task.log(f"Status is 'valid', domain '{domain}' OK!")


async def _fetch(host: Host, task: Task, client: Client, url: str, finalize: str, request: bytes) -> str:
    """The chain of an order whose domains are proven."""
    task.log("Checking order status")
    document = (await client.post(url, None)).json
    until = time.monotonic() + PATIENCE
    finalized = False
    while document["status"] != "valid":
        if document["status"] == "ready" and not finalized:
            task.log("Order is ready, finalizing order")
            document = (await client.post(finalize, {"csr": b64encode(request).decode()})).json
            finalized = True
        elif document["status"] in ("ready", "processing") and time.monotonic() < until:
            await host.clock.sleep(PAUSE)
            document = (await client.post(url, None)).json
        else:
            raise AgentError(TEXTS["order"].format(status=document["status"]))
    task.log("valid!\n\nDownloading certificate")
    chain = "".join(_CHAIN.findall((await client.post(str(document["certificate"]), None)).text))
    if not chain:
        raise AgentError(TEXTS["chain"])
    return chain
