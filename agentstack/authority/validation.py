# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at proofs of control over domains, as a stranger on the stack's management network does (RFC 8555 §8)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import aiohttp

from agentstack.authority.problems import Problem
from agentstack.stack import Authority, Stack

PATIENCE = 10.0
"""Real seconds for which a domain's web server is waited for."""
LARGEST = 4096
"""Bytes of an answer that are read."""
KEPT = 2
"""Values of a record that acme-dns keeps: a domain and its wildcard are proven at once."""

HTTP, DNS = "http-01", "dns-01"


class Names:
    """The name service that the authority asks: names of hosts, and those that the stack file adds."""

    def __init__(self, stack: Stack, authority: Authority) -> None:
        hosts = stack.hosts
        self._addresses = {f"{host.name}.{stack.name}.test".lower(): host.address for host in hosts.values()}
        self._addresses |= {domain: hosts[host].address for domain, host in authority.names.items()}
        self._delegated = {domain: account.subdomain for domain, account in authority.dns.items()}
        self._texts: dict[str, list[str]] = {}

    def address(self, domain: str) -> str:
        """The domain's address; raises Problem."""
        if domain not in self._addresses:
            raise Problem("dns", f"DNS problem: NXDOMAIN looking up A for {domain} - check that a DNS record exists")
        return self._addresses[domain]

    def texts(self, domain: str) -> list[str]:
        """TXT records of `_acme-challenge.DOMAIN`; raises Problem."""
        if domain not in self._delegated:
            raise Problem("dns", f"DNS problem: NXDOMAIN looking up TXT for _acme-challenge.{domain}")
        return self._texts.get(self._delegated[domain], [])

    def write(self, subdomain: str, text: str) -> None:
        """Add a TXT record to a subdomain of acme-dns, the oldest goes."""
        self._texts[subdomain] = [*self._texts.get(subdomain, ()), text][-KEPT:]


async def look(names: Names, authority: Authority, kind: str, domain: str, token: str, proof: str) -> None:
    """Return if the proof is there; raises Problem. `proof`: the key authorization."""
    if kind == HTTP:
        await _fetch(names.address(domain), authority, domain, token, proof)
        return
    wanted = base64.urlsafe_b64encode(hashlib.sha256(proof.encode()).digest()).decode().rstrip("=")
    found = names.texts(domain)
    if wanted not in found:
        said = f'Incorrect TXT record "{found[-1]}" found at' if found else "No TXT record found at"
        raise Problem("unauthorized", f"{said} _acme-challenge.{domain}")


async def _fetch(address: str, authority: Authority, domain: str, token: str, proof: str) -> None:
    path = f"/.well-known/acme-challenge/{token}"
    shown = f"http://{domain}{path}"
    headers: Mapping[str, str] = {"Host": domain, "User-Agent": "agentstack authority", "Accept": "*/*"}
    connector = aiohttp.TCPConnector(local_addr=(authority.address, 0), force_close=True)
    limit = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit, trust_env=False) as session,
            session.get(
                f"http://{address}:{authority.http_port}{path}", headers=headers, allow_redirects=False
            ) as answer,
        ):
            body = (await answer.content.read(LARGEST)).decode("utf-8", "replace").rstrip()
            if answer.status != 200:
                raise Problem("unauthorized", f"{address}: Invalid response from {shown}: {answer.status}")
    except TimeoutError as error:
        raise Problem("connection", f"{address}: Fetching {shown}: Timeout during connect") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Problem("connection", f"{address}: Fetching {shown}: {_reason(error)}") from error
    if body != proof:
        raise Problem(
            "unauthorized",
            f'{address}: The key authorization file from the server did not match this challenge. Expected "{proof}" '
            f'(got "{body[:100]}")',
        )


def _reason(error: Exception) -> str:
    why = getattr(error, "os_error", None) or error
    return (
        "Connection refused" if isinstance(why, ConnectionRefusedError) else str(why) or "Error getting validation data"
    )
