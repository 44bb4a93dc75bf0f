# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zpool and zfs, as far as administrators and scripts look at pools and datasets with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell.registry import CommandIO, command
from agentstack.storage.zpool import MESSAGES, Dataset, Pool

if TYPE_CHECKING:
    from agentstack.host import Host

FAILED, USAGE_STATUS = 1, 2

Row = dict[str, str]
Verb = Callable[["Host", list[str], CommandIO], int]


def human(size: int) -> str:
    """Bytes as ZFS prints them: three significant digits and a unit."""
    value, unit = float(size), 0
    while value >= 1024 and unit < 6:
        value, unit = value / 1024, unit + 1
    if unit == 0:
        return f"{size}B"
    digits = 0 if value >= 100 or value.is_integer() else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{' KMGTPE'[unit]}"


def options_of(words: list[str], with_value: str) -> tuple[dict[str, str], list[str]]:
    """Single-letter options (those in `with_value` take one) and the other words."""
    options: dict[str, str] = {}
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or len(word) < 2:
            rest.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in with_value:
                options[letter] = letters or (queue.pop(0) if queue else "")
                letters = ""
            else:
                options[letter] = ""
    return options, rest


def table(rows: list[Row], columns: list[str], options: dict[str, str], right: frozenset[str] = frozenset()) -> str:
    """Rows under upper-case heads; with -H tab separated and without heads."""
    if "H" in options:
        return "".join("\t".join(row[column] for column in columns) + "\n" for row in rows)
    heads = {column: column.upper() for column in columns}
    widths = {column: max(len(text[column]) for text in [heads, *rows]) for column in columns}

    def line(text: Row) -> str:
        cells = (
            f"{text[column]:>{widths[column]}}" if column in right else f"{text[column]:<{widths[column]}}"
            for column in columns
        )
        return "  ".join(cells).rstrip() + "\n"

    return line(heads) + "".join(line(row) for row in rows)


@command("zpool")
async def zpool(host: Host, argv: list[str], io: CommandIO) -> int:
    verbs: dict[str, Verb] = {
        **{"list": zpool_list, "status": zpool_status, "replace": zpool_replace, "clear": zpool_clear},
        **{"offline": zpool_offline, "online": zpool_online, "scrub": zpool_scrub},
    }
    return _dispatch(host, "zpool", verbs, argv, io)


@command("zfs")
async def zfs(host: Host, argv: list[str], io: CommandIO) -> int:
    verbs: dict[str, Verb] = {"list": zfs_list, "get": zfs_get, "snapshot": zfs_snapshot, "destroy": zfs_destroy}
    return _dispatch(host, "zfs", verbs, argv, io)


def _dispatch(host: Host, name: str, verbs: dict[str, Verb], argv: list[str], io: CommandIO) -> int:
    if not argv:
        io.err("missing command\n")
        return USAGE_STATUS
    if argv[0] not in verbs:
        io.err(f"unrecognized command '{argv[0]}'\nusage: {name} command args ...\n")
        return USAGE_STATUS
    try:
        return verbs[argv[0]](host, argv[1:], io)
    except AgentError as error:
        io.err(f"{error.message}\n")
        return FAILED


def _pools(host: Host, names: Iterable[str]) -> list[Pool]:
    wanted = list(names)
    return [host.zfs.pool(name) for name in wanted] or [pool for _, pool in sorted(host.zfs.pools.items())]


def zpool_list(host: Host, words: list[str], io: CommandIO) -> int:
    options, names = options_of(words, "oT")
    amount: Callable[[int], str] = str if "p" in options else human
    rows = []
    for pool in _pools(host, names):
        summary = host.zfs.summary(pool)
        rows.append(
            {
                **{"name": pool.name, "size": amount(summary["size"]), "alloc": amount(summary["alloc"])},
                **{"free": amount(summary["free"]), "ckpoint": "-", "expandsz": "-", "frag": f"{summary['frag']}%"},
                **{"cap": f"{summary['alloc'] * 100 // summary['size']}%", "dedup": "1.00x"},
                **{"health": summary["health"], "altroot": "-", "guid": pool.guid},
            }
        )
    columns = options["o"].split(",") if options.get("o") else list(rows[0])[:-1] if rows else []
    columns = ["alloc" if column == "allocated" else "cap" if column == "capacity" else column for column in columns]
    if not rows:
        io.out("no pools available\n")
        return 0
    right = frozenset(columns) - {"name", "health", "altroot"}
    io.out(table(rows, columns, options, right))
    return 0


def zpool_status(host: Host, words: list[str], io: CommandIO) -> int:
    options, names = options_of(words, "T")
    pools = _pools(host, names)
    if "x" in options:
        pools = [pool for pool in pools if host.zfs.health(pool) != "ONLINE"]
        if not pools:
            io.out("all pools are healthy\n")
            return 0
    if not pools:
        io.out("no pools available\n")
        return 0
    io.out("\n".join(_status(host, pool) for pool in pools))
    return 0


def _status(host: Host, pool: Pool) -> str:
    health = host.zfs.health(pool)
    text = f"  pool: {pool.name}\n state: {health}\n"
    if texts := host.zfs.devices.explanation(pool):
        status, action = (words.replace("\n", "\n\t") for words in texts)
        text += f"status: {status}\naction: {action}\n"
    rows = [(0, pool.name, health)]
    counts: dict[str, int] = {}
    for vdev in pool.vdevs:
        depth = 1
        if vdev.kind != "disk":
            counts[vdev.kind] = counts.get(vdev.kind, -1) + 1
            rows.append((1, f"{vdev.kind}-{counts[vdev.kind]}", host.zfs.devices.vdev_state(pool, vdev)))
            depth = 2
        rows += [(depth, disk.rpartition("/")[2], host.zfs.devices.state(pool, disk)) for disk in vdev.disks]
    width = max(len(name) + 2 * depth for depth, name, _ in rows)
    text += f"config:\n\n\t{'NAME':<{width}}  {'STATE':<8} READ WRITE CKSUM\n"
    for depth, name, state in rows:
        text += f"\t{'  ' * depth + name:<{width}}  {state:<8} {0:>4} {0:>5} {0:>5}"
        text += f"  {MESSAGES[state]}\n" if state in MESSAGES and depth else "\n"
    return text + "\nerrors: No known data errors\n"


def zpool_replace(host: Host, words: list[str], io: CommandIO) -> int:
    options, rest = options_of(words, "o")
    if not 2 <= len(rest) <= 3:
        raise AgentError(
            "missing device specification\nusage:\n\treplace [-fsw] [-o property=value] <pool> <device> [new-device]"
        )
    host.zfs.devices.replace(host.zfs.pool(rest[0]), rest[1], rest[2] if rest[2:] else None, force="f" in options)
    return 0


def _on_devices(change: Callable[[Host, Pool, str], None]) -> Verb:
    def run(host: Host, words: list[str], io: CommandIO) -> int:
        _, rest = options_of(words, "")
        if len(rest) < 2:
            raise AgentError("missing device name" if rest else "missing pool name")
        for device in rest[1:]:
            change(host, host.zfs.pool(rest[0]), device)
        return 0

    return run


zpool_offline = _on_devices(lambda host, pool, device: host.zfs.devices.take_offline(pool, device))
zpool_online = _on_devices(lambda host, pool, device: host.zfs.devices.bring_online(pool, device))


def zpool_clear(host: Host, words: list[str], io: CommandIO) -> int:
    _, rest = options_of(words, "")
    if not rest:
        raise AgentError("missing pool name")
    host.zfs.clear(rest[0])
    return 0


def zpool_scrub(host: Host, words: list[str], io: CommandIO) -> int:
    _, rest = options_of(words, "")
    for pool in [host.zfs.pool(name) for name in rest]:
        if host.zfs.health(pool) == "SUSPENDED":
            raise AgentError(f"cannot scrub {pool.name}: pool I/O is currently suspended")
    return 0


def _dataset_rows(
    host: Host, names: list[str], kinds: set[str], recursive: bool
) -> Iterable[tuple[Pool, str, str | None]]:
    """(pool, dataset, snapshot) of what is asked for, by name."""
    for pool in [pool for _, pool in sorted(host.zfs.pools.items())]:
        for name in sorted(pool.datasets):
            if names and not any(name == base or (recursive and name.startswith(f"{base}/")) for base in names):
                continue
            if pool.datasets[name].kind in kinds:
                yield pool, name, None
            if "snapshot" in kinds:
                for snapshot in pool.datasets[name].snapshots:
                    yield pool, name, snapshot


def _properties(host: Host, pool: Pool, name: str, snapshot: str | None) -> dict[str, int | str]:
    dataset: Dataset = pool.datasets[name]
    if snapshot is not None:
        return {
            **{"name": f"{name}@{snapshot}", "type": "snapshot", "used": 0, "available": "-", "mountpoint": "-"},
            **{"referenced": host.zfs.referenced(pool, name), "creation": int(dataset.snapshots[snapshot])},
        }
    found: dict[str, int | str] = {
        **{"name": name, "type": dataset.kind, "used": host.zfs.used(pool, name)},
        **{"available": host.zfs.available(pool), "referenced": host.zfs.referenced(pool, name)},
        **{"creation": int(dataset.created), "compression": pool.datasets[pool.name].properties["compression"]},
        "mountpoint": f"/{name}" if dataset.kind == "filesystem" else "-",
    }
    if dataset.volsize is not None:
        found |= {"volsize": dataset.volsize, "refreservation": "none" if dataset.sparse else dataset.volsize}
    return found | dict(dataset.properties)


_ALIASES = {"avail": "available", "refer": "referenced"}


def zfs_list(host: Host, words: list[str], io: CommandIO) -> int:
    options, names = options_of(words, "otsSd")
    for name in names:
        host.zfs.dataset(name)
    kinds = set(options.get("t", "filesystem,volume").replace("all", "filesystem,volume,snapshot").split(","))
    amount: Callable[[int], str] = str if "p" in options else human
    columns = options.get("o", "name,used,avail,refer,mountpoint").split(",")
    rows = []
    for pool, name, snapshot in _dataset_rows(host, names, kinds, "r" in options or not names):
        found = _properties(host, pool, name, snapshot)
        values = {column: found.get(_ALIASES.get(column, column), "-") for column in columns}
        rows.append({column: value if isinstance(value, str) else amount(value) for column, value in values.items()})
    if not rows:
        io.err("no datasets available\n")
        return 0
    io.out(table(rows, columns, options, frozenset(columns) - {"name", "mountpoint", "type"}))
    return 0


def zfs_get(host: Host, words: list[str], io: CommandIO) -> int:
    options, rest = options_of(words, "ots")
    if not rest:
        io.err("missing property argument\n")
        return USAGE_STATUS
    amount: Callable[[int], str] = str if "p" in options else human
    rows = []
    for full in rest[1:] or sorted(name for pool in host.zfs.pools.values() for name in pool.datasets):
        name, _, snapshot = full.partition("@")
        pool, dataset = host.zfs.dataset(name)
        if snapshot and snapshot not in dataset.snapshots:
            raise AgentError(f"cannot open '{full}': dataset does not exist")
        found = _properties(host, pool, name, snapshot or None)
        for key in sorted(found) if rest[0] == "all" else rest[0].split(","):
            value = found.get(_ALIASES.get(key, key), "-")
            text = value if isinstance(value, str) else amount(value)
            rows.append({"name": full, "property": key, "value": text, "source": "-"})
    columns = options.get("o", "name,property,value,source").split(",")
    io.out(table(rows, columns, options))
    return 0


def zfs_snapshot(host: Host, words: list[str], io: CommandIO) -> int:
    _, names = options_of(words, "o")
    for full in names:
        name, at, snapshot = full.partition("@")
        if not at or not snapshot:
            raise AgentError(f"cannot create snapshot '{full}': missing '@' delimiter in snapshot name")
        host.zfs.snapshot(name, snapshot)
    return 0


def zfs_destroy(host: Host, words: list[str], io: CommandIO) -> int:
    options, names = options_of(words, "")
    for full in names:
        name, at, snapshot = full.partition("@")
        if at:
            host.zfs.destroy_snapshot(name, snapshot)
            continue
        pool, dataset = host.zfs.dataset(name)
        below = [other for other in pool.datasets if other.startswith(f"{name}/")]
        if name == pool.name:
            raise AgentError(f"cannot destroy '{name}': operation does not apply to pools\nuse 'zpool destroy'")
        if (below or dataset.snapshots) and not {"r", "R"} & set(options):
            raise AgentError(
                f"cannot destroy '{name}': filesystem has children\nuse '-r' to destroy the following datasets"
            )
        for other in sorted([*below, name], reverse=True):
            host.zfs.destroy(other)
    return 0
