# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which link two hosts use, and what slow or lossy networks do to what they send."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agentstack.cluster.cabling import Wire
from agentstack.cluster.ether import Pairing
from agentstack.faults.kinds import Fault

from .conftest import World, until


def pairing(world: World) -> Pairing:
    return world.switch.ether.pairs[frozenset(("pve1", "pve2"))]


async def both_links(world: World) -> None:
    await until(lambda: pairing(world).shown == {0, 1})


async def test_the_next_link_takes_over_within_the_token_time(three: World) -> None:
    await both_links(three)
    pair = pairing(three)
    assert pair.carrier == 0
    rings = {box.name: box.cluster.view.ring for box in three.boxes.values() if box.name in three.online("pve1")}  # type: ignore[union-attr]
    three.control("cut", network="ring0")
    # knet has not noticed yet: what is sent now waits
    assert (pair.carrier, pair.hears) == (0, False)
    await three.boxes["pve3"].files.write("while-it-was-cut", b"x")
    assert (pair.carrier, pair.hears) == (1, True)
    assert {name: three.boxes[name].cluster.view.ring for name in rings} == rings  # type: ignore[union-attr]
    three.control("restore", network="ring0")
    await until(lambda: pair.carrier == 0)


async def test_a_higher_priority_is_preferred(three: World) -> None:
    await both_links(three)
    for port in three.switch.ports.values():
        assert port.station is not None
        port.station = replace(port.station, priorities={1: 10, 0: 5})
    three.switch.rewired()
    assert pairing(three).carrier == 1


async def test_messages_take_as_long_as_the_network(three: World) -> None:
    await both_links(three)
    loop = asyncio.get_running_loop()
    # the token time is 3.65 s, so that 1 s is slow, but not dead
    three.switch.cabling.break_by([Fault("network", ("ring0",), {"latency": 0.4})])
    three.switch.rewired()
    assert three.switch.ether.delay("pve1", "pve2") == 0.4 / 50
    began = loop.time()
    await three.boxes["pve1"].files.write("slow", b"x")
    assert loop.time() - began >= 2 * 0.4 / 50
    assert three.boxes["pve2"].files.read("slow") == b"x"


async def test_what_is_too_slow_or_too_narrow_is_down(three: World) -> None:
    await both_links(three)
    for fault in ({"latency": 5.0}, {"mtu": 500}, {"loss": 1.0}):
        three.switch.cabling.break_by([Fault("network", ("ring0",), fault)])
        three.switch.rewired()
        await until(lambda: pairing(three).shown == {1})
        three.switch.cabling.break_by([])
        three.switch.rewired()
        await both_links(three)
    assert len(three.online("pve1")) == 3


async def test_lost_packets_are_sent_again(three: World) -> None:
    await both_links(three)
    pair = pairing(three)
    pair.ways = {0: Wire(loss=0.9)}
    delays = [three.switch.ether.delay("pve1", "pve2") for _ in range(300)]
    assert max(delays) > pair.token / 4.2 / 50
    pair.ways = {0: Wire()}
    assert three.switch.ether.delay("pve1", "pve2") == 0


async def test_a_link_that_loses_most_pings_is_faint(three: World) -> None:
    await both_links(three)
    three.switch.cabling.break_by([Fault("network", ("ring0",), {"loss": 0.97})])
    three.switch.rewired()
    await until(lambda: pairing(three).shown == {1}, 20)
    assert len(three.online("pve1")) == 3
