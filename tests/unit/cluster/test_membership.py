# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Votes, quorum, links and live configuration changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentstack._shared.corosync_change import add_link, bump_version, remove_node
from agentstack._shared.corosync_conf import parse
from agentstack.cluster.membership import Votes
from agentstack.errors import AgentError

from .conftest import World, until


@pytest.mark.parametrize(
    ("expected", "total", "quorum", "quorate"),
    [(1, 1, 1, True), (2, 1, 2, False), (2, 2, 2, True), (3, 2, 2, True), (4, 2, 3, False), (5, 3, 3, True)],
)
def test_votequorum(expected: int, total: int, quorum: int, quorate: bool) -> None:
    votes = Votes(expected, expected, total)
    assert (votes.quorum, votes.quorate) == (quorum, quorate)


async def test_one_link_lost_changes_no_membership(three: World) -> None:
    one = three.boxes["pve1"].cluster
    assert one.view is not None
    ring = one.view.ring
    await until(lambda: all(all(link.connected.values()) for link in one.links()))
    three.control("cut", network="ring0")
    await until(lambda: [set(link.connected.values()) for link in one.links()] == [{False}, {True}])
    await three.boxes["pve1"].files.write("a", "b")
    assert one.view.ring == ring
    three.control("restore", network="ring0")
    await until(lambda: all(all(link.connected.values()) for link in one.links()))
    assert one.view.ring == ring


async def test_partition_and_merge(three: World) -> None:
    boxes = three.boxes
    three.control("separate", sets=[["pve1"], ["pve2", "pve3"]])
    await until(lambda: three.online("pve2") == {"pve2", "pve3"} and three.online("pve1") == {"pve1"})
    assert not boxes["pve1"].cluster.quorate
    assert boxes["pve2"].cluster.quorate
    view = boxes["pve2"].cluster.view
    assert view is not None
    before = view.ring
    three.control("restore")
    await until(lambda: all(three.online(name) == {"pve1", "pve2", "pve3"} for name in ("pve1", "pve2", "pve3")))
    view = boxes["pve1"].cluster.view
    assert view is not None
    assert view.ring[1] > before[1]


async def test_expected_votes_at_runtime(three: World) -> None:
    one = three.boxes["pve1"].cluster
    with pytest.raises(AgentError, match="CS_ERR_INVALID_PARAM"):
        one.expect(9)
    for name in ("pve2", "pve3"):
        await three.boxes[name].crash()
    await until(lambda: not one.quorate)
    one.expect(1)
    await until(lambda: one.quorate)
    await three.boxes["pve1"].files.write("alone", "yes")
    # who comes back brings the configured number along
    await three.boxes["pve2"].start()
    await until(lambda: three.online("pve1") == {"pve1", "pve2"})
    assert (one.votes.highest_expected, one.quorum, one.quorate) == (3, 2, True)
    await until(lambda: three.boxes["pve2"].files.read_text("alone", "") == "yes")


async def test_live_changes(three: World, caplog: pytest.LogCaptureFixture) -> None:
    files = three.boxes["pve2"].files
    conf = parse(three.boxes["pve1"].cluster.config_file.read_text())

    async def change(text: str) -> None:
        await files.write("corosync.conf.new", text)
        await files.rename("corosync.conf.new", "corosync.conf")

    def versions() -> list[int]:
        return [three.boxes[name].cluster.config_version for name in ("pve1", "pve2", "pve3")]

    addresses = {name: three.boxes[name].addresses["mgmt"] for name in ("pve1", "pve2", "pve3")}
    conf = add_link(conf, 2, addresses)
    await change(conf.format())
    await until(lambda: versions() == [3 + 1] * 3)
    await until(lambda: all(three.boxes["pve1"].cluster.links()[2].connected.values()))
    assert len(three.online("pve1")) == 3

    await change("totem {\n")
    assert "unable to parse cluster config_version" in caplog.text
    older = replace(conf, totem=replace(conf.totem, config_version=2))
    await change(older.format())
    assert "local corosync.conf is newer" in caplog.text
    assert parse(three.boxes["pve3"].cluster.config_file.read_text()) == conf

    await change(remove_node(conf, "pve3").format())
    await until(lambda: versions()[:2] == [5, 5])
    await until(lambda: three.online("pve1") == {"pve1", "pve2"})
    await until(lambda: not three.boxes["pve3"].cluster.quorate)


async def test_another_cluster_on_the_same_wire(world: World) -> None:
    world.configure(["pve1", "pve2"])
    world.configure(["pve3", "pve4"])
    for name in ("pve3", "pve4"):
        (world.boxes[name].root / "etc/corosync/authkey").write_bytes(b"other")
    await asyncio.gather(*(world.boxes[f"pve{number}"].start() for number in range(1, 5)))
    await until(lambda: world.online("pve1") == {"pve1", "pve2"} and world.online("pve4") == {"pve3", "pve4"})


async def test_outdated_configuration_ends_corosync(three: World, caplog: pytest.LogCaptureFixture) -> None:
    three_ = three.boxes["pve3"]
    await three_.crash()
    conf = parse(three.boxes["pve1"].cluster.config_file.read_text())
    await three.boxes["pve1"].files.write("corosync.conf", bump_version(conf).format())
    await until(lambda: three.boxes["pve1"].cluster.config_version == 4)
    await three_.start()
    await until(lambda: "Received config version (4) is different than my config version (3)! Exiting" in caplog.text)
    await until(lambda: not three_.cluster.corosync.running)
    assert not three_.cluster.quorate
    # copied by hand, as on a real node
    three_.cluster.config_file.write_text(three.boxes["pve1"].cluster.config_file.read_text())
    await three_.cluster.restart_corosync()
    await until(lambda: three_.files.quorate and three.online("pve1") == {"pve1", "pve2", "pve3"})


async def test_outdated_configuration_ends_corosync_that_fits_in_no_membership(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Two joins at once: pve3 was let in before pve2, and knows nothing of it."""
    newest = world.configure(["pve1", "pve2", "pve3"])
    older = remove_node(newest, "pve2")
    world.write_config("pve3", replace(older, totem=replace(older.totem, config_version=2)))
    await asyncio.gather(*(world.boxes[name].start() for name in ("pve1", "pve2")))
    await until(lambda: world.online("pve1") == {"pve1", "pve2"})
    late = world.boxes["pve3"]
    # it waits for the cluster's files, which never come
    starting = asyncio.create_task(late.start())
    await until(lambda: "Received config version (3) is different than my config version (2)! Exiting" in caplog.text)
    await until(lambda: not late.cluster.corosync.running)
    starting.cancel()
    assert world.online("pve1") == {"pve1", "pve2"}
