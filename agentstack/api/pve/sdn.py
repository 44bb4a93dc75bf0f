# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/sdn: the objects of software-defined networks, and how they come into effect."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError
from agentstack.sdn import config, rules
from agentstack.sdn.config import CONTROLLERS, DNS, IPAMS, LOCK, SUBNETS, VNETS, ZONES, ObjectKind, Objects
from agentstack.sections import Entry, check_digest
from agentstack.tasks import Task

TEXTS = {
    "exists": "sdn {label} object ID '{id}' already defined",
    "missing": "sdn '{id}' does not exist",
    "locked": "sdn configuration is locked - a valid lock-token is required",
    "token": "invalid lock-token",
    "pending": "sdn configuration has pending changes",
    "builtin": "ipam 'pve' is builtin",
}

LOCK_FILE = "sdn/.lock"
ARRAYS = {"dhcp-range": ";", "secondary-controllers": ","}
"""Properties that are arrays in the API, with what separates their items in the files."""

_SEE = ["SDN.Audit", "SDN.Allocate"]
_CONTROL = frozenset({"type", "delete", "digest", "lock-token", "pending", "running"})


# ---- lock -----------------------------------------------------------------------------------------------------------


def _check_token(call: Call) -> None:
    """Whoever changes something while the configuration is locked needs the token of the lock."""
    token = call.host.files.read_text(LOCK_FILE, default="")
    given = call.get("lock-token")
    if token and given is None:
        raise AgentError(TEXTS["locked"])
    if given is not None and given != token:
        raise AgentError(TEXTS["token"])


@asynccontextmanager
async def _changing(call: Call, kind: ObjectKind, what: str) -> AsyncIterator[dict[str, Entry]]:
    """Change the objects of a kind; refusals begin with what was to be done."""
    async with kind.file.locked(call.host, f"{what} sdn {kind.label} object failed: "):
        _check_token(call)
        entries, digest = kind.file.read(call.host)
        check_digest(digest, call.get("digest"))
        yield entries
        await config.write(call.host, kind, list(entries.values()))


@pve("POST", "/cluster/sdn/lock")
async def lock(call: Call) -> Json:
    async with call.host.files.lock(LOCK):
        if call.host.files.read_text(LOCK_FILE, default=""):
            raise AgentError(TEXTS["locked"])
        if config.has_pending(call.host) and not call.get("allow-pending"):
            raise AgentError(TEXTS["pending"])
        token = secrets.token_hex(16)
        if not call.host.files.is_directory("sdn"):
            await call.host.files.mkdir("sdn", exist_ok=True)
        await call.host.files.write(LOCK_FILE, token)
    return token


@pve("DELETE", "/cluster/sdn/lock")
async def unlock(call: Call) -> Json:
    async with call.host.files.lock(LOCK):
        if not call.get("force"):
            _check_token(call)
        await _unlock(call)


async def _unlock(call: Call) -> None:
    if call.host.files.exists(LOCK_FILE):
        await call.host.files.delete(LOCK_FILE)


# ---- objects --------------------------------------------------------------------------------------------------------


def _values(call: Call, kind: ObjectKind) -> dict[str, Any]:
    skipped = _CONTROL | {kind.key} | ({"vnet"} if kind is SUBNETS else set())
    values = {name: value for name, value in call.params.items() if name not in skipped}
    return values | {name: mark.join(values[name]) for name, mark in ARRAYS.items() if name in values}


def _path(kind: ObjectKind, ident: str, values: dict[str, Any]) -> str:
    """Where privileges on an object are looked up."""
    if kind is VNETS:
        return f"/sdn/zones/{values['zone']}/{ident}"
    return f"/sdn/{kind.name}/{ident}"


def _shown(kind: ObjectKind, ident: str, values: dict[str, Any]) -> dict[str, Any]:
    found = {kind.key: ident, **values}
    if kind is SUBNETS:
        found |= {"cidr": rules.network_of(ident), "network": rules.network_of(ident).partition("/")[0]}
        found |= {"mask": ident.rpartition("-")[2], "zone": ident.partition("-")[0]}
    for name, mark in ARRAYS.items():
        if name in found:
            found[name] = found[name].split(mark)
    return found


def _objects(call: Call, kind: ObjectKind) -> Objects:
    if call.get("pending"):
        return config.pending(call.host, kind)
    if call.get("running"):
        return config.running_objects(call.host, kind)
    found, digest = config.configured(call.host, kind)
    return {ident: {**values, "digest": digest} for ident, values in found.items()}


def _one(call: Call, kind: ObjectKind, ident: str) -> dict[str, Any]:
    found = _objects(call, kind)
    if ident not in found:
        raise AgentError(TEXTS["missing"].format(id=ident))
    return found[ident]


def _require(entries: dict[str, Entry], ident: str) -> Entry:
    if ident not in entries:
        raise AgentError(TEXTS["missing"].format(id=ident))
    return entries[ident]


def _check(call: Call, kind: ObjectKind, entry: Entry) -> None:
    if kind is ZONES:
        rules.check_zone(call.host, entry.values)
    elif kind is VNETS:
        rules.check_vnet(call.host, entry.id, entry.values)
        call.host.access.check(call.identity, f"/sdn/zones/{entry.values['zone']}", ["SDN.Allocate"])


async def _create(call: Call, kind: ObjectKind, ident: str, type_: str, values: dict[str, Any]) -> None:
    async with _changing(call, kind, "create") as entries:
        if ident in entries or (kind is IPAMS and ident == "pve"):
            raise AgentError(TEXTS["exists"].format(label=kind.label, id=ident))
        kind.file.check_create(type_, values)
        entries[ident] = Entry(ident, type_, values)
        _check(call, kind, entries[ident])


def register(kind: ObjectKind) -> None:
    """The methods of one kind of object."""
    path = f"/cluster/sdn/{kind.name}"
    one = f"{path}/{{{kind.key}}}"

    @pve("GET", path)
    async def list_objects(call: Call) -> Json:
        wanted, may = call.get("type"), call.host.access.may
        return shuffled(
            _shown(kind, ident, values)
            for ident, values in _objects(call, kind).items()
            if wanted in (None, values["type"]) and may(call.identity, _path(kind, ident, values), _SEE, any=True)
        )

    @pve("POST", path)
    async def create_object(call: Call) -> Json:
        await _create(call, kind, call[kind.key], call.get("type", "vnet"), _values(call, kind))

    @pve("GET", one)
    async def read_object(call: Call) -> Json:
        values = _one(call, kind, call[kind.key])
        call.host.access.check(call.identity, _path(kind, call[kind.key], values), _SEE, any=True)
        return _shown(kind, call[kind.key], values)

    @pve("PUT", one)
    async def update_object(call: Call) -> Json:
        async with _changing(call, kind, "update") as entries:
            entry = _require(entries, call[kind.key])
            call.host.access.check(call.identity, _path(kind, entry.id, entry.values), ["SDN.Allocate"])
            values = _values(call, kind)
            kind.file.check_update(entry.type, values)
            kind.file.apply(entry, values, call.get("delete"))
            _check(call, kind, entry)

    @pve("DELETE", one)
    async def delete_object(call: Call) -> Json:
        async with _changing(call, kind, "delete") as entries:
            if kind is IPAMS and call[kind.key] == "pve":
                raise AgentError(TEXTS["builtin"])
            entry = _require(entries, call[kind.key])
            call.host.access.check(call.identity, _path(kind, entry.id, entry.values), ["SDN.Allocate"])
            rules.check_unused(call.host, kind, entry.id)
            del entries[entry.id]


for each in (ZONES, VNETS, CONTROLLERS, IPAMS, DNS):
    register(each)


# ---- subnets, which are below their vnet ----------------------------------------------------------------------------

_OF_VNET = "/cluster/sdn/vnets/{vnet}/subnets"


def _may_vnet(call: Call, privileges: list[str]) -> None:
    vnet = config.configured(call.host, VNETS)[0].get(call["vnet"])
    if vnet is None:
        raise AgentError(rules.TEXTS["no_vnet"].format(vnet=call["vnet"]))
    call.host.access.check(call.identity, _path(VNETS, call["vnet"], vnet), privileges, any=True)


def _of_vnet(call: Call, entries: dict[str, Entry]) -> Entry:
    entry = _require(entries, call["subnet"])
    if entry.values["vnet"] != call["vnet"]:
        raise AgentError(TEXTS["missing"].format(id=call["subnet"]))
    return entry


@pve("GET", _OF_VNET)
async def list_subnets(call: Call) -> Json:
    _may_vnet(call, _SEE)
    return shuffled(
        _shown(SUBNETS, ident, values)
        for ident, values in _objects(call, SUBNETS).items()
        if values["vnet"] == call["vnet"]
    )


@pve("POST", _OF_VNET)
async def create_subnet(call: Call) -> Json:
    _may_vnet(call, ["SDN.Allocate"])
    ident = rules.subnet_id(call.host, call["vnet"], call["subnet"])
    values = {**_values(call, SUBNETS), "vnet": call["vnet"]}
    rules.check_subnet(ident, values)
    await _create(call, SUBNETS, ident, "subnet", values)


@pve("GET", f"{_OF_VNET}/{{subnet}}")
async def read_subnet(call: Call) -> Json:
    _may_vnet(call, _SEE)
    values = _one(call, SUBNETS, call["subnet"])
    if values["vnet"] != call["vnet"]:
        raise AgentError(TEXTS["missing"].format(id=call["subnet"]))
    return _shown(SUBNETS, call["subnet"], values)


@pve("PUT", f"{_OF_VNET}/{{subnet}}")
async def update_subnet(call: Call) -> Json:
    _may_vnet(call, ["SDN.Allocate"])
    async with _changing(call, SUBNETS, "update") as entries:
        entry = _of_vnet(call, entries)
        SUBNETS.file.apply(entry, _values(call, SUBNETS), call.get("delete"))
        rules.check_subnet(entry.id, entry.values)


@pve("DELETE", f"{_OF_VNET}/{{subnet}}")
async def delete_subnet(call: Call) -> Json:
    _may_vnet(call, ["SDN.Allocate"])
    async with _changing(call, SUBNETS, "delete") as entries:
        del entries[_of_vnet(call, entries).id]


# ---- what is configured comes into effect ---------------------------------------------------------------------------


@pve("PUT", "/cluster/sdn")
async def apply(call: Call) -> Json:
    async with call.host.files.lock(LOCK):
        _check_token(call)
        await config.apply(call.host)
        if call.get("lock-token") is not None and call.get("release-lock", 1):
            await _unlock(call)

    async def work(task: Task) -> None:
        for view in call.host.cluster.nodes():
            if view.online:
                task.log(f"{view.name}: reloading network config")
            else:
                task.warn(f"{view.name}: node is offline, its network config is reloaded when it starts")

    return call.host.tasks.start(call.identity, "reloadnetworkall", "", work)


@pve("POST", "/cluster/sdn/rollback")
async def roll_back(call: Call) -> Json:
    async with call.host.files.lock(LOCK):
        _check_token(call)
        await config.roll_back(call.host)
        if call.get("lock-token") is not None and call.get("release-lock", 1):
            await _unlock(call)
