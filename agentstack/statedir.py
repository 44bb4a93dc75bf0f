# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory of a stack: its definition, its secrets, its lock and its logs.

STATE/stack.json         the resolved definition, for readers, and the stack file's text that it was made from
STATE/secrets.yml        0600: root_password; hosts: {NAME: {fingerprint, ssh_host_key}} as at the first start
STATE/lock               held by the supervisor as long as it lives
STATE/supervisor.log     STATE/fabric.log     STATE/control.sock     STATE/faults.json
STATE/authority/         root.pem, its keys (0600), what it has been asked for; STATE/authority.log
STATE/hosts/NAME/        agent.log, root/ (the host's file system), disks/
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from agentstack import stackfile
from agentstack.reader import StackError
from agentstack.stack import HostSpec, Stack

ENTRIES = frozenset(
    (
        "stack.json",
        "secrets.yml",
        "lock",
        "supervisor.log",
        "fabric.log",
        "authority.log",
        "control.sock",
        "fabric.sock",
        "faults.json",
        "hosts",
        "authority",
    )
)
"""All that this program puts into a state directory."""


def read_stack(state: Path) -> Stack:
    """The stack that lives in `state`; StackError if there is none or if it cannot be read by this version."""
    try:
        kept = json.loads((state / "stack.json").read_text(encoding="utf-8"))
        source, net = kept["source"], kept["net"]
    except FileNotFoundError as error:
        raise StackError(f"{state} holds no stack") from error
    except (OSError, ValueError, KeyError) as error:
        raise StackError(f"{state}/stack.json cannot be read: {error}") from error
    return stackfile.loads(source, f"{state}/stack.json").on_net(net)


def write_stack(state: Path, stack: Stack, source: str) -> None:
    """Keep the definition of a new stack."""
    _replace(state / "stack.json", json.dumps({**stack.describe(), "source": source}, indent=2) + "\n", 0o644)


def difference(old: Stack, new: Stack) -> str | None:
    """What a stack file says differently from the stack that exists, in a few words; None if nothing."""
    here, there = old.on_net(1), new.on_net(1)
    if here.networks != there.networks:  # before the hosts, whose cards follow from them
        return "networks has changed"
    for name in dict.fromkeys([*here.hosts, *there.hosts]):
        if here.hosts.get(name) != there.hosts.get(name):
            word = "is new" if name not in here.hosts else "is gone" if name not in there.hosts else "has changed"
            return f"host {name} {word}"
    for field in ("name", "scale", "boot_time", "arrays", "authority", "clusters"):
        if getattr(here, field) != getattr(there, field):
            return f"{field} has changed"
    return None if here == replace(there, net=here.net) else "it has changed"


def root_password(state: Path) -> str:
    """The password of root on every host at its first start."""
    return str(_read_secrets(state)["root_password"])


def make_secrets(state: Path) -> None:
    """Choose the secrets of a new stack; existing ones stay."""
    if not (state / "secrets.yml").exists():
        # people hand it to command lines: nothing in it that a shell or an option parser reads its own way
        _write_secrets(state, {"root_password": secrets.token_hex(15), "hosts": {}})


def add_secrets(state: Path, hosts: dict[str, dict[str, Any]]) -> None:
    """Keep what hosts said of themselves at their first start."""
    kept = _read_secrets(state)
    known = kept.setdefault("hosts", {})
    if new := {name: facts for name, facts in hosts.items() if name not in known}:
        known.update(new)
        _write_secrets(state, kept)


def status_when_down(state: Path) -> dict[str, Any]:
    """The status document of a stack that is not up: the supervisor's, with every host off."""
    stack = read_stack(state)
    return {
        "stack": stack.name,
        "state_dir": str(state.absolute()),
        "net": stack.net,
        "scale": stack.scale,
        "pid": None,
        "up": False,
        "hosts": [host_status(host) for host in stack.hosts.values()],
        "faults": [],
    }


def host_status(spec: HostSpec) -> dict[str, Any]:
    """A host's part of the status document while it is off."""
    return {
        "name": spec.name,
        "kind": spec.kind,
        "version": spec.version,
        "site": spec.site,
        "power": "off",
        "ready": False,
        "address": spec.address,
        "api_url": spec.api_url,
        "pid": None,
        "pss_mb": None,
        "failure": None,
        "cluster": None,
        "guests": None,
    }


def log_file(state: Path, host: str | None) -> Path:
    """The log of a host, the `fabric`, the `authority`, or (None) of the supervisor; StackError for an unknown one."""
    if host in (None, "fabric"):
        return state / f"{host or 'supervisor'}.log"
    stack = read_stack(state)
    if stack.authority is not None and host in ("authority", stack.authority.name):
        return state / "authority.log"
    hosts = stack.hosts
    if host not in hosts:
        raise StackError(f"no host '{host}' in this stack (there are {', '.join(hosts)})")
    return state / "hosts" / host / "agent.log"


def log_to(path: Path) -> None:
    """Send everything that this process says to the log file `path`, its standard streams included."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    # one line a request would drown everything else
    for noisy in ("asyncssh", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _read_secrets(state: Path) -> dict[str, Any]:
    kept = yaml.safe_load((state / "secrets.yml").read_text(encoding="utf-8"))
    if not isinstance(kept, dict):
        raise StackError(f"{state}/secrets.yml cannot be read")
    return kept


def _write_secrets(state: Path, kept: dict[str, Any]) -> None:
    _replace(state / "secrets.yml", yaml.safe_dump(kept, sort_keys=False), 0o600)


def _replace(path: Path, content: str, mode: int) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        stream.write(content)
    draft.rename(path)
