# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zfs, as far as administrators and scripts look at datasets and make snapshots, remove them and go back to them."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell.registry import CommandIO, command
from agentstack.shell.zfs_words import Options, Row, UsageError, Value, Verb, columns_of, human, moment, run, table
from agentstack.storage import sparse
from agentstack.storage.zpool import Dataset, Pool

if TYPE_CHECKING:
    from agentstack.host import Host

KINDS = {"fs": "filesystem", "vol": "volume", "snap": "snapshot", "snapshots": "snapshot", "filesystems": "filesystem"}
KINDS |= {"volumes": "volume"} | {name: name for name in ("filesystem", "volume", "snapshot", "bookmark")}
_ALIASES = {"avail": "available", "refer": "referenced", "usedds": "usedbydataset", "usedsnap": "usedbysnapshots"}
_ALIASES |= {"usedrefreserv": "usedbyrefreservation", "usedchild": "usedbychildren", "compress": "compression"}
_ALIASES |= {"recsize": "recordsize", "volblock": "volblocksize", "ratio": "compressratio", "rdonly": "readonly"}
_ALIASES |= {"refquot": "refquota", "lused": "logicalused", "reserv": "reservation", "refreserv": "refreservation"}
_HEADS = {name: alias.upper() for alias, name in _ALIASES.items()}
_SPACE = "name,avail,used,usedsnap,usedds,usedrefreserv,usedchild"
_LIMITS = frozenset({"quota", "reservation", "refquota", "refreservation"})
"""Sizes of which 0 means that there is none."""
_DEFAULTS: dict[str, Value] = {
    **dict.fromkeys(_LIMITS, 0),
    **{"recordsize": 128 << 10, "volblocksize": 16 << 10, "sync": "standard", "dedup": "off", "atime": "on"},
    **{"readonly": "off", "checksum": "on", "encryption": "off", "copies": "1", "primarycache": "all"},
    **{"secondarycache": "all", "xattr": "on", "acltype": "off", "snapdir": "hidden", "canmount": "on"},
    **{"logbias": "latency", "volmode": "default", "relatime": "on", "compression": "on"},
}
_OF_FILESYSTEMS = frozenset({"recordsize", "quota", "refquota", "atime", "relatime", "xattr", "acltype", "snapdir"})
_OF_FILESYSTEMS |= {"canmount"}
_OF_VOLUMES = frozenset({"volblocksize", "volmode"})
_STATISTICS = (
    *("name", "type", "creation", "used", "available", "referenced", "compressratio", "mounted", "origin"),
    *("mountpoint", "volsize", "usedbysnapshots", "usedbydataset", "usedbyrefreservation", "usedbychildren"),
    *("logicalused", "logicalreferenced", "written", "guid", "createtxg"),
)
KNOWN = frozenset(_STATISTICS) | frozenset(_DEFAULTS)
_PLAIN_NUMBERS = frozenset({"guid", "createtxg"})

Found = tuple[Pool, str, str | None]
"""Pool, dataset, snapshot (None for the dataset itself)."""


@command("zfs", kinds=("pve", "pbs"))
async def zfs(host: Host, argv: list[str], io: CommandIO) -> int:
    return run(host, "zfs", VERBS, argv, io)


# ---- what there is --------------------------------------------------------------------------------------------------


def _find(host: Host, full: str) -> Found:
    """What a name means. Raises AgentError when there is nothing of that name."""
    name, at, snapshot = full.partition("@")
    pool, dataset = host.zfs.dataset(name)
    if at and snapshot not in dataset.snapshots:
        raise AgentError(f"cannot open '{full}': dataset does not exist")
    return pool, name, snapshot if at else None


def _kinds(text: str) -> set[str]:
    if text == "all":
        return {"filesystem", "volume", "snapshot"}
    for word in text.split(","):
        if word not in KINDS:
            raise UsageError(f"invalid type '{word}'")
    return {KINDS[word] for word in text.split(",")}


def _depth(options: Options) -> int | None:
    """How far below the named datasets to go; None: all the way."""
    if "d" not in options:
        return None if "r" in options else 0
    text = options.last("d", "")
    if not text.isdigit():
        raise UsageError(f"{text} is not a number")
    return int(text)


def _below(host: Host, found: list[Found], kinds: set[str], depth: int | None) -> Iterator[Found]:
    """What is asked for and what lies below it, each dataset followed by its snapshots."""
    for pool, base, snapshot in found:
        if snapshot is not None:
            yield pool, base, snapshot
            continue
        level = base.count("/")
        for name in sorted(pool.datasets):
            if name != base and not name.startswith(f"{base}/"):
                continue
            down = name.count("/") - level
            if depth is None or down <= depth:
                if pool.datasets[name].kind in kinds:
                    yield pool, name, None
                # a snapshot is one step below its dataset; one dataset alone shows its own when they are asked for
                if "snapshot" in kinds and (depth is None or depth == 0 or down < depth):
                    yield from ((pool, name, each) for each in pool.datasets[name].snapshots)


def _inside(pool: Pool, name: str) -> list[str]:
    return [other for other in sorted(pool.datasets) if other.startswith(f"{name}/")]


def _properties(host: Host, pool: Pool, name: str, snapshot: str | None) -> Row:
    dataset: Dataset = pool.datasets[name]
    if snapshot is not None:
        size = sparse.allocated(pool.path(name, snapshot)) + (24 << 10)
        return {
            **{"name": f"{name}@{snapshot}", "type": "snapshot", "creation": int(dataset.snapshots[snapshot])},
            **{"used": 0, "referenced": size, "logicalreferenced": size, "written": 0, "compressratio": "1.00x"},
            **({"volsize": dataset.volsize} if dataset.volsize is not None else {}),
        }
    used, referenced, own = host.zfs.used(pool, name), host.zfs.referenced(pool, name), host.zfs.own(pool, name)
    snapshots = sum(sparse.allocated(pool.path(name, each)) for each in dataset.snapshots)
    children = sum(
        host.zfs.used(pool, other) for other in pool.datasets if other.rpartition("/")[0] == name and other != name
    )
    found: dict[str, Value] = {
        **{"name": name, "type": dataset.kind, "creation": int(dataset.created), "used": used},
        **{"available": host.zfs.available(pool), "referenced": referenced, "compressratio": "1.00x"},
        **{"usedbysnapshots": snapshots, "usedbydataset": own, "usedbychildren": children},
        "usedbyrefreservation": max(0, used - snapshots - own - children),
        **{"logicalused": used, "logicalreferenced": referenced, "written": own},
    }
    other = _OF_FILESYSTEMS if dataset.kind == "volume" else _OF_VOLUMES
    found |= {key: value for key, value in _DEFAULTS.items() if key not in other}
    found["compression"] = pool.datasets[pool.name].properties["compression"]
    if dataset.kind == "filesystem":
        found |= {"mounted": "yes", "mountpoint": f"/{name}"}
    if dataset.volsize is not None:
        found |= {"volsize": dataset.volsize, "refreservation": 0 if dataset.sparse else dataset.volsize}
    return found | {key: int(value) if key in _LIMITS else value for key, value in dataset.properties.items()}


def _source(pool: Pool, name: str, snapshot: str | None, key: str) -> str:
    dataset = pool.datasets[name]
    if snapshot is not None or key == "origin":
        return "-"
    if key in dataset.properties or key == "volsize" or (key == "refreservation" and dataset.volsize):
        return "local"
    if key in pool.datasets[pool.name].properties:
        return f"inherited from {pool.name}"
    return "default" if key in _DEFAULTS or key == "mountpoint" else "-"


def _text(key: str, value: Value, *, exact: bool) -> str:
    if isinstance(value, str):
        return value.removesuffix("x") if exact and key == "compressratio" else value
    if exact or key in _PLAIN_NUMBERS:
        return str(value)
    if key == "creation":
        return moment(value)
    return "none" if key in _LIMITS and not value else human(value)


# ---- verbs ----------------------------------------------------------------------------------------------------------


def _list(host: Host, options: Options, io: CommandIO) -> None:
    shown = options.last("o", "name,used,avail,refer,mountpoint")
    columns = columns_of(_SPACE if shown == "space" else shown, KNOWN, _ALIASES)
    named = [_find(host, name) for name in options.words]
    default = "filesystem,volume,snapshot" if any(snapshot for _, _, snapshot in named) else "filesystem,volume"
    kinds = _kinds(options.last("t", default))
    depth = _depth(options)
    if not named:
        named = [(pool, name, None) for name, pool in sorted(host.zfs.pools.items())]
        depth = depth if "d" in options else None
    rows = [_properties(host, *found) for found in _below(host, named, kinds, depth)]
    for letter in "Ss":
        for key in reversed(options.given.get(letter, [])):
            [name] = columns_of(key, KNOWN, _ALIASES)
            rows = [row for _, row in sorted(((_rank(row.get(name)), row) for row in rows), key=itemgetter(0))]
            if letter == "S":
                rows.reverse()
    if not rows:
        io.err("no datasets available\n")
        return
    exact = "p" in options
    texts = [{column: _text(column, row.get(column, "-"), exact=exact) for column in columns} for row in rows]
    right = frozenset(columns) - {"name", "mountpoint", "type", "origin", "creation"}
    io.out(table(texts, columns, _HEADS, right, plain="H" in options))


def _rank(value: Value | None) -> tuple[int, int, str]:
    """What has no value comes last."""
    if value is None:
        return 1, 0, ""
    return (0, value, "") if isinstance(value, int) else (0, 0, value)


def _get(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words:
        raise UsageError("missing property argument")
    wanted = None if options.words[0] == "all" else columns_of(options.words[0], KNOWN, _ALIASES)
    fields = ("name", "property", "value", "received", "source")
    shown = options.last("o", "name,property,value,source")
    columns = columns_of(",".join(fields) if shown == "all" else shown, fields, {})
    sources = options.last("s", "local,default,inherited,received,temporary,none").split(",")
    named = [_find(host, name) for name in options.words[1:]]
    depth, kinds = _depth(options), _kinds(options.last("t", "all"))
    if not named:
        named, depth = [(pool, name, None) for name, pool in sorted(host.zfs.pools.items())], None
    elif not depth and "t" not in options:
        # a dataset that is named is shown without its snapshots
        kinds -= {"snapshot"}
    rows = []
    for pool, name, snapshot in _below(host, named, kinds, depth):
        found = _properties(host, pool, name, snapshot)
        for key in wanted if wanted is not None else [key for key in found if key != "name"]:
            source = _source(pool, name, snapshot, key) if key in found else "-"
            if source.partition(" ")[0].replace("-", "none") in sources:
                value = _text(key, found.get(key, "-"), exact="p" in options)
                rows.append({"name": str(found["name"]), "property": key, "value": value, "source": source})
                rows[-1]["received"] = "-"
    if rows:
        io.out(table(rows, columns, {}, frozenset(), plain="H" in options))


def _snapshot(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words:
        raise UsageError("missing snapshot argument")
    names = []
    for full in options.words:
        name, at, snapshot = full.partition("@")
        if not at or not snapshot:
            raise AgentError(f"cannot create snapshot '{full}': missing '@' delimiter in snapshot name")
        pool, _ = host.zfs.dataset(name)
        below = _inside(pool, name) if "r" in options else []
        names += [(each, snapshot) for each in [name, *below]]
    for name, snapshot in names:
        # all of them or none
        if snapshot in host.zfs.dataset(name)[1].snapshots:
            raise AgentError(f"cannot create snapshot '{name}@{snapshot}': dataset already exists")
    for name, snapshot in names:
        host.zfs.snapshot(name, snapshot)


def _destroy(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words:
        raise UsageError("missing dataset argument")
    if len(options.words) > 1:
        raise UsageError("too many arguments")
    [full] = options.words
    name, at, _ = full.partition("@")
    found = _snapshots_to_destroy(host, full, options) if at else _datasets_to_destroy(host, name, options)
    dry = "n" in options
    if "v" in options:
        verb = "would destroy" if dry else "will destroy"
        io.out("".join(f"{verb} {each}\n" for each in found))
    for each in () if dry else found:
        dataset, at, snapshot = each.partition("@")
        if at:
            host.zfs.destroy_snapshot(dataset, snapshot)
        else:
            host.zfs.destroy(dataset)


def _snapshots_to_destroy(host: Host, full: str, options: Options) -> list[str]:
    """`tank@a`, `tank@a,b`, `tank@a%c`, `tank@%c`; with -r those of that name in everything below, too."""
    name, _, wanted = full.partition("@")
    pool, _ = host.zfs.dataset(name)
    below = _inside(pool, name) if "r" in options else []
    found = []
    for each in [name, *below]:
        there = list(pool.datasets[each].snapshots)
        for part in wanted.split(","):
            first, percent, last = part.partition("%")
            if percent and there and all(end in there for end in (first, last) if end):
                start = there.index(first) if first else 0
                found += [f"{each}@{snapshot}" for snapshot in there[start : there.index(last) + 1 if last else None]]
            elif part in there:
                found.append(f"{each}@{part}")
    if not found:
        raise AgentError("could not find any snapshots to destroy; check snapshot names.")
    clones = [clone for each in found for clone in host.zfs.clones(*each.split("@"))]
    if clones and "R" not in options:
        listed = "\n".join(clones)
        raise AgentError(
            f"cannot destroy '{found[0]}': snapshot has dependent clones\n"
            f"use '-R' to destroy the following datasets:\n{listed}"
        )
    return [*clones, *found]


def _datasets_to_destroy(host: Host, name: str, options: Options) -> list[str]:
    pool, dataset = host.zfs.dataset(name)
    below = _inside(pool, name)
    inside = [f"{name}@{each}" for each in dataset.snapshots]
    inside += [
        each for other in below for each in (other, *(f"{other}@{one}" for one in pool.datasets[other].snapshots))
    ]
    recursive = "r" in options or "R" in options
    if inside and not recursive:
        raise AgentError(
            f"cannot destroy '{name}': {dataset.kind} has children\nuse '-r' to destroy the following datasets:\n"
            + "\n".join(inside)
        )
    if name == pool.name:
        raise AgentError(
            f"cannot destroy '{name}': operation does not apply to pools\n"
            f"use 'zfs destroy -r {name}' to destroy all datasets in the pool\n"
            f"use 'zpool destroy {name}' to destroy the pool itself"
        )
    clones = [clone for each in [name, *below] for clone in host.zfs.clones(each) if clone not in below]
    if clones and "R" not in options:
        listed = "\n".join(clones)
        raise AgentError(
            f"cannot destroy '{name}': {dataset.kind} has dependent clones\n"
            f"use '-R' to destroy the following datasets:\n{listed}"
        )
    # what is a clone goes before what it is a clone of, what is inside before what is around it
    inner = sorted(sorted(below, reverse=True), key=lambda each: bool(host.zfs.clones(each)))
    return [*clones, *inner, name]


def _rollback(host: Host, options: Options, io: CommandIO) -> None:
    if not options.words:
        raise UsageError("missing dataset argument")
    if options.words[1:]:
        raise UsageError("too many arguments")
    [full] = options.words
    name, at, snapshot = full.partition("@")
    if not at:
        raise AgentError(f"cannot open '{full}': missing '@' delimiter in snapshot name")
    pool, _, _ = _find(host, full)
    there = list(pool.datasets[name].snapshots)
    newer = there[there.index(snapshot) + 1 :]
    if newer and not ("r" in options or "R" in options):
        listed = "\n".join(f"{name}@{each}" for each in newer)
        raise AgentError(
            f"cannot rollback to '{full}': more recent snapshots or bookmarks exist\n"
            f"use '-r' to force deletion of the following\nsnapshots and bookmarks:\n{listed}"
        )
    clones = [clone for each in newer for clone in host.zfs.clones(name, each)]
    if clones and "R" not in options:
        listed = "\n".join(clones)
        raise AgentError(
            f"cannot rollback to '{full}': clones of previous snapshots exist\n"
            f"use '-R' to force deletion of the following\nclones and dependents:\n{listed}"
        )
    for clone in clones:
        host.zfs.destroy(clone)
    for each in newer:
        host.zfs.destroy_snapshot(name, each)
    host.zfs.rollback(name, snapshot)


VERBS = {
    "rollback": Verb(_rollback, "frR"),
    "list": Verb(_list, "Hpr", "dostS"),
    "get": Verb(_get, "Hpr", "dost"),
    "snapshot": Verb(_snapshot, "r", "o"),
    "snap": Verb(_snapshot, "r", "o"),
    "destroy": Verb(_destroy, "fnpRrv"),
}
