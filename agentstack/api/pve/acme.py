# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/acme: directories, and plugins for challenges."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from agentstack.acme import accounts, plugins
from agentstack.acme.client import Client
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.tables import load
from agentstack.errors import AgentError, ParameterError
from agentstack.sections import Entry, check_digest

TEXTS = {
    "exists": "ACME plugin ID '{id}' already exists",
    "missing": "ACME plugin '{id}' not defined",
    "standalone": "ACME plugin '{id}' is builtin and cannot be changed",
}

DIRECTORIES = {
    "Let's Encrypt V2": "https://acme-v02.api.letsencrypt.org/directory",
    "Let's Encrypt V2 Staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
DEFAULT_DIRECTORY = DIRECTORIES["Let's Encrypt V2"]

_CONTROL = frozenset({"id", "type", "delete", "digest"})


def _require(entries: Mapping[str, Entry], ident: str) -> Entry:
    if ident not in entries:
        raise AgentError(TEXTS["missing"].format(id=ident))
    return entries[ident]


def _stored(call: Call) -> dict[str, Any]:
    """The parameters as the file has them: the credentials of a DNS provider in one line."""
    values = {name: value for name, value in call.params.items() if name not in _CONTROL}
    if "data" in values:
        text = _decoded(values["data"])
        values["data"] = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return values


def _decoded(data: str) -> str:
    try:
        return plugins.decoded(data)
    except ValueError as error:
        raise ParameterError({"data": str(error)}) from error


def _shown(entry: Entry, digest: str) -> dict[str, Any]:
    values = dict(entry.values)
    if "data" in values:
        values["data"] = _decoded(values["data"])
    return {"plugin": entry.id, "type": entry.type, **values, "digest": digest}


@pve("GET", "/cluster/acme/plugins")
async def list_plugins(call: Call) -> Json:
    entries, digest = plugins.read(call.host)
    wanted = call.get("type")
    return shuffled(_shown(entry, digest) for entry in entries.values() if wanted in (None, entry.type))


@pve("GET", "/cluster/acme/plugins/{id}")
async def read_plugin(call: Call) -> Json:
    entries, digest = plugins.read(call.host)
    return _shown(_require(entries, call["id"]), digest)


@pve("POST", "/cluster/acme/plugins")
async def create_plugin(call: Call) -> Json:
    values = _stored(call)
    async with plugins.FILE.locked(call.host):
        entries, _ = plugins.read(call.host)
        if call["id"] in entries:
            raise AgentError(TEXTS["exists"].format(id=call["id"]))
        plugins.FILE.check_create(call["type"], values)
        entries[call["id"]] = Entry(call["id"], call["type"], values)
        await _write(call, entries)


@pve("PUT", "/cluster/acme/plugins/{id}")
async def update_plugin(call: Call) -> Json:
    values = _stored(call)
    async with plugins.FILE.locked(call.host):
        entries, digest = plugins.read(call.host)
        check_digest(digest, call.get("digest"))
        entry = _require(entries, call["id"])
        plugins.FILE.check_update(entry.type, values)
        plugins.FILE.apply(entry, values, call.get("delete"))
        await _write(call, entries)


@pve("DELETE", "/cluster/acme/plugins/{id}")
async def delete_plugin(call: Call) -> Json:
    async with plugins.FILE.locked(call.host):
        entries, _ = plugins.read(call.host)
        _require(entries, call["id"])
        if call["id"] == plugins.STANDALONE:
            raise AgentError(TEXTS["standalone"].format(id=call["id"]))
        del entries[call["id"]]
        await _write(call, entries)


async def _write(call: Call, entries: Mapping[str, Entry]) -> None:
    if not call.host.files.is_directory(accounts.DIRECTORY):
        await call.host.files.mkdir(accounts.DIRECTORY, exist_ok=True)
    await plugins.FILE.write(call.host, entries.values())


# ---- directories ----------------------------------------------------------------------------------------------------


@pve("GET", "/cluster/acme/directories")
async def list_directories(call: Call) -> Json:
    return [{"name": name, "url": url} for name, url in DIRECTORIES.items()]


@pve("GET", "/cluster/acme/challenge-schema")
async def challenge_schema(call: Call) -> Json:
    """The DNS providers; what each wants to know is free text here."""
    names = load("pve9")["/cluster/acme/plugins"]["POST"].params["api"]["enum"]
    return [{"id": name, "name": name, "type": "dns", "schema": {}} for name in names]


@pve("GET", "/cluster/acme/meta")
async def read_meta(call: Call) -> Json:
    return await _meta(call)


@pve("GET", "/cluster/acme/tos")
async def terms_of_service(call: Call) -> Json:
    return (await _meta(call)).get("termsOfService")


async def _meta(call: Call) -> dict[str, Any]:
    """What a directory says of itself; raises AgentError."""
    async with Client(call.host, call.get("directory", DEFAULT_DIRECTORY)) as client:
        return await client.meta()
