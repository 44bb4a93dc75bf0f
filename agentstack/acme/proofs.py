# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs that a domain is this node's: an answer on port 80, or a record in the domain's name service (RFC 8555 §8)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from agentstack.acme import plugins
from agentstack.acme.client import Client
from agentstack.errors import AgentError
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.sections import Entry

HTTP_PORT = 80
DELAY = 30
"""Seconds from the record's being written until the authority is told to look (facts: the schema's default)."""
PATIENCE = 30.0
"""Real seconds for a name service's answer."""

TEXTS = {
    "no_server": "Failed to initialize HTTP daemon: {why}",
    "no_way": "The authority does not offer the challenge type {kind} for '{domain}'",
    "script": "command 'setpriv --reuid nobody --regid nogroup --clear-groups --reset-env -- /bin/bash "
    "/usr/share/proxmox-acme/proxmox-acme {action} {api} {domain}' failed: exit code 1",
}


@asynccontextmanager
async def proven(
    host: Host,
    task: Task,
    client: Client,
    plugin: Entry,
    domain: str,
    challenges: list[dict[str, Any]],
    thumbprint: str,
) -> AsyncIterator[str]:
    """While this is open the proof can be looked at: the URL of the challenge to trigger. Raises AgentError."""
    kind = "http-01" if plugin.type == plugins.STANDALONE else "dns-01"
    found = next((each for each in challenges if each.get("type") == kind), None)
    if found is None:
        raise AgentError(TEXTS["no_way"].format(kind=kind, domain=domain))
    token, proof = str(found["token"]), f"{found['token']}.{thumbprint}"
    if kind == "http-01":
        task.log("Setting up webserver")
        runner = await _serve(host, token, proof)
        try:
            yield str(found["url"])
        finally:
            await runner.cleanup()
        return
    text = base64.urlsafe_b64encode(hashlib.sha256(proof.encode()).digest()).decode().rstrip("=")
    await _record(host, task, client, plugin, domain, text)
    task.log(f"Add TXT record: _acme-challenge.{domain}")
    delay = int(plugin.values.get("validation-delay", DELAY))
    task.log(f"Sleeping {delay} seconds to wait for TXT record propagation")
    await host.clock.sleep(delay)
    try:
        yield str(found["url"])
    finally:
        # acme-dns keeps the last two, and has no way to remove one
        task.log(f"Remove TXT record: _acme-challenge.{domain}")


async def _serve(host: Host, token: str, proof: str) -> web.AppRunner:
    """A web server on the node's own address that answers for one token."""

    async def answer(request: web.Request) -> web.Response:
        if request.match_info["token"] != token:
            raise web.HTTPNotFound
        return web.Response(text=proof, content_type="text/plain")

    app = web.Application()
    app.add_routes([web.get("/.well-known/acme-challenge/{token}", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    authority = host.stack.authority
    try:
        await web.TCPSite(runner, host.address, authority.http_port if authority else HTTP_PORT).start()
    except OSError as error:
        await runner.cleanup()
        raise AgentError(TEXTS["no_server"].format(why=error.strerror or error)) from error
    host.network.guard()
    return runner


async def _record(host: Host, task: Task, client: Client, plugin: Entry, domain: str, text: str) -> None:
    """Write a TXT record as the provider's script does. Only acme-dns can be reached from a stack."""
    api = str(plugin.values["api"])
    failed = AgentError(TEXTS["script"].format(action="setup", api=api, domain=domain))
    if api != "acmedns":
        task.log(f"{api}: the provider's API cannot be reached")
        raise failed
    pairs = (line.partition("=") for line in plugins.decoded(plugin.values.get("data", "")).splitlines())
    data = {name.strip().removeprefix("ACMEDNS_"): value.strip().strip("\"'") for name, _, value in pairs}
    url = f"{data.get('BASE_URL', '').rstrip('/')}/update"
    headers = {"X-Api-User": data.get("USERNAME", ""), "X-Api-Key": data.get("PASSWORD", "")}
    body = {"subdomain": data.get("SUBDOMAIN", ""), "txt": text}
    try:
        async with client.session.post(url, json=body, headers=headers) as answer:
            said = (await answer.text()).strip()
            good = answer.status == 200
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        said, good = str(error) or "timeout", False
    if not good:
        task.log(f"invalid response of acme-dns: {said}")
        raise failed
