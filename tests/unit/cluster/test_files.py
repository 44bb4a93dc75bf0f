# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/pve on a host of its own and on three hosts."""

from __future__ import annotations

import asyncio
import os
import statistics
import time

import pytest

from agentstack.cluster.files import PermissionDenied

from .conftest import World, until


async def test_alone(world: World) -> None:
    box = world.boxes["pve1"]
    await box.start()
    files = box.files
    assert files.quorate
    await files.write("storage.cfg", "dir: local\n")
    assert files.read("storage.cfg") == b"dir: local\n"
    assert files.read_text("nosuch", default="x") == "x"
    with pytest.raises(FileNotFoundError):
        files.read_text("nosuch")
    await files.write("qemu-server/100.conf", "name: a\n")
    assert files.read("nodes/pve1/qemu-server/100.conf") == b"name: a\n"
    assert '"100": { "node": "pve1", "type": "qemu"' in files.read_text(".vmlist")
    await files.mkdir("nodes/pve2")
    await files.mkdir("nodes/pve2/qemu-server")
    with pytest.raises(FileExistsError):
        await files.write("nodes/pve2/qemu-server/100.conf", "")
    await files.rename("nodes/pve1/qemu-server/100.conf", "nodes/pve2/qemu-server/100.conf")
    assert files.guests()[100].node == "pve2"
    with pytest.raises(FileNotFoundError):
        await files.write("nosuch/file", "")
    assert {"storage.cfg", ".members", "local", "nodes"} <= set(files.listdir())
    mirror = box.root / "etc/pve"
    assert (mirror / "storage.cfg").read_bytes() == b"dir: local\n"
    assert os.readlink(mirror / "local") == "nodes/pve1"
    before = files.version("storage.cfg")
    await files.write("storage.cfg", "")
    assert files.version("storage.cfg") > before
    await files.delete("storage.cfg")
    assert not files.exists("storage.cfg")
    await box.stop()
    await box.start()
    assert box.files.guests()[100].node == "pve2"


async def test_three_hosts_are_one_file_system(three: World) -> None:
    one, two, _ = (three.boxes[name] for name in ("pve1", "pve2", "pve3"))
    await one.files.write("user.cfg", "user:root@pam:1:\n")
    for name in ("pve1", "pve2", "pve3"):
        assert three.boxes[name].files.read_text("user.cfg") == "user:root@pam:1:\n"
    with pytest.raises(FileExistsError):
        await two.files.write("user.cfg", "", exclusive=True)
    await asyncio.gather(*(three.boxes[f"pve{n % 3 + 1}"].files.write("jobs.cfg", f"{n}\n") for n in range(30)))
    assert len({three.boxes[name].files.read_text("jobs.cfg") for name in ("pve1", "pve2", "pve3")}) == 1
    assert len({three.boxes[f"pve{n}"].files._store.tree.digest for n in (1, 2, 3)}) == 1


async def test_write_latency(three: World) -> None:
    files = three.boxes["pve1"].files
    times = []
    for n in range(60):
        begin = time.perf_counter()
        await files.write("jobs.cfg", f"{n}\n" * 100)
        times.append(time.perf_counter() - begin)
    # a bound that a busy machine keeps, too; what is aimed at (15 ms) is for the benchmarks
    assert statistics.median(times) < 0.06


async def test_minority_is_read_only_and_catches_up(three: World) -> None:
    one, three_ = three.boxes["pve1"], three.boxes["pve3"]
    three.control("cut", host="pve3")
    await until(lambda: not three_.files.quorate)
    await until(lambda: three.online("pve1") == {"pve1", "pve2"})
    with pytest.raises(PermissionDenied, match="Permission denied"):
        await three_.files.write("storage.cfg", "no")
    await one.files.write("storage.cfg", "majority")
    assert not three_.files.exists("storage.cfg")
    three.control("restore", host="pve3")
    await until(lambda: three_.files.quorate and three_.files.read_text("storage.cfg", "") == "majority")
    await three_.files.write("storage.cfg", "again")
    assert one.files.read_text("storage.cfg") == "again"


async def test_write_during_the_token_time_waits_for_the_new_membership(three: World) -> None:
    three.control("cut", host="pve3")
    begin = time.perf_counter()
    await three.boxes["pve1"].files.write("storage.cfg", "later")
    assert time.perf_counter() - begin > 6.0 / 50
    with pytest.raises(PermissionDenied):
        await three.boxes["pve3"].files.write("storage.cfg", "lost")
    assert three.boxes["pve2"].files.read_text("storage.cfg") == "later"


async def test_crashed_host_comes_back(three: World) -> None:
    two = three.boxes["pve2"]
    await three.boxes["pve1"].files.write("a", "1")
    await two.crash()
    await three.boxes["pve1"].files.write("b", "2")
    assert three.online("pve1") == {"pve1", "pve3"}
    await two.start()
    assert two.files.read_text("a") == "1"
    await until(lambda: two.files.read_text("b", "") == "2")


async def test_status_values_and_log(three: World) -> None:
    one, two = three.boxes["pve1"], three.boxes["pve2"]
    await until(lambda: one.cluster.address_of("pve3") == "127.75.0.13")
    await two.cluster.broadcast("load", {"cpu": 1})
    await until(lambda: one.cluster.kv("pve2", "load") == {"cpu": 1})
    two.files.cluster_log(6, "pvedaemon", "root@pam", "hello")
    await until(lambda: "hello" in one.files.read_text(".clusterlog"))
    await two.crash()
    await until(lambda: one.cluster.kv("pve2", "load") is None)
    assert one.cluster.address_of("pve2") == "127.75.0.12"
