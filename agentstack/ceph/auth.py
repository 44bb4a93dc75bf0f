# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may talk to Ceph: entities with their keys and what these allow (docs.ceph.com, "User Management").

The monitors keep the keys, and hand them on as keyrings. They outlive the daemons that they were made for, except those
of OSDs that are purged. The key of the monitors themselves stands in their keyring alone, and is listed nowhere.
"""

from __future__ import annotations

import base64
import secrets
import struct
from collections.abc import Mapping

from agentstack.ceph.commands import command
from agentstack.ceph.maps import ClusterMap, Key
from agentstack.errors import AgentError

TYPES = ("auth", "mon", "osd", "mds", "mgr", "client")
"""Kinds of entities: what stands before the first dot of a name."""
SERVICES = ("mds", "mgr", "mon", "osd")
"""What capabilities are about."""

ADMIN = dict.fromkeys(SERVICES, "allow *")
DAEMONS: dict[str, dict[str, str]] = {
    "mgr": {"mds": "allow *", "mon": "allow profile mgr", "osd": "allow *"},
    "osd": {"mgr": "allow profile osd", "mon": "allow profile osd", "osd": "allow *"},
}
"""What the key of a daemon of this kind allows."""
BOOTSTRAP = ("mds", "mgr", "osd", "rbd", "rbd-mirror", "rgw")
CRASH = {"mgr": "profile crash", "mon": "profile crash"}


def new_key(now: float) -> str:
    """A key as Ceph writes it: kind (AES), time, length, 16 secret bytes, in base64."""
    return base64.b64encode(struct.pack("<HIIH", 1, int(now), 0, 16) + secrets.token_bytes(16)).decode()


def first_keys(admin: str, now: float) -> dict[str, Key]:
    """The keys of a new cluster; `admin`: the one that stands in the administrator's keyring."""
    keys = {"client.admin": Key(admin, dict(ADMIN)), "client.crash": Key(new_key(now), dict(CRASH))}
    for kind in BOOTSTRAP:
        keys[f"client.bootstrap-{kind}"] = Key(new_key(now), {"mon": f"allow profile bootstrap-{kind}"})
    return keys


def keyring(entity: str, key: str, caps: Mapping[str, str]) -> str:
    """The section of a keyring file."""
    lines = [f"[{entity}]", f"\tkey = {key}", *(f'\tcaps {service} = "{caps[service]}"' for service in sorted(caps))]
    return "".join(f"{line}\n" for line in lines)


def key_in(text: str, entity: str) -> str | None:
    """The key of an entity in the text of a keyring file."""
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{entity}]"
        elif inside and line.replace(" ", "").startswith("key="):
            return line.partition("=")[2].strip()
    return None


# --- commands -----------------------------------------------------------------------------------------------------


@command
def key_get_or_create(cluster: ClusterMap, entity: str, key: str, caps: dict[str, str]) -> str:
    """The key of an entity; `key` becomes that if it has none. Raises AgentError if its own allows other things."""
    present = cluster.keys.get(entity)
    if present is None:
        cluster.keys[entity] = Key(key, caps)
        return key
    for service, allowed in caps.items():
        if present.caps.get(service) != allowed:
            raise AgentError(f"Error EINVAL: key for {entity} exists but cap {service} does not match")
    return present.key


@command
def key_remove(cluster: ClusterMap, entity: str) -> None:
    """Take the key of an entity away; one without is no error."""
    cluster.keys.pop(entity, None)
