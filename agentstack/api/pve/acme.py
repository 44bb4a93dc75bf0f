# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/acme: directories, plugins for challenges, and what accounts there are."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.tables import load
from agentstack.errors import AgentError, ParameterError
from agentstack.sections import Entry, SectionFile, SectionType, check_digest

TEXTS = {
    "exists": "ACME plugin ID '{id}' already exists",
    "missing": "ACME plugin '{id}' not defined",
    "standalone": "ACME plugin '{id}' is builtin and cannot be changed",
    "data": "unable to decode data",
    "no_account": "ACME account config file '{name}' does not exist.",
    "unreachable": "GET on '{url}' failed: {why}",
}

DIRECTORIES = {
    "Let's Encrypt V2": "https://acme-v02.api.letsencrypt.org/directory",
    "Let's Encrypt V2 Staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
DEFAULT_DIRECTORY = DIRECTORIES["Let's Encrypt V2"]
ACCOUNTS = "priv/acme"
STANDALONE = "standalone"
TIMEOUT = 10.0
"""Real seconds for which a directory is waited for."""

_CONTROL = frozenset({"id", "type", "delete", "digest"})

PLUGINS_CFG = SectionFile(
    "priv/acme/plugins.cfg",
    "file-priv_acme_plugins_cfg",
    {
        "dns": SectionType(("api",), frozenset(), frozenset({"data", "disable", "nodes", "validation-delay"})),
        "standalone": SectionType((), frozenset(), frozenset({"disable", "nodes"})),
    },
    {"validation-delay": "integer"},
)


def _plugins(call: Call) -> tuple[dict[str, Entry], str]:
    """All plugins; the one that needs no configuration is always there."""
    entries, digest = PLUGINS_CFG.read(call.host)
    entries.setdefault(STANDALONE, Entry(STANDALONE, "standalone"))
    return entries, digest


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
        plain = data.strip().rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ParameterError({"data": TEXTS["data"]}) from None


def _shown(entry: Entry, digest: str) -> dict[str, Any]:
    values = dict(entry.values)
    if "data" in values:
        values["data"] = _decoded(values["data"])
    return {"plugin": entry.id, "type": entry.type, **values, "digest": digest}


@pve("GET", "/cluster/acme/plugins")
async def list_plugins(call: Call) -> Json:
    entries, digest = _plugins(call)
    wanted = call.get("type")
    return shuffled(_shown(entry, digest) for entry in entries.values() if wanted in (None, entry.type))


@pve("GET", "/cluster/acme/plugins/{id}")
async def read_plugin(call: Call) -> Json:
    entries, digest = _plugins(call)
    return _shown(_require(entries, call["id"]), digest)


@pve("POST", "/cluster/acme/plugins")
async def create_plugin(call: Call) -> Json:
    values = _stored(call)
    async with PLUGINS_CFG.locked(call.host):
        entries, _ = _plugins(call)
        if call["id"] in entries:
            raise AgentError(TEXTS["exists"].format(id=call["id"]))
        PLUGINS_CFG.check_create(call["type"], values)
        entries[call["id"]] = Entry(call["id"], call["type"], values)
        await _write(call, entries)


@pve("PUT", "/cluster/acme/plugins/{id}")
async def update_plugin(call: Call) -> Json:
    values = _stored(call)
    async with PLUGINS_CFG.locked(call.host):
        entries, digest = _plugins(call)
        check_digest(digest, call.get("digest"))
        entry = _require(entries, call["id"])
        PLUGINS_CFG.check_update(entry.type, values)
        PLUGINS_CFG.apply(entry, values, call.get("delete"))
        await _write(call, entries)


@pve("DELETE", "/cluster/acme/plugins/{id}")
async def delete_plugin(call: Call) -> Json:
    async with PLUGINS_CFG.locked(call.host):
        entries, _ = _plugins(call)
        _require(entries, call["id"])
        if call["id"] == STANDALONE:
            raise AgentError(TEXTS["standalone"].format(id=call["id"]))
        del entries[call["id"]]
        await _write(call, entries)


async def _write(call: Call, entries: Mapping[str, Entry]) -> None:
    if not call.host.files.is_directory(ACCOUNTS):
        await call.host.files.mkdir(ACCOUNTS, exist_ok=True)
    await PLUGINS_CFG.write(call.host, entries.values())


# ---- accounts -------------------------------------------------------------------------------------------------------


@pve("GET", "/cluster/acme/account")
async def list_accounts(call: Call) -> Json:
    files = call.host.files
    names = files.listdir(ACCOUNTS) if files.is_directory(ACCOUNTS) else []
    return [{"name": name} for name in names if name != "plugins.cfg"]


@pve("GET", "/cluster/acme/account/{name}")
async def read_account(call: Call) -> Json:
    path = f"{ACCOUNTS}/{call['name']}"
    if call["name"] == "plugins.cfg" or not call.host.files.exists(path):
        raise ParameterError({"name": TEXTS["no_account"].format(name=call["name"])})
    stored = json.loads(call.host.files.read_text(path))
    # the account's private key stays where it is
    return {key: stored[key] for key in ("account", "directory", "location", "tos") if key in stored}


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
    return await _meta(call.get("directory", DEFAULT_DIRECTORY))


@pve("GET", "/cluster/acme/tos")
async def terms_of_service(call: Call) -> Json:
    return (await _meta(call.get("directory", DEFAULT_DIRECTORY))).get("termsOfService")


async def _meta(url: str) -> dict[str, Any]:
    """What a directory says of itself; raises AgentError."""
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
            if answer.status != 200:
                raise AgentError(TEXTS["unreachable"].format(url=url, why=f"{answer.status} {answer.reason}"))
            found: dict[str, Any] = (await answer.json(content_type=None)).get("meta", {})
            return found
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        raise AgentError(TEXTS["unreachable"].format(url=url, why=str(error) or "timeout")) from error
