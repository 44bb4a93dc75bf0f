# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zpool, as far as administrators and scripts look at pools and their disks with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell.registry import CommandIO, command
from agentstack.shell.zfs_words import Options, Row, UsageError, Verb, columns_of, human, run, table
from agentstack.shell.zpool_create import create
from agentstack.storage.zpool import MESSAGES, Pool, Vdev

if TYPE_CHECKING:
    from agentstack.host import Host

_SIZES = frozenset({"size", "allocated", "free"})
_SHARES = frozenset({"capacity", "fragmentation"})
_ALIASES = {"alloc": "allocated", "cap": "capacity", "frag": "fragmentation", "ckpoint": "checkpoint"}
_ALIASES |= {"expandsz": "expandsize", "dedup": "dedupratio"}
_HEADS = {"allocated": "ALLOC", "capacity": "CAP", "fragmentation": "FRAG", "checkpoint": "CKPOINT"}
_HEADS |= {"expandsize": "EXPANDSZ", "dedupratio": "DEDUP"}
_LISTED = "name,size,alloc,free,ckpoint,expandsz,frag,cap,dedup,health,altroot"
SETTINGS = {
    **{"ashift": "12", "autoexpand": "off", "autoreplace": "off", "autotrim": "off", "bootfs": "-"},
    **{"cachefile": "-", "comment": "-", "delegation": "on", "failmode": "wait", "readonly": "off", "version": "-"},
    **{"listsnapshots": "off", "multihost": "off"},
}


@command("zpool", kinds=("pve", "pbs"))
async def zpool(host: Host, argv: list[str], io: CommandIO) -> int:
    return run(host, "zpool", VERBS, argv, io)


def _pools(host: Host, names: Iterable[str]) -> list[Pool]:
    wanted = list(names)
    return [host.zfs.pool(name) for name in wanted] or [pool for _, pool in sorted(host.zfs.pools.items())]


def _properties(host: Host, pool: Pool) -> Row:
    summary = host.zfs.summary(pool)
    return {
        **{"name": pool.name, "size": summary["size"], "allocated": summary["alloc"], "free": summary["free"]},
        **{"checkpoint": "-", "expandsize": "-", "fragmentation": summary["frag"]},
        **{"capacity": summary["alloc"] * 100 // summary["size"], "dedupratio": "1.00x"},
        **{"health": summary["health"], "altroot": "-", "guid": pool.guid},
        **SETTINGS,
        "ashift": str(pool.ashift),
        **pool.settings,
    }


def _text(name: str, value: int | str, *, exact: bool) -> str:
    if isinstance(value, int):
        return str(value) if exact else f"{value}%" if name in _SHARES else human(value)
    # with -p also ratios are numbers
    return value.removesuffix("x") if exact and name == "dedupratio" else value


def _list(host: Host, options: Options, io: CommandIO) -> None:
    known = {*SETTINGS, *_ALIASES.values(), "name", "size", "free", "health", "altroot", "guid"}
    columns = columns_of(options.last("o", _LISTED), known, _ALIASES)
    rows = []
    for pool in _pools(host, options.words):
        found = _properties(host, pool)
        rows.append({name: _text(name, found.get(name, "-"), exact="p" in options) for name in columns})
        if "v" in options:
            rows += [dict.fromkeys(columns, "-") | row for row in _vdev_rows(host, pool, exact="p" in options)]
    if rows:
        right = frozenset(columns) - {"name", "health", "altroot"}
        io.out(table(rows, columns, _HEADS, right, plain="H" in options))
    elif "H" not in options:
        io.out("no pools available\n")


def _vdev_rows(host: Host, pool: Pool, *, exact: bool) -> Iterable[dict[str, str]]:
    """Each top-level device and its disks; what lies on which of them is not known, so only sizes are told."""
    devices = host.zfs.devices
    for name, vdev in _named(pool):
        size = str(vdev.raw_size) if exact else human(vdev.raw_size)
        if name is not None:
            yield {"name": f"  {name}", "size": size, "health": devices.vdev_state(pool, vdev)}
        for disk in vdev.disks:
            indent = "    " if name is not None else "  "
            yield {"name": indent + disk.rpartition("/")[2], "size": size, "health": devices.state(pool, disk)}


def _named(pool: Pool) -> Iterable[tuple[str | None, Vdev]]:
    """The top-level devices with their names (`mirror-0`); None for a single disk."""
    counts: dict[str, int] = {}
    for vdev in pool.vdevs:
        counts[vdev.kind] = counts.get(vdev.kind, -1) + 1
        yield (None if vdev.kind == "disk" else f"{vdev.kind}-{counts[vdev.kind]}"), vdev


def _get(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words:
        raise UsageError("missing property argument")
    rows = []
    for pool in _pools(host, options.words[1:]):
        found = _properties(host, pool)
        every = [name for name in found if name != "name"]
        for name in every if options.words[0] == "all" else columns_of(options.words[0], found, _ALIASES):
            local = name == "ashift" or name in pool.settings
            source = "local" if local else "default" if name in SETTINGS else "-"
            value = _text(name, found[name], exact="p" in options)
            rows.append({"name": pool.name, "property": name, "value": value, "source": source})
    columns = columns_of(options.last("o", "name,property,value,source"), ("name", "property", "value", "source"), {})
    if rows:
        io.out(table(rows, columns, {}, frozenset(), plain="H" in options))


def _status(host: Host, options: Options, io: CommandIO) -> None:
    pools = _pools(host, options.words)
    if "x" in options and pools:
        named = [f"pool '{pool.name}' is healthy" for pool in pools if host.zfs.health(pool) == "ONLINE"]
        pools = [pool for pool in pools if host.zfs.health(pool) != "ONLINE"]
        if not pools:
            io.out("\n".join(named if options.words else ["all pools are healthy"]) + "\n")
            return
    if not pools:
        io.out("no pools available\n")
        return
    names = (lambda disk: disk) if "P" in options else (lambda disk: disk.rpartition("/")[2])
    io.out("\n".join(_described(host, pool, names) for pool in pools))


def _described(host: Host, pool: Pool, shown: Callable[[str], str]) -> str:
    health = host.zfs.health(pool)
    text = f"  pool: {pool.name}\n state: {health}\n"
    if texts := host.zfs.devices.explanation(pool):
        status, action = (words.replace("\n", "\n\t") for words in texts)
        text += f"status: {status}\naction: {action}\n"
    rows = [(0, pool.name, health)]
    for name, vdev in _named(pool):
        if name is not None:
            rows.append((1, name, host.zfs.devices.vdev_state(pool, vdev)))
        depth = 1 if name is None else 2
        rows += [(depth, shown(disk), host.zfs.devices.state(pool, disk)) for disk in vdev.disks]
    width = max(len(name) + 2 * depth for depth, name, _ in rows)
    text += f"config:\n\n\t{'NAME':<{width}}  {'STATE':<8} READ WRITE CKSUM\n"
    for depth, name, state in rows:
        text += f"\t{'  ' * depth + name:<{width}}  {state:<8} {0:>4} {0:>5} {0:>5}"
        text += f"  {MESSAGES[state]}\n" if state in MESSAGES and depth else "\n"
    return text + "\nerrors: No known data errors\n"


def _replace(host: Host, options: Options, io: CommandIO) -> None:
    words = options.words
    if not 2 <= len(words) <= 3:
        raise AgentError(
            "missing device specification\nusage:\n\treplace [-fsw] [-o property=value] <pool> <device> [new-device]"
        )
    new = words[2] if words[2:] else None
    host.zfs.devices.replace(host.zfs.pool(words[0]), words[1], new, force="f" in options)


def _on_devices(change: Callable[[Host, Pool, str], None]) -> Callable[[Host, Options, CommandIO], None]:
    def change_each(host: Host, options: Options, io: CommandIO) -> None:
        if len(options.words) < 2:
            raise UsageError("missing device name" if options.words else "missing pool name")
        for device in options.words[1:]:
            change(host, host.zfs.pool(options.words[0]), device)

    return change_each


def _clear(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words:
        raise UsageError("missing pool name")
    host.zfs.clear(options.words[0])


def _scrub(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words and "a" not in options:
        raise UsageError("missing pool name argument")
    for pool in _pools(host, options.words):
        if host.zfs.health(pool) == "SUSPENDED":
            raise AgentError(f"cannot scrub {pool.name}: pool I/O is currently suspended")


def _destroy(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words:
        raise UsageError("missing pool argument")
    if options.words[1:]:
        raise UsageError("too many arguments")
    host.zfs.destroy_pool(options.words[0])


VERBS = {
    "create": Verb(create, "fn", "oO"),
    "list": Verb(_list, "gHLpPv", "oT"),
    "get": Verb(_get, "Hp", "o"),
    "status": Verb(_status, "cdDegiLpPstvx", "T"),
    "replace": Verb(_replace, "fsw", "o"),
    "clear": Verb(_clear, "FnX"),
    "offline": Verb(_on_devices(lambda host, pool, device: host.zfs.devices.take_offline(pool, device)), "ft"),
    "online": Verb(_on_devices(lambda host, pool, device: host.zfs.devices.bring_online(pool, device)), "e"),
    "scrub": Verb(_scrub, "aCespw"),
    "destroy": Verb(_destroy, "f"),
}
