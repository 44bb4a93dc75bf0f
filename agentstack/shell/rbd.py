# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rbd` on a node, with `--format json` (docs.ceph.com, "rbd").

`ls`, `info`, `du`, `children`, `flatten`, and `snap` with `ls|create|rm|purge|protect|unprotect`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agentstack.ceph.images import OBJECT, ORDER, Image, Images
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.shell.registry import CommandIO, command

Lines = list[str]
Shown = tuple[Any, Lines]
_VALUED = {"-p": "pool", "--pool": "pool", "--format": "format", "--image": "image", "--snap": "snap"}
_ALIASES = {
    **{"list": "ls", "disk-usage": "du", "snap list": "snap ls", "snap add": "snap create"},
    **{"snap remove": "snap rm"},
}
ENOENT, EBUSY = 2, 16


@dataclass(frozen=True)
class Place:
    """What a command is about; `snapshot` is "" where none is named."""

    pool: str
    image: str
    snapshot: str


@command("rbd")
async def rbd(host: Host, argv: list[str], io: CommandIO) -> int:
    """Show images, and make and remove their snapshots."""
    if host.ceph.installed is None:
        io.err("bash: rbd: command not found\n")
        return 127
    words, options = _options(argv)
    name = " ".join(words[:2]) if words[:1] == ["snap"] else "".join(words[:1])
    answer = ANSWERS.get(_ALIASES.get(name, name))
    if answer is _list and "long" in options:
        answer = _long
    if answer is None:
        io.err(f"error: unknown option '{' '.join(words)}'\n")
        return 1
    place = next(iter(words[len(name.split()) :]), options.get("image", ""))
    pool, _, image = place.rpartition("/") if "/" in place or answer not in (_list, _long) else (place, "", "")
    pool = pool or options.get("pool", "rbd")
    if "snap" in options:
        image += f"@{options['snap']}"
    try:
        document, lines = await answer(await _images(host, pool), Place(pool, *image.partition("@")[::2]))
    except AgentError as error:
        io.err(f"{error.message if error.message.startswith('rbd: ') else 'rbd: ' + error.message}\n")
        return _status_of(error.message)
    if document is not None:
        as_json = options.get("format", "plain").startswith("json")
        pretty = 4 if "pretty" in options or options.get("format") == "json-pretty" else None
        io.out((json.dumps(document, indent=pretty) if as_json else "\n".join(lines)) + "\n")
    return 0


def _status_of(message: str) -> int:
    """The error number that the text names; EBUSY and EINVAL are the other two that happen here."""
    number = re.search(r"\((\d+)\) ", message)
    return int(number[1]) if number else EBUSY if "protected" in message else ENOENT


def _options(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    options: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word in ("-l", "--long"):
            options["long"] = ""
        elif word in ("--pretty-format", "--no-progress"):
            options["pretty" if word == "--pretty-format" else "quiet"] = ""
        elif name in _VALUED:
            options[_VALUED[name]] = value if equals else (rest.pop(0) if rest else "")
        else:
            words.append(word)
    return words, options


async def _images(host: Host, name: str) -> Images:
    cluster = await host.ceph.maps()
    pool = cluster.pool(name)
    if pool is None or host.ceph.plane is None:
        raise AgentError(f"error opening pool '{name}': (2) No such file or directory")
    return Images(host.ceph.plane.client, pool.id)


async def _in_thread(images: Images, work: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await work()

    return await images.client.plane.do(run())


async def _list(images: Images, place: Place) -> Shown:
    names = sorted(await _in_thread(images, images.names))
    return names, names


def _parent(image: Image, place: Place) -> dict[str, Any] | None:
    if image.parent is None:
        return None
    named = {"pool": place.pool, "pool_namespace": "", "image": image.parent["image"], "id": image.parent["id"]}
    return named | {"snapshot": image.parent["snapshot"], "trash": False, "overlap": image.parent["overlap"]}


async def _long(images: Images, place: Place) -> Shown:
    rows: list[dict[str, Any]] = []
    lines = ["NAME SIZE PARENT FMT PROT LOCK"]
    for image, _ in await _in_thread(images, images.all):
        parent = _parent(image, place)
        shown = {key: parent[key] for key in ("pool", "pool_namespace", "image", "snapshot")} if parent else None
        rows.append({"image": image.name, "id": image.id, "size": image.size, "format": 2})
        rows[-1] |= {"parent": shown} if shown else {}
        above = f"{place.pool}/{parent['image']}@{parent['snapshot']}" if parent else ""
        lines.append(f"{image.name} {image.size >> 20} MiB {above} 2".replace("  ", " "))
        for name, kept in image.snapshots.items():
            protected = _protected(kept)
            rows.append({"image": image.name, "snapshot": name, "size": kept["size"], "format": 2})
            rows[-1] |= {"protected": protected}
            lines.append(
                f"{image.name}@{name} {kept['size'] >> 20} MiB 2 {'yes' if protected == 'true' else ''}".rstrip()
            )
    return rows, lines


async def _info(images: Images, place: Place) -> Shown:
    image = await _in_thread(images, lambda: images.open(place.image))
    document = {
        **{"name": image.name, "id": image.id, "size": image.size, "objects": -(-image.size // OBJECT)},
        **{"order": ORDER, "object_size": OBJECT, "snapshot_count": len(image.snapshots), "format": 2},
        **{"block_name_prefix": f"rbd_data.{image.id}", "features": ["layering", "exclusive-lock", "object-map"]},
    }
    lines = [f"rbd image '{image.name}':", f"\tsize {image.size >> 20} MiB in {document['objects']} objects"]
    lines += [f"\torder {ORDER} ({OBJECT >> 20} MiB objects)", f"\tsnapshot_count: {len(image.snapshots)}"]
    lines += [f"\tid: {image.id}", f"\tblock_name_prefix: rbd_data.{image.id}", "\tformat: 2"]
    if parent := _parent(image, place):
        document["parent"] = parent
        lines.append(f"\tparent: {place.pool}/{parent['image']}@{parent['snapshot']}")
        lines.append(f"\toverlap: {parent['overlap'] >> 20} MiB")
    return document, lines


async def _usage(images: Images, place: Place) -> Shown:
    found = await _in_thread(images, images.all)
    if place.image and place.image not in {image.name for image, _ in found}:
        await _in_thread(images, lambda: images.open(place.image))
    rows = [
        {"name": image.name, "id": image.id, "provisioned_size": image.size, "used_size": used}
        for image, used in found
        if place.image in ("", image.name)
    ]
    totals = {f"total_{kind}_size": sum(row[f"{kind}_size"] for row in rows) for kind in ("provisioned", "used")}
    lines = ["NAME PROVISIONED USED"]
    lines += [f"{row['name']} {row['provisioned_size'] >> 20} MiB {row['used_size'] >> 20} MiB" for row in rows]
    return {"images": rows, **totals}, lines


async def _snapshots(images: Images, place: Place) -> Shown:
    image = await _in_thread(images, lambda: images.open(place.image))
    rows = [
        {"id": number, "name": snapshot, "size": kept["size"], "protected": _protected(kept)}
        for number, (snapshot, kept) in enumerate(image.snapshots.items(), 1)
    ]
    lines = ["SNAPID NAME SIZE PROTECTED"]
    for row in rows:
        protected = "yes" if row["protected"] == "true" else ""
        lines.append(f"{row['id']} {row['name']} {row['size'] >> 20} MiB {protected}".rstrip())
    return rows, lines


def _protected(kept: dict[str, Any]) -> str:
    return "true" if kept.get("protected") else "false"


async def _children(images: Images, place: Place) -> Shown:
    names = await _in_thread(images, lambda: images.children(place.image, place.snapshot or None))
    rows = [{"pool": place.pool, "pool_namespace": "", "image": name} for name in names]
    return rows, [f"{place.pool}/{name}" for name in names]


Change = Callable[[Images, Place], Awaitable[None]]


def _changing(change: Change, *, snapshot: bool = True) -> Answer:
    """What changes an image, or the snapshot of one that has to be named, and says nothing."""

    async def answer(images: Images, place: Place) -> Shown:
        if snapshot and not place.snapshot:
            raise AgentError("snapshot name was not specified")
        await _in_thread(images, lambda: change(images, place))
        return None, []

    return answer


async def _remove_snapshot(images: Images, place: Place) -> None:
    # a guest's snapshot that is deleted twice is no error, a name that an administrator types is
    images.at(await images.open(place.image), place.snapshot)
    await images.delete_snapshot(place.image, place.snapshot)


Answer = Callable[[Images, Place], Awaitable[Shown]]
ANSWERS: dict[str, Answer] = {
    **{"ls": _list, "info": _info, "du": _usage, "snap ls": _snapshots, "children": _children},
    "snap create": _changing(lambda images, place: images.snapshot(place.image, place.snapshot)),
    "snap rm": _changing(_remove_snapshot),
    "snap purge": _changing(lambda images, place: images.purge(place.image), snapshot=False),
    "snap protect": _changing(lambda images, place: images.protect(place.image, place.snapshot, protected=True)),
    "snap unprotect": _changing(lambda images, place: images.protect(place.image, place.snapshot, protected=False)),
    "flatten": _changing(lambda images, place: images.flatten(place.image), snapshot=False),
}
