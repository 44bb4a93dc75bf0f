# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxmox-backup-manager: what administrators read of a backup server on its own console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentstack.access.identity import ROOT, Identity
from agentstack.api.reply import Reply
from agentstack.errors import AgentError
from agentstack.shell.output import render, table
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

FORMATS = ("text", "json", "json-pretty")
USAGE = 255


@dataclass(frozen=True)
class Listing:
    """A command that shows a list of the API; `columns` are those of the text form."""

    path: str
    columns: tuple[str, ...]


LISTINGS: Mapping[tuple[str, ...], Listing] = {
    ("datastore", "list"): Listing("/config/datastore", ("name", "path", "comment")),
    ("user", "list"): Listing("/access/users", ("userid", "enable", "expire", "firstname", "lastname", "email")),
    ("acl", "list"): Listing("/access/acl", ("ugid", "path", "propagate", "roleid")),
    ("remote", "list"): Listing("/config/remote", ("name", "host", "auth-id", "fingerprint", "comment")),
    ("sync-job", "list"): Listing("/config/sync", ("id", "store", "remote", "remote-store", "schedule", "comment")),
    ("verify-job", "list"): Listing("/config/verify", ("id", "store", "schedule", "ignore-verified", "comment")),
    ("prune-job", "list"): Listing("/config/prune", ("id", "disable", "store", "ns", "schedule", "comment")),
    ("task", "list"): Listing("/nodes/localhost/tasks", ("starttime", "endtime", "upid", "status")),
}  # fmt: skip


@command("proxmox-backup-manager", kinds=("pbs",))
async def proxmox_backup_manager(host: Host, argv: list[str], io: CommandIO) -> int:
    words, form = _split(argv)
    if form not in FORMATS:
        io.err(f"Error: parameter verification failed - 'output-format': value '{form}' is not defined.\n")
        return USAGE
    match words:
        case ["versions"]:
            io.out(f"proxmox-backup-server {host.version}-1 running version: {host.version}\n")
        case ["cert", "info"]:
            (shown,) = await _call(host, "/nodes/localhost/certificates/info")
            io.out(certificate(shown))
        case _ if (listing := LISTINGS.get(tuple(words))) is not None:
            rows = await _call(host, listing.path)
            io.out(table(rows, listing.columns) if form == "text" else render(rows, form))
        case _:
            io.err(f"Error: no such command '{' '.join(words)}'\n")
            return USAGE
    return 0


def _split(argv: list[str]) -> tuple[list[str], str]:
    words, form = list[str](), "text"
    rest = iter(argv)
    for word in rest:
        if word == "--output-format":
            form = next(rest, "")
        elif word.startswith("--output-format="):
            form = word.partition("=")[2]
        else:
            words.append(word)
    return words, form


async def _call(host: Host, path: str) -> Any:
    dispatcher, identity = host.pbs.api.dispatcher, Identity(ROOT)
    found = dispatcher.find("GET", path)
    if found is None:
        raise dispatcher.unknown("GET", path)
    reply = await dispatcher.execute(found, identity, dispatcher.admit(found, identity, {}))
    if not isinstance(reply, Reply):
        raise AgentError(f"{path} gives no list")
    return reply.data


def certificate(shown: Mapping[str, Any]) -> str:
    """A certificate as `cert info` prints it."""
    names = "".join(f"    {name}\n" for name in shown["san"])
    return (
        f"Subject: {shown['subject']}\n{names}"
        f"Issuer: {shown['issuer']}\n"
        "Validity:\n"
        f"    Not Before: {_date(shown['notbefore'])}\n"
        f"    Not After : {_date(shown['notafter'])}\n"
        f"Fingerprint (sha256): {shown['fingerprint']}\n"
        f"Public key type: {shown['public-key-type']}\n"
        f"Public key bits: {shown['public-key-bits']}\n"
    )


def _date(stamp: int) -> str:
    return datetime.fromtimestamp(stamp, UTC).strftime("%b %d %H:%M:%S %Y GMT")
