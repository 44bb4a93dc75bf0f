# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxmox-backup-manager: the API of a backup server on its own console, as root@pam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentstack.access.identity import ROOT, Identity
from agentstack.api.reply import Reply
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.upid import parse_upid
from agentstack.shell.output import render, table
from agentstack.shell.registry import CommandIO, command
from agentstack.upid import Upid

if TYPE_CHECKING:
    from agentstack.host import Host

FORMATS = ("text", "json", "json-pretty")
USAGE = 255
_LOOK = 1.0
"""Stack seconds between two looks at whether a task has ended."""


@dataclass(frozen=True)
class Change:
    """A command that makes one call; `places` are the parameters that are given without a name, in their order."""

    verb: str
    path: str
    places: tuple[str, ...] = ()


def _kind(name: str, path: str, key: str, *places: str) -> dict[tuple[str, ...], Change]:
    """The commands of one kind of object."""
    one = f"{path}/{{{key}}}"
    return {
        (name, "create"): Change("POST", path, (key, *places)),
        (name, "show"): Change("GET", one, (key,)),
        (name, "update"): Change("PUT", one, (key,)),
        (name, "remove"): Change("DELETE", one, (key,)),
    }


_TOKEN = "/access/users/{userid}/token/{token-name}"
CHANGES: Mapping[tuple[str, ...], Change] = {
    **_kind("datastore", "/config/datastore", "name", "path"),
    **_kind("user", "/access/users", "userid"),
    **_kind("remote", "/config/remote", "name"),
    **_kind("sync-job", "/config/sync", "id"),
    **_kind("verify-job", "/config/verify", "id"),
    **_kind("prune-job", "/config/prune", "id"),
    **_kind("traffic-control", "/config/traffic-control", "name"),
    ("acl", "update"): Change("PUT", "/access/acl", ("path", "role")),
    ("user", "generate-token"): Change("POST", _TOKEN, ("userid", "token-name")),
    ("user", "delete-token"): Change("DELETE", _TOKEN, ("userid", "token-name")),
    ("user", "list-tokens"): Change("GET", "/access/users/{userid}/token", ("userid",)),
    ("user", "permissions"): Change("GET", "/access/permissions", ("auth-id",)),
    ("sync-job", "run"): Change("POST", "/admin/sync/{id}/run", ("id",)),
    ("verify-job", "run"): Change("POST", "/admin/verify/{id}/run", ("id",)),
    ("prune-job", "run"): Change("POST", "/admin/prune/{id}/run", ("id",)),
    ("garbage-collection", "start"): Change("POST", "/admin/datastore/{store}/gc", ("store",)),
    ("garbage-collection", "status"): Change("GET", "/admin/datastore/{store}/gc", ("store",)),
    ("verify",): Change("POST", "/admin/datastore/{store}/verify", ("store",)),
    ("pull",): Change("POST", "/pull", ("remote", "remote-store", "store")),
    ("push",): Change("POST", "/push", ("remote", "remote-store", "store")),
    ("task", "stop"): Change("DELETE", "/nodes/localhost/tasks/{upid}", ("upid",)),
    ("task", "log"): Change("GET", "/nodes/localhost/tasks/{upid}/log", ("upid",)),
    ("report",): Change("GET", "/nodes/localhost/report"),
    ("disk", "initialize"): Change("POST", "/nodes/localhost/disks/initgpt", ("disk",)),
    ("disk", "wipe"): Change("PUT", "/nodes/localhost/disks/wipedisk", ("disk",)),
    ("disk", "smart-attributes"): Change("GET", "/nodes/localhost/disks/smart", ("disk",)),
    ("disk", "zpool", "create"): Change("POST", "/nodes/localhost/disks/zfs", ("name",)),
    ("disk", "fs", "create"): Change("POST", "/nodes/localhost/disks/directory", ("name",)),
    ("network", "reload"): Change("PUT", "/nodes/localhost/network"),
    ("network", "revert"): Change("DELETE", "/nodes/localhost/network"),
    ("dns", "get"): Change("GET", "/nodes/localhost/dns"),
    ("dns", "set"): Change("PUT", "/nodes/localhost/dns"),
    ("node", "show"): Change("GET", "/nodes/localhost/config"),
    ("node", "update"): Change("PUT", "/nodes/localhost/config"),
    ("subscription", "get"): Change("GET", "/nodes/localhost/subscription"),
}


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
    ("traffic-control", "list"): Listing(
        "/config/traffic-control", ("name", "network", "rate-in", "burst-in", "rate-out", "burst-out", "comment")
    ),
    ("garbage-collection", "list"): Listing(
        "/admin/gc", ("store", "last-run-endtime", "last-run-state", "removed-bytes", "pending-bytes", "schedule")
    ),
    ("disk", "list"): Listing(
        "/nodes/localhost/disks/list", ("name", "used", "gpt", "disk-type", "size", "model", "wearout", "status")
    ),
    ("disk", "zpool", "list"): Listing(
        "/nodes/localhost/disks/zfs", ("name", "size", "alloc", "free", "frag", "health")
    ),
    ("disk", "fs", "list"): Listing("/nodes/localhost/disks/directory", ("name", "path", "device", "filesystem")),
    ("network", "list"): Listing(
        "/nodes/localhost/network", ("name", "type", "autostart", "method", "cidr", "gateway", "slaves")
    ),
    ("task", "list"): Listing("/nodes/localhost/tasks", ("starttime", "endtime", "upid", "status")),
}  # fmt: skip


@command("proxmox-backup-manager", kinds=("pbs",))
async def proxmox_backup_manager(host: Host, argv: list[str], io: CommandIO) -> int:
    words, given = _split(argv)
    form = str(given.pop("output-format", "text"))
    if form not in FORMATS:
        io.err(f"Error: parameter verification failed - 'output-format': value '{form}' is not defined.\n")
        return USAGE
    match words:
        case ["versions"]:
            io.out(f"proxmox-backup-server {host.version}-1 running version: {host.version}\n")
        case ["version"]:
            io.out(f"proxmox-backup-server {host.version}-1 running version: {host.version}\n")
        case ["cert", "update"]:
            await host.certificates.update(force=bool(given.get("force")))
        case ["cert", "info"]:
            (shown,) = await _call(host, "/nodes/localhost/certificates/info")
            io.out(certificate(shown))
        case _ if (listing := LISTINGS.get(tuple(words))) is not None:
            return await _show(host, io, listing, given, form)
        case _ if (found := _change(words)) is not None:
            return await _make(host, io, *found, given, form)
        case _:
            io.err(f"Error: no such command '{' '.join(words)}'\n")
            return USAGE
    return 0


def _split(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The words of a command, and its options; one without a value is a switch, repeated ones are a list."""
    words, given = list[str](), dict[str, Any]()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            words.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "1"
        old = given.get(name)
        given[name] = value if old is None else [*(old if isinstance(old, list) else [old]), value]
    return words, given


def _change(words: list[str]) -> tuple[Change, list[str]] | None:
    for length in (3, 2, 1):
        if found := CHANGES.get(tuple(words[:length])):
            return found, words[length:]
    return None


async def _show(host: Host, io: CommandIO, listing: Listing, given: dict[str, Any], form: str) -> int:
    try:
        rows = await _call(host, listing.path, given=given)
    except (ParameterError, AgentError) as error:
        return _refused(host, io, error)
    io.out(table(rows, listing.columns) if form == "text" else render(rows, form))
    return 0


def _refused(host: Host, io: CommandIO, error: ParameterError | AgentError) -> int:
    reply = host.pbs.api.dialect.parameter_reply(error) if isinstance(error, ParameterError) else None
    io.err(f"Error: {reply.message if reply else error.text}\n")
    return USAGE


async def _make(host: Host, io: CommandIO, change: Change, words: list[str], given: dict[str, Any], form: str) -> int:
    """Make the call of a command; a task is followed to its end, and its log shown."""
    if len(words) > len(change.places):
        io.err(f"Error: too many arguments: {' '.join(words[len(change.places) :])}\n")
        return USAGE
    params = dict(zip(change.places, words, strict=False)) | given
    try:
        data = await _call(host, change.path.format(**params), change.verb, _inside(change.path, params))
    except KeyError as error:
        io.err(f"Error: parameter verification failed - {error}: parameter is missing and it is not optional.\n")
        return USAGE
    except (ParameterError, AgentError) as error:
        return _refused(host, io, error)
    upid = parse_upid(data) if isinstance(data, str) else None
    if upid is not None:
        return await _follow(host, io, upid)
    if change.verb == "GET" and data is not None:
        io.out(_text(data) if form == "text" else render(data, form))
    elif data:
        io.out("Result: " + render(data, "json-pretty"))
    return 0


def _inside(path: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that do not stand in the path."""
    return {name: value for name, value in params.items() if f"{{{name}}}" not in path}


def _text(data: Any) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, list) and data and "t" in data[0]:
        return "".join(f"{row['t']}\n" for row in data)
    return render(data, "json-pretty")


async def _follow(host: Host, io: CommandIO, upid: Upid) -> int:
    while host.tasks.is_running(upid):
        await host.clock.sleep(_LOOK)
    lines = host.tasks.read_log(upid) or []
    io.out("".join(f"{line}\n" for line in lines))
    return 0 if host.tasks.exit_status(upid) == "OK" else USAGE


async def _call(host: Host, path: str, verb: str = "GET", given: Mapping[str, Any] | None = None) -> Any:
    dispatcher, identity = host.pbs.api.dispatcher, Identity(ROOT)
    found = dispatcher.find(verb, path)
    if found is None:
        raise dispatcher.unknown(verb, path)
    reply = await dispatcher.execute(found, identity, dispatcher.admit(found, identity, given or {}))
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
