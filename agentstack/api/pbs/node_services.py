# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/localhost: settings, services, power, subscription, certificate and logs of a backup server (facts §20.7)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from agentstack.api.endpoint import Call, Json, pbs
from agentstack.api.pve.node_certificates import describe
from agentstack.durable import write_durably
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.certificates import CERTIFICATE, KEY
from agentstack.pbs.sections import CONFIG, DIGEST
from agentstack.tasks import Task

_NODE = "/nodes/{node}"
_SETTINGS = "node.cfg"
_STOPPED = "run/stopped-services.json"
_OWN = ("proxmox-backup", "proxmox-backup-proxy")
SERVICES = {
    "proxmox-backup": "Proxmox Backup Server API",
    "proxmox-backup-proxy": "Proxmox Backup API Proxy Server",
    "sshd": "OpenBSD Secure Shell server",
    "cron": "Regular background program processing daemon",
    "postfix": "Postfix Mail Transport Agent",
    "chrony": "chrony, an NTP client/server",
    "systemd-journald": "Journal Service",
}

# --- node.cfg ---------------------------------------------------------------------------------------------------------


def _config(call: Call) -> tuple[dict[str, Any], str]:
    path = call.host.root / CONFIG / _SETTINGS
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    values: dict[str, Any] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if colon:
            values[key] = int(value) if key == "task-log-max-days" else json.loads(f'"{value}"')
    return values, hashlib.sha256(text.encode()).hexdigest()


@pbs("GET", f"{_NODE}/config")
async def node_config(call: Call) -> Json:
    values, call.extra["digest"] = _config(call)
    return values


@pbs("PUT", f"{_NODE}/config")
async def set_node_config(call: Call) -> Json:
    values, digest = _config(call)
    if call.get("digest") not in (None, digest):
        raise AgentError(DIGEST)
    kept = {key: value for key, value in values.items() if key not in call.get("delete", [])}
    kept |= {key: value for key, value in call.params.items() if key not in ("node", "delete", "digest")}
    lines = [f"{key}: {value if isinstance(value, int) else json.dumps(value)[1:-1]}\n" for key, value in kept.items()]
    write_durably(call.host.root / CONFIG / _SETTINGS, "".join(lines).encode())


# --- services and power -----------------------------------------------------------------------------------------------


def _stopped_file(call: Call) -> Path:
    return call.host.root / _STOPPED


def _stopped(call: Call) -> set[str]:
    path = _stopped_file(call)
    return set(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else set()


def _service(call: Call, name: str) -> dict[str, str]:
    if name not in SERVICES:
        raise AgentError(f"unknown service '{name}'")
    state = "dead" if name in _stopped(call) else "running"
    return {"service": name, "name": name, "desc": SERVICES[name], "state": state, "unit-state": "enabled"}


@pbs("GET", f"{_NODE}/services")
async def services(call: Call) -> Json:
    return [_service(call, name) for name in SERVICES]


@pbs("GET", f"{_NODE}/services/{{service}}/state")
async def service_state(call: Call) -> Json:
    return _service(call, call["service"])


def _register_service(command: str) -> None:
    @pbs("POST", f"{_NODE}/services/{{service}}/{command}")
    async def control(call: Call) -> Json:
        name = call["service"]
        _service(call, name)
        if command == "stop" and name in _OWN:
            raise AgentError(f"invalid service cmd '{name} {command}': connection to the API would be lost")

        async def work(task: Task) -> None:
            task.log(f"{command} service {name}")
            await call.host.clock.sleep(1)
            stopped = _stopped(call)
            path = _stopped_file(call)
            path.parent.mkdir(parents=True, exist_ok=True)
            found = stopped | {name} if command == "stop" else stopped - {name}
            path.write_text(json.dumps(sorted(found)), encoding="utf-8")

        return call.host.tasks.start(call.identity, f"srv{command}", name, work)


for _command in ("start", "stop", "restart", "reload"):
    _register_service(_command)


@pbs("POST", f"{_NODE}/status")
async def power(call: Call) -> Json:
    call.host.shut_down(reboot=call["command"] == "reboot")


# --- subscription -----------------------------------------------------------------------------------------------------


@pbs("PUT", f"{_NODE}/subscription")
async def set_subscription(call: Call) -> Json:
    """The shop that knows keys is not asked: without it every key stays unproven, as on a server without a network."""
    raise AgentError("error checking subscription: could not reach the subscription server")


@pbs("POST", f"{_NODE}/subscription")
async def check_subscription(call: Call) -> Json:
    """There is no key to be checked."""


@pbs("DELETE", f"{_NODE}/subscription")
async def delete_subscription(call: Call) -> Json:
    """There is no key to be removed."""


# --- certificate ------------------------------------------------------------------------------------------------------


@pbs("POST", f"{_NODE}/certificates/custom")
async def upload_certificate(call: Call) -> Json:
    """Shown to new connections at once."""
    folder = call.host.root / CONFIG
    key = call["key"].encode() if "key" in call.params else (folder / KEY).read_bytes()
    pem = call["certificates"].encode()
    try:
        certificates = load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ParameterError({"certificates": f"unable to parse certificates: {error}"}) from error
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise ParameterError({"key": f"unable to parse key: {error}"}) from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != certificates[0].public_key().public_bytes(*form):
        raise AgentError("certificate and key do not belong together")
    write_durably(folder / KEY, key, mode=0o640)
    write_durably(folder / CERTIFICATE, pem)
    call.host.certificates.reload()
    found = describe(pem)
    return [{"filename": CERTIFICATE, **found, "fingerprint": found["fingerprint"].lower()}]


@pbs("DELETE", f"{_NODE}/certificates/custom")
async def delete_certificate(call: Call) -> Json:
    """A new self-signed one takes its place."""
    await call.host.certificates.update(force=True)


# --- logs -------------------------------------------------------------------------------------------------------------


def _journal(call: Call) -> list[str]:
    path = call.host.state / "agent.log"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return [f"{call.host.name} proxmox-backup-proxy: {line}" for line in lines]


@pbs("GET", f"{_NODE}/journal")
async def journal(call: Call) -> Json:
    """Without times in lines there are no cursors: the whole log, or its last entries."""
    lines = _journal(call)
    return lines[-call["lastentries"] :] if call.get("lastentries") else lines


@pbs("GET", f"{_NODE}/syslog")
async def syslog(call: Call) -> Json:
    lines = [line for line in _journal(call) if call.get("service", "") in line]
    call.total = len(lines)
    start, limit = call.get("start", 0), call.get("limit", 50)
    numbered = [{"n": number, "t": text} for number, text in enumerate(lines, start=1)]
    return numbered[start : start + limit] if limit else numbered[start:]


@pbs("GET", f"{_NODE}/report")
async def report(call: Call) -> Json:
    """What support asks for: versions, configuration without secrets, how full the datastores are."""
    host = call.host
    parts = [f"==== general system info ====\n# proxmox-backup-manager version\nproxmox-backup-server {host.version}"]
    for name in ("datastore.cfg", "prune.cfg", "sync.cfg", "verification.cfg", "traffic-control.cfg", _SETTINGS):
        path = host.root / CONFIG / name
        if path.exists():
            parts.append(f"# cat /{CONFIG}/{name}\n{path.read_text(encoding='utf-8').strip()}")
    for name, values in host.pbs.datastores.configured().items():
        usage = host.pbs.datastores.usage(values["path"])
        parts.append(f"# df {values['path']} ({name})\n{usage.total} {usage.used} {usage.avail}")
    moment = datetime.fromtimestamp(host.clock.now(), UTC).isoformat(timespec="seconds")
    return "\n\n".join([f"report of {host.name} at {moment}", *parts]) + "\n"
