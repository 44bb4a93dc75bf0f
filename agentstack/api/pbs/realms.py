# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/config/access: realms, and the settings of second factors (facts §20.5)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pbs.config import Branch, always, register
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.pbs.sections import CONFIG, DIGEST, REALMS, USERS, Values

BUILTIN = {"pam": "Linux PAM standard authentication", "pbs": "Proxmox Backup authentication server"}
KINDS = ("ad", "ldap", "openid")
TIMEOUT = 5.0
"""Real seconds for which a directory is waited for when it is configured."""

_PORTS = {"ldap": 389, "ldap+starttls": 389, "ldaps": 636}
_BUILTIN_FILE, _TFA_FILE = "domains-builtin.json", "tfa.json"
_WORDS: dict[str, Any] = {"exists": "realm '{}' already exists.", "missing": "realm '{}' does not exist."}


async def _check_directory(call: Call, values: Values) -> None:
    """One of the directory's servers has to be there."""
    await _check_name(call, values)
    port = values.get("port", _PORTS[values.get("mode", "ldap")])
    failure: Exception | None = None
    for server in filter(None, (values["server1"], values.get("server2"))):
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(server, port), TIMEOUT)
        except (OSError, TimeoutError, UnicodeError) as error:
            # the last: what cannot be the name of a server at all
            failure = error
        else:
            writer.close()
            return
    raise AgentError(f"could not connect to {values['server1']}:{port}: {failure or 'timeout'}")


async def _check_name(call: Call, values: Values) -> None:
    """Realms are unique over all types."""
    realm = call["realm"]
    kinds = {kind for kind in KINDS if realm in REALMS.read(call.host).of(kind)}
    own = call.path.split("/")[3]
    if realm in BUILTIN or kinds - {own}:
        raise AgentError(f"realm '{realm}' already exists.")


for _kind in KINDS:
    register(
        Branch(f"/config/access/{_kind}", REALMS, _kind, "realm", sees=always, changes=always, **_WORDS,
               check=_check_name if _kind == "openid" else _check_directory,
               secret="client-key" if _kind == "openid" else "password", encoded=False)
    )  # fmt: skip


def _builtin(call: Call, realm: str) -> dict[str, Any]:
    path = call.host.root / CONFIG / _BUILTIN_FILE
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    values: dict[str, Any] = stored.get(realm, {"comment": BUILTIN[realm]})
    return values


def all_realms(call: Call) -> list[dict[str, Any]]:
    """Every realm as the login page shows it."""
    rows: list[dict[str, Any]] = [{"realm": realm, "type": realm, **_builtin(call, realm)} for realm in BUILTIN]
    for kind in KINDS:
        for realm, values in REALMS.read(call.host).of(kind).items():
            shown: dict[str, Any] = {key: values[key] for key in ("comment", "default") if key in values}
            rows.append({"realm": realm, "type": kind, **shown})
    if not any(row.get("default") for row in rows):
        rows[0]["default"] = True
    return rows


def _register_builtin(realm: str) -> None:
    @pbs("GET", f"/config/access/{realm}")
    async def read(call: Call) -> Json:
        values = _builtin(call, realm)
        call.extra["digest"] = _digest(values)
        return {"realm": realm, "type": realm, **values}

    @pbs("PUT", f"/config/access/{realm}")
    async def update(call: Call) -> Json:
        values = _builtin(call, realm)
        if call.get("digest") not in (None, _digest(values)):
            raise AgentError(DIGEST)
        kept = {key: value for key, value in values.items() if key not in call.get("delete", [])}
        kept |= {key: call[key] for key in ("comment", "default") if key in call.params}
        path = call.host.root / CONFIG / _BUILTIN_FILE
        stored = {other: _builtin(call, other) for other in BUILTIN} | {realm: kept}
        write_durably(path, json.dumps(stored).encode())


for _realm in BUILTIN:
    _register_builtin(_realm)


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


# --- second factors ---------------------------------------------------------------------------------------------------


def _tfa(call: Call) -> dict[str, Any]:
    path = call.host.root / CONFIG / _TFA_FILE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


@pbs("GET", "/config/access/tfa/webauthn")
async def webauthn(call: Call) -> Json:
    found = _tfa(call).get("webauthn")
    call.extra["digest"] = _digest(found)
    return found


@pbs("PUT", "/config/access/tfa/webauthn")
async def set_webauthn(call: Call) -> Json:
    document = _tfa(call)
    values = document.get("webauthn")
    if call.get("digest") not in (None, _digest(values)):
        raise AgentError(DIGEST)
    kept = {key: value for key, value in (values or {}).items() if key not in call.get("delete", [])}
    kept |= {key: call[key] for key in ("rp", "origin", "id", "allow-subdomains") if key in call.params}
    for name in ("rp", "id"):
        if name not in kept:
            raise AgentError(f"missing required option '{name}'")
    write_durably(call.host.root / CONFIG / _TFA_FILE, json.dumps({**document, "webauthn": kept}).encode(), mode=0o600)


@pbs("GET", "/access/tfa")
async def list_factors(call: Call) -> Json:
    """No user has a second factor: none can be added yet."""
    return []


@pbs("GET", "/access/tfa/{userid}")
async def factors_of(call: Call) -> Json:
    _user(call)
    return []


@pbs("GET", "/access/tfa/{userid}/{id}")
async def factor(call: Call) -> Json:
    _user(call)
    raise AgentError(f"no such tfa entry '{call['id']}/{call['userid']}'", status=404)


@pbs("DELETE", "/access/tfa/{userid}/{id}")
async def delete_factor(call: Call) -> Json:
    return await factor(call)


@pbs("PUT", "/access/tfa/{userid}/{id}")
async def update_factor(call: Call) -> Json:
    return await factor(call)


@pbs("PUT", "/access/users/{userid}/unlock-tfa")
async def unlock(call: Call) -> Json:
    """Whether the user was locked out."""
    _user(call)
    return False


def _user(call: Call) -> None:
    if call["userid"] not in USERS.read(call.host).of("user"):
        raise AgentError(f"user '{call['userid']}' does not exist.", status=404)
