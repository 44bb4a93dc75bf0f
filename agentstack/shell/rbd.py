# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rbd` on a node: `ls`, `info`, `du`, `snap ls`, with `--format json` (docs.ceph.com, "rbd")."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from agentstack.ceph.images import OBJECT, ORDER, Images
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.shell.registry import CommandIO, command

Lines = list[str]
Shown = tuple[Any, Lines]
_VALUED = {"-p": "pool", "--pool": "pool", "--format": "format", "--image": "image"}
ENOENT = 2


@command("rbd")
async def rbd(host: Host, argv: list[str], io: CommandIO) -> int:
    """Show images."""
    if host.ceph.installed is None:
        io.err("bash: rbd: command not found\n")
        return 127
    words, options = _options(argv)
    name = " ".join(words[:2]) if words[:1] == ["snap"] else "".join(words[:1])
    answer = ANSWERS.get({"list": "ls", "disk-usage": "du", "snap list": "snap ls"}.get(name, name))
    if answer is None:
        io.err(f"error: unknown option '{' '.join(words)}'\n")
        return 1
    place = next(iter(words[len(name.split()) :]), options.get("image", ""))
    pool, _, image = place.rpartition("/") if "/" in place or answer is not ANSWERS["ls"] else (place, "", "")
    try:
        document, lines = await answer(await _images(host, pool or options.get("pool", "rbd")), image)
    except AgentError as error:
        io.err(f"{error.message if error.message.startswith('rbd: ') else 'rbd: ' + error.message}\n")
        return ENOENT
    as_json = options.get("format", "plain").startswith("json")
    io.out((json.dumps(document) if as_json else "\n".join(lines)) + "\n")
    return 0


def _options(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    options: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _VALUED:
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


async def _list(images: Images, name: str) -> Shown:
    names = sorted(await _in_thread(images, images.names))
    return names, names


async def _info(images: Images, name: str) -> Shown:
    image = await _in_thread(images, lambda: images.open(name))
    document = {
        **{"name": image.name, "id": image.id, "size": image.size, "objects": -(-image.size // OBJECT)},
        **{"order": ORDER, "object_size": OBJECT, "snapshot_count": len(image.snapshots), "format": 2},
        **{"block_name_prefix": f"rbd_data.{image.id}", "features": ["layering", "exclusive-lock", "object-map"]},
    }
    lines = [f"rbd image '{name}':", f"\tsize {image.size >> 20} MiB in {document['objects']} objects"]
    lines += [f"\torder {ORDER} ({OBJECT >> 20} MiB objects)", f"\tsnapshot_count: {len(image.snapshots)}"]
    lines += [f"\tid: {image.id}", f"\tblock_name_prefix: rbd_data.{image.id}", "\tformat: 2"]
    return document, lines


async def _usage(images: Images, name: str) -> Shown:
    rows = [
        {"name": image.name, "provisioned_size": image.size, "used_size": used}
        for image, used in await _in_thread(images, images.all)
        if name in ("", image.name)
    ]
    totals = {f"total_{kind}_size": sum(row[f"{kind}_size"] for row in rows) for kind in ("provisioned", "used")}
    lines = ["NAME PROVISIONED USED"]
    lines += [f"{row['name']} {row['provisioned_size'] >> 20} MiB {row['used_size'] >> 20} MiB" for row in rows]
    return {"images": rows, **totals}, lines


async def _snapshots(images: Images, name: str) -> Shown:
    image = await _in_thread(images, lambda: images.open(name))
    rows = [
        {"id": number, "name": snapshot, "size": kept["size"], "protected": "false"}
        for number, (snapshot, kept) in enumerate(image.snapshots.items(), 1)
    ]
    return rows, ["SNAPID NAME SIZE", *(f"{row['id']} {row['name']} {row['size'] >> 20} MiB" for row in rows)]


Answer = Callable[[Images, str], Awaitable[Shown]]
ANSWERS: dict[str, Answer] = {"ls": _list, "info": _info, "du": _usage, "snap ls": _snapshots}
