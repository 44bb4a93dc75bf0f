# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's storage configuration: /storage over storage.cfg (facts §12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack.api.order import shuffled
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.keys import BadKeyFile, Key
from agentstack.sections import Entry, check_digest
from agentstack.storage.types import STORAGE_CFG, STORAGE_TYPES

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "missing": "storage '{id}' does not exist",
    "exists": "storage ID '{id}' already defined",
    "exists_here": "Storage ID '{id}' already exists on node {node}",
    "content": "storage does not support content type '{content}'",
    "local_nodes": "storage '{id}' is the default storage and cannot be restricted to nodes",
    "base": "can't remove storage - storage is used as base of another storage",
}

LOCAL = "local"
_LOCAL_CONTENT = ("vztmpl", "snippets", "backup", "iso", "rootdir", "images")
_SETS = ("content", "nodes")
SECRET_FILES = {"password": "pw", "encryption-key": "enc", "master-pubkey": "master.pem", "keyring": "keyring"}


def _default_local() -> Entry:
    """The storage that exists although nothing is configured (observed: GET /storage)."""
    values = {"path": "/var/lib/vz", "priority": 0, "prune-backups": "keep-all=1", "content": ",".join(_LOCAL_CONTENT)}
    return Entry(LOCAL, "dir", values)


def read(host: Host) -> tuple[dict[str, Entry], str]:
    """All storages with their content types and `shared` filled in, and the digest of storage.cfg."""
    entries, digest = STORAGE_CFG.read(host)
    for entry in entries.values():
        kind = STORAGE_TYPES[entry.type]
        entry.values.setdefault("content", ",".join(kind.default))
        if kind.shared:
            entry.values["shared"] = 1
    if LOCAL not in entries:
        entries = {LOCAL: _default_local(), **entries}
    return entries, digest


def get(host: Host, ident: str) -> Entry:
    """One storage. Raises AgentError when there is none of that name."""
    entries, _ = read(host)
    if ident not in entries:
        raise AgentError(TEXTS["missing"].format(id=ident))
    return entries[ident]


def nodes_of(entry: Entry) -> set[str] | None:
    """The nodes that a storage is restricted to; None when it is for all."""
    return set(split_list(entry.values["nodes"])) if entry.values.get("nodes") else None


def is_enabled(entry: Entry, node: str) -> bool:
    """Tell whether the storage is to be used on the node."""
    nodes = nodes_of(entry)
    return not entry.values.get("disable") and (nodes is None or node in nodes)


def answer(entry: Entry, digest: str) -> dict[str, Any]:
    """A storage as the API gives it: lists in no order, no secrets."""
    values = {key: _unordered(value) if key in _SETS else value for key, value in entry.values.items()}
    return values | {"storage": entry.id, "type": entry.type, "digest": digest}


def _unordered(value: str) -> str:
    return ",".join(shuffled(split_list(value)))


async def _write(host: Host, entries: dict[str, Entry]) -> None:
    stored = []
    for entry in entries.values():
        values = {key: _unordered(value) if key in _SETS else value for key, value in entry.values.items()}
        values.pop("priority", None)
        if STORAGE_TYPES[entry.type].shared:
            values.pop("shared", None)
        stored.append(Entry(entry.id, entry.type, values))
    await STORAGE_CFG.write(host, stored)


def _check_content(kind: str, content: str | None) -> None:
    for name in split_list(content):
        if name not in STORAGE_TYPES[kind].allowed:
            raise AgentError(TEXTS["content"].format(content=name))


def _split_secrets(kind: str, values: dict[str, Any], now: float) -> tuple[dict[str, Any], dict[str, str]]:
    secrets = STORAGE_TYPES[kind].secrets
    plain = {key: value for key, value in values.items() if key not in secrets}
    hidden = {key: str(value) for key, value in values.items() if key in secrets}
    if kind == "pbs":
        # what the file shows of them: which key, and that there is a master key (facts §12)
        if "encryption-key" in hidden:
            hidden["encryption-key"], plain["encryption-key"] = _key_file(hidden["encryption-key"], now)
        if "master-pubkey" in hidden:
            plain["master-pubkey"] = "1"
    return plain, hidden


def _key_file(text: str, now: float) -> tuple[str, str]:
    """The key file that a storage gets (`autogen`: a new one), and its fingerprint."""
    try:
        key = Key.create() if text == "autogen" else Key.from_file(text)
    except BadKeyFile as error:
        raise ParameterError({"encryption-key": f"invalid encryption key: {error}"}) from error
    return (key.to_file(now) if text == "autogen" else text), key.fingerprint


async def _store_secrets(host: Host, entry: Entry, secrets: dict[str, str]) -> None:
    for name, value in secrets.items():
        path = _secret_path(entry, name)
        await host.files.mkdir(path.rpartition("/")[0], exist_ok=True)
        await host.files.write(path, value + "\n")


def _shown_once(kind: str, secrets: dict[str, str]) -> dict[str, Any]:
    """The key that was made or given, for whoever has to keep it elsewhere (facts §12: `config`)."""
    shown = {"encryption-key": secrets["encryption-key"]} if kind == "pbs" and "encryption-key" in secrets else {}
    return {"config": shown} if shown else {}


def _secret_path(entry: Entry, name: str) -> str:
    directory = "priv/ceph" if entry.type in ("rbd", "cephfs") else "priv/storage"
    suffix = "secret" if entry.type == "cephfs" else SECRET_FILES[name]
    return f"{directory}/{entry.id}.{suffix}"


def secret(host: Host, entry: Entry, name: str) -> str | None:
    """A write-only value of a storage, such as its password; None when there is none."""
    path = _secret_path(entry, name)
    return host.files.read_text(path).removesuffix("\n") if host.files.exists(path) else None


async def create(host: Host, ident: str, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Add a storage, activating it on this node; a failing activation leaves nothing behind."""
    kind_of = STORAGE_TYPES[kind]
    if kind_of.auto_path:
        values = {"path": f"/mnt/pve/{ident}"} | values
    STORAGE_CFG.check_create(kind, values)
    _check_content(kind, values.get("content"))
    values, secrets = _split_secrets(kind, values, host.clock.now())
    async with STORAGE_CFG.locked(host, "create storage failed: "):
        entries, _ = read(host)
        if ident in entries and not (ident == LOCAL and "priority" in entries[ident].values):
            raise AgentError(TEXTS["exists"].format(id=ident))
        entry = Entry(ident, kind, {"content": ",".join(kind_of.default)} | values)
        if entry.values.get("disable") == 0:
            del entry.values["disable"]
        await host.storage.added(entry, secrets)
        if is_enabled(entry, host.name):
            await host.storage.activate(entry, secrets)
        entries[ident] = entry
        await _store_secrets(host, entry, secrets)
        await _write(host, entries)
    return {"storage": ident, "type": kind, **_shown_once(kind, secrets)}


async def update(
    host: Host, ident: str, values: dict[str, Any], delete: str | None, digest: str | None
) -> dict[str, Any]:
    """Change a storage: set what is given, unset what `delete` names."""
    async with STORAGE_CFG.locked(host, "update storage failed: "):
        entries, current = read(host)
        check_digest(current, digest)
        if ident not in entries:
            raise AgentError(TEXTS["missing"].format(id=ident))
        entry = entries[ident]
        STORAGE_CFG.check_update(entry.type, values)
        _check_content(entry.type, values.get("content"))
        values, secrets = _split_secrets(entry.type, values, host.clock.now())
        STORAGE_CFG.apply(entry, values, delete)
        entry.values.setdefault("content", ",".join(STORAGE_TYPES[entry.type].default))
        await _store_secrets(host, entry, secrets)
        for name in set(split_list(delete)) & STORAGE_TYPES[entry.type].secrets:
            if host.files.exists(_secret_path(entry, name)):
                await host.files.delete(_secret_path(entry, name))
        await _write(host, entries)
    return {"storage": ident, "type": entry.type, **_shown_once(entry.type, secrets)}


async def delete(host: Host, ident: str) -> None:
    """Remove a storage from the configuration; `local` only goes back to what it is by default."""
    async with STORAGE_CFG.locked(host, "delete storage failed: "):
        entries, _ = read(host)
        if ident not in entries:
            raise AgentError(TEXTS["missing"].format(id=ident))
        entry = entries.pop(ident)
        for name in STORAGE_TYPES[entry.type].secrets:
            if host.files.exists(_secret_path(entry, name)):
                await host.files.delete(_secret_path(entry, name))
        await _write(host, entries)


def check_shareable(host: Host, ident: str, kind: str, values: dict[str, Any]) -> None:
    """Refuse a name for what is made on this node's disks: it is that of another storage, or of one that this node has
    already; the same thing on another node shares its definition (facts §10)."""
    entry = read(host)[0].get(ident)
    if entry is None:
        return
    nodes = nodes_of(entry)
    same = entry.type == kind and all(entry.values.get(key) == values[key] for key in STORAGE_TYPES[kind].required)
    if not same or nodes is None or host.name in nodes:
        raise AgentError(TEXTS["exists_here"].format(id=ident, node=host.name))


async def share(host: Host, ident: str, kind: str, values: dict[str, Any]) -> None:
    """Register what was made on this node's disks as a storage, or add the node to the one of that name (facts §10)."""
    async with STORAGE_CFG.locked(host):
        entries, _ = read(host)
        entry = entries.get(ident)
        if entry is None:
            entries[ident] = Entry(ident, kind, values | {"nodes": host.name})
        elif (nodes := nodes_of(entry)) is not None:
            entry.values["nodes"] = ",".join(sorted(nodes | {host.name}))
        await _write(host, entries)


async def withdraw(host: Host, ident: str) -> None:
    """Take this node off a storage, and the storage away with its last node (`cleanup-config`)."""
    async with STORAGE_CFG.locked(host):
        entries, _ = read(host)
        entry = entries.get(ident)
        if entry is None:
            return
        rest = (nodes_of(entry) or {host.name}) - {host.name}
        if rest:
            entry.values["nodes"] = ",".join(sorted(rest))
        else:
            del entries[ident]
        await _write(host, entries)
