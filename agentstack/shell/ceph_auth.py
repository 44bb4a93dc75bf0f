# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph auth …`: who may talk to Ceph (docs.ceph.com, "User Management")."""

from __future__ import annotations

from typing import Any

from agentstack.ceph.auth import SERVICES, TYPES, keyring, new_key
from agentstack.ceph.maps import Key
from agentstack.errors import AgentError
from agentstack.shell.ceph import Request, Said, answers


def _entity(asked: Request) -> str:
    """The entity that the command is about."""
    name = asked.words[0]
    kind, dot, rest = name.partition(".")
    if kind not in TYPES or not dot or (not rest and kind != "mon"):
        raise AgentError("Error EINVAL: bad entity name")
    return name


def _present(asked: Request, text: str) -> tuple[str, Key]:
    entity = _entity(asked)
    if entity not in asked.cluster.keys:
        raise AgentError(f"Error ENOENT: {text.format(entity=entity)}")
    return entity, asked.cluster.keys[entity]


def _document(entity: str, key: Key) -> dict[str, Any]:
    return {"entity": entity, "key": key.key, "caps": dict(sorted(key.caps.items()))}


@answers("auth ls", "auth list")
async def _list(asked: Request) -> Said:
    """All of them; what they are is said on stderr, as the monitors do."""
    keys = sorted(asked.cluster.keys.items())
    lines = []
    for entity, key in keys:
        lines += [entity, f"\tkey: {key.key}", *(f"\tcaps: [{name}] {key.caps[name]}" for name in sorted(key.caps))]
    note = "" if asked.options.get("format", "plain").startswith("json") else "installed auth entries:\n"
    return Said("\n".join(lines), {"auth_dump": [_document(*each) for each in keys]}, note)


@answers("auth get")
async def _get(asked: Request) -> Said:
    entity, key = _present(asked, "failed to find {entity} in keyring")
    return Said(keyring(entity, key.key, key.caps).rstrip(), [_document(entity, key)])


@answers("auth get-key", "auth print-key", "auth print_key")
async def _get_key(asked: Request) -> Said:
    _, key = _present(asked, "don't have {entity}")
    return Said(key.key, {"key": key.key})


@answers("auth get-or-create")
async def _get_or_create(asked: Request) -> Said:
    entity, words = _entity(asked), asked.words[1:]
    if len(words) % 2:
        raise AgentError("Error EINVAL: bad capabilities request; odd number of arguments")
    caps = dict(zip(words[::2], words[1::2], strict=True))
    if unknown := sorted(set(caps) - set(SERVICES)):
        raise AgentError(f"Error EINVAL: unknown cap type '{unknown[0]}'")
    key = await asked.do("key_get_or_create", entity=entity, key=new_key(asked.host.clock.now()), caps=caps)
    return Said(keyring(entity, key, {}).rstrip(), [{"entity": entity, "key": key, "caps": caps}])


@answers("auth del", "auth rm")
async def _remove(asked: Request) -> Said:
    """One that is not there is no error."""
    entity = _entity(asked)
    await asked.do("key_remove", entity=entity)
    return Said()
