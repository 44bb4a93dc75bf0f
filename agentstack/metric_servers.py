# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's metric servers, in status.cfg (facts §16). Tokens lie apart, in priv/metricserver."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

from agentstack.errors import AgentError
from agentstack.sections import Entry, Kind, SectionFile, SectionType, check_digest

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "exists": "Metric server '{id}' already exists",
    "missing": "status server entry '{id}' does not exist",
    "tcp": "couldn't connect to {server}:{port} - {why}",
    "http": "500 Can't connect to {server}:{port} ({why})",
}

TIMEOUT = 5.0
"""Real seconds that a server has to take a connection in."""

_COMMON = ("comment", "disable", "mtu")
_REQUIRED = ("port", "server")

STATUS_CFG = SectionFile(
    "status.cfg",
    "file-status_cfg",
    {
        "graphite": SectionType(_REQUIRED, frozenset(), frozenset({*_COMMON, "path", "proto", "timeout"})),
        "influxdb": SectionType(
            _REQUIRED,
            frozenset(),
            frozenset(
                {
                    *(*_COMMON, "api-path-prefix", "bucket", "influxdbproto", "max-body-size", "organization"),
                    *("timeout", "token", "verify-certificate"),
                }
            ),
        ),
        "opentelemetry": SectionType(
            _REQUIRED,
            frozenset(),
            frozenset(
                {
                    *(*_COMMON, "otel-compression", "otel-headers", "otel-max-body-size", "otel-path"),
                    *("otel-protocol", "otel-resource-attributes", "otel-timeout", "otel-verify-ssl"),
                }
            ),
        ),
    },
    {
        **dict.fromkeys(("mtu", "port", "timeout", "max-body-size", "otel-max-body-size", "otel-timeout"), "integer"),
        **dict[str, Kind].fromkeys(("verify-certificate", "otel-verify-ssl"), "boolean"),
    },
)

SECRET = "token"


def _secret_path(ident: str) -> str:
    return f"priv/metricserver/{ident}.pw"


def read(host: Host) -> tuple[dict[str, Entry], str]:
    """All servers in the order of the file, and its digest."""
    return STATUS_CFG.read(host)


def get(host: Host, ident: str) -> tuple[Entry, str]:
    """One server, and the digest of the file. Raises AgentError."""
    entries, digest = read(host)
    if ident not in entries:
        raise AgentError(TEXTS["missing"].format(id=ident))
    return entries[ident], digest


async def create(host: Host, ident: str, kind: str, values: dict[str, Any]) -> None:
    """Add a server that takes connections, unless it is disabled."""
    secret = values.pop(SECRET, None)
    STATUS_CFG.check_create(kind, values | ({SECRET: secret} if secret is not None else {}))
    async with STATUS_CFG.locked(host):
        entries, _ = read(host)
        if ident in entries:
            raise AgentError(TEXTS["exists"].format(id=ident))
        entries[ident] = Entry(ident, kind, {key: value for key, value in values.items() if key != "disable" or value})
        await probe(entries[ident])
        await _store_secret(host, ident, secret)
        await STATUS_CFG.write(host, entries.values())


async def update(host: Host, ident: str, values: dict[str, Any], delete: str | None, digest: str | None) -> None:
    """Change a server; what comes of it has to take connections."""
    secret = values.pop(SECRET, None)
    async with STATUS_CFG.locked(host):
        entries, present = read(host)
        check_digest(present, digest)
        if ident not in entries:
            raise AgentError(TEXTS["missing"].format(id=ident))
        entry = entries[ident]
        STATUS_CFG.check_update(entry.type, values)
        STATUS_CFG.apply(entry, values, delete)
        await probe(entry)
        if SECRET in (delete or "").split(","):
            await _forget_secret(host, ident)
        await _store_secret(host, ident, secret)
        await STATUS_CFG.write(host, entries.values())


async def delete(host: Host, ident: str) -> None:
    """Remove a server and its token."""
    async with STATUS_CFG.locked(host):
        entries, _ = read(host)
        if ident not in entries:
            raise AgentError(TEXTS["missing"].format(id=ident))
        del entries[ident]
        await _forget_secret(host, ident)
        await STATUS_CFG.write(host, entries.values())


async def _store_secret(host: Host, ident: str, secret: str | None) -> None:
    if secret is not None:
        if not host.files.is_directory("priv/metricserver"):
            await host.files.mkdir("priv/metricserver", exist_ok=True)
        await host.files.write(_secret_path(ident), secret)


async def _forget_secret(host: Host, ident: str) -> None:
    if host.files.exists(_secret_path(ident)):
        await host.files.delete(_secret_path(ident))


# ---- whether somebody is there --------------------------------------------------------------------------------------


def _protocol(entry: Entry) -> str:
    """udp, tcp, http or https."""
    defaults = {"graphite": ("proto", "udp"), "influxdb": ("influxdbproto", "udp")}
    name, default = defaults.get(entry.type, ("otel-protocol", "https"))
    return str(entry.values.get(name, default))


async def probe(entry: Entry) -> None:
    """Raise AgentError if a server cannot be reached; one that is disabled, or spoken to by UDP, always passes."""
    protocol = _protocol(entry)
    if entry.values.get("disable") or protocol == "udp":
        return
    if protocol == "tcp":
        await _connect(entry)
    else:
        await _ask(entry, protocol)


async def _connect(entry: Entry) -> None:
    server, port = entry.values["server"], entry.values["port"]
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(server, port), TIMEOUT)
    except (OSError, TimeoutError, UnicodeError) as error:
        raise AgentError(TEXTS["tcp"].format(server=server, port=port, why=_why(error))) from error
    writer.close()
    await writer.wait_closed()


def health_url(values: Mapping[str, Any], protocol: str) -> str:
    """Where an InfluxDB server says how it is."""
    prefix = str(values.get("api-path-prefix", "")).strip("/")
    return f"{protocol}://{values['server']}:{values['port']}/{prefix + '/' if prefix else ''}health"


async def _ask(entry: Entry, protocol: str) -> None:
    values = entry.values
    otel = entry.type == "opentelemetry"
    verify = bool(values.get("otel-verify-ssl" if otel else "verify-certificate", 1))
    if otel:
        url = f"{protocol}://{values['server']}:{values['port']}{values.get('otel-path', '/v1/metrics')}"
    else:
        url = health_url(values, protocol)
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.request("POST" if otel else "GET", url, ssl=verify, json={} if otel else None) as answer,
        ):
            if answer.status >= 400:
                raise AgentError(f"{answer.status} {answer.reason}")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why = TEXTS["http"].format(server=values["server"], port=values["port"], why=_why(error))
        raise AgentError(why) from error


def _why(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    return "Connection timed out" if isinstance(error, TimeoutError) else str(error)
