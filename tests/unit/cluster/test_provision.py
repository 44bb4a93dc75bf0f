# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks that start clustered: whoever is first, the common /etc/pve is the one that the first node brings."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agentstack.cluster.provision import LAST
from agentstack.stack import ClusterSpec

from .conftest import Box, World, until


def agreed(box: Box) -> bool:
    """Whether a host is in quorum and has agreed with the others."""
    return hasattr(box, "files") and box.files.replica.synced and box.files.quorate


async def test_nobody_writes_before_the_first_node_is_there(world: World) -> None:
    names = ("pve1", "pve2", "pve3")
    world.configure(list(names))
    cluster = ClusterSpec("ha", names, ("ring0",), "common", ())
    boxes = [world.boxes[name] for name in names]
    for box in boxes:
        box.stack = replace(box.stack, clusters=(cluster,))
    first, *others = boxes
    starts = [asyncio.create_task(box.start()) for box in others]
    await until(lambda: all(agreed(box) for box in others))
    starts.append(asyncio.create_task(first.start()))
    await until(lambda: agreed(first) and first.files.has_directories)
    await first.files.write(LAST, "key")
    await asyncio.gather(*starts)
    for box in boxes:
        assert box.files.read_text("datacenter.cfg") == "#common\n"
        assert box.files.exists("corosync.conf")
