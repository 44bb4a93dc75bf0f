# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zfs rollback and zpool create as administrators type them (the manual pages of OpenZFS)."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.shell.registry import CommandIO
from agentstack.shell.zfs import zfs
from agentstack.shell.zpool import zpool
from agentstack.storage import signatures

from .conftest import boot

VM = "tank/vm-100-disk-0"


async def typed(host: Any, line: str) -> tuple[int, str, str]:
    io, words = CommandIO(), line.split()
    status = await {"zfs": zfs, "zpool": zpool}[words[0]](host, words[1:], io)
    return status, io.stdout.decode(), io.stderr.decode()


# ---- rollback -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pool(host: Any) -> Any:
    """A volume that says `one` in @a and `two` in @b, and `three` now."""
    host.zfs.create_pool("tank", "single", ["/dev/sdb"], 12, "on")
    path = host.zfs.create_volume(VM, 1 << 20)
    for text, name in ((b"one", "a"), (b"two", "b"), (b"three", None)):
        with path.open("r+b") as file:
            file.write(text)
        if name:
            host.zfs.snapshot(VM, name)
    return host


def content(host: Any, size: int = 3) -> bytes:
    with host.zfs.path(VM).open("rb") as file:
        return bytes(file.read(size))


async def test_a_volume_goes_back_to_its_newest_snapshot(pool: Any) -> None:
    host = pool
    with host.zfs.path(VM).open("rb") as held:
        assert await typed(host, f"zfs rollback {VM}@b") == (0, "", "")
        # who has the volume open has it as it is now
        assert held.read(5) == b"two\0\0"
    host.zfs.resize(VM, 2 << 20)
    assert await typed(host, f"zfs rollback {VM}@b") == (0, "", "")
    assert (await typed(host, f"zfs get -Hpo value volsize {VM}"))[1] == f"{1 << 20}\n"


async def test_newer_snapshots_go_only_if_that_is_said(pool: Any) -> None:
    host = pool
    assert await typed(host, f"zfs rollback {VM}@a") == (
        1,
        "",
        f"cannot rollback to '{VM}@a': more recent snapshots or bookmarks exist\n"
        f"use '-r' to force deletion of the following\nsnapshots and bookmarks:\n{VM}@b\n",
    )
    assert content(host, 5) == b"three"
    assert (await typed(host, f"zfs rollback -r {VM}@a"))[0] == 0
    assert content(host) == b"one"
    assert list(host.zfs.dataset(VM)[1].snapshots) == ["a"]


async def test_clones_of_newer_snapshots_go_with_a_capital_letter(pool: Any) -> None:
    host = pool
    host.zfs.create_volume("tank/copy", 1 << 20, thin=True)
    host.zfs.pool("tank").datasets["tank/copy"].properties["origin"] = f"{VM}@b"
    status, _, text = await typed(host, f"zfs rollback -r {VM}@a")
    assert (status, text.splitlines()[0]) == (1, f"cannot rollback to '{VM}@a': clones of previous snapshots exist")
    assert text.splitlines()[-1] == "tank/copy"
    assert (await typed(host, f"zfs rollback -R {VM}@a"))[0] == 0
    assert not host.zfs.exists("tank/copy")
    assert content(host) == b"one"


@pytest.mark.parametrize("name", ["tank", "tank/files"])
async def test_a_file_system_goes_back_without_what_lies_below(pool: Any, name: str) -> None:
    host = pool
    if name != "tank":
        host.zfs.create_filesystem(name, {})
    inner = host.zfs.create_filesystem(f"{name}/inner", {})
    top = host.zfs.path(name)
    (top / "kept").write_text("old")
    (inner / "file").write_text("old")
    assert (await typed(host, f"zfs snapshot {name}@day"))[0] == 0
    (top / "kept").write_text("new")
    (top / "later").mkdir()
    (inner / "file").write_text("new")
    assert await typed(host, f"zfs rollback {name}@day") == (0, "", "")
    assert ((top / "kept").read_text(), (top / "later").exists()) == ("old", False)
    assert (inner / "file").read_text() == "new"
    assert content(host, 5) == b"three"


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("zfs rollback", 2, "missing dataset argument"),
        (f"zfs rollback {VM}", 1, f"cannot open '{VM}': missing '@' delimiter in snapshot name"),
        (f"zfs rollback {VM}@nosuch", 1, f"cannot open '{VM}@nosuch': dataset does not exist"),
        (f"zfs rollback -x {VM}@a", 2, "invalid option 'x'"),
        (f"zfs rollback {VM}@a {VM}@b", 2, "too many arguments"),
    ],
)
async def test_rollbacks_that_cannot_be(pool: Any, line: str, status: int, text: str) -> None:
    found = await typed(pool, line)
    assert (found[0], found[2].splitlines()[0]) == (status, text)


# ---- pools ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "layout"),
    [
        ("sdb", [("disk", 1)]),
        ("sdb sdc", [("disk", 1), ("disk", 1)]),
        ("mirror sdb sdc sdd", [("mirror", 3)]),
        ("mirror sdb /dev/sdc mirror sdd sde", [("mirror", 2), ("mirror", 2)]),
        ("raidz sdb sdc", [("raidz1", 2)]),
        ("raidz2 sdb sdc sdd sde", [("raidz2", 4)]),
    ],
)
async def test_pools_of_every_shape(host: Any, words: str, layout: list[tuple[str, int]]) -> None:
    assert await typed(host, f"zpool create -o ashift=13 -o autotrim=on -O atime=off tank {words}") == (0, "", "")
    assert [(vdev.kind, len(vdev.disks)) for vdev in host.zfs.pool("tank").vdevs] == layout
    again = await boot(host.state)
    assert (await typed(again, "zpool get -Ho value,source ashift,autotrim tank"))[1] == "13\tlocal\non\tlocal\n"
    assert (await typed(again, "zfs get -Ho value,source atime tank"))[1] == "off\tlocal\n"
    assert (await typed(again, "zpool list -Ho health tank"))[1] == "ONLINE\n"


async def test_a_look_at_the_layout_makes_nothing(host: Any) -> None:
    _, out, _ = await typed(host, "zpool create -n tank mirror sdb sdc")
    assert out == "would create 'tank' with the following layout:\n\n\ttank\n\t  mirror\n\t    sdb\n\t    sdc\n"
    assert not host.zfs.pools


async def test_what_is_on_a_disk_is_lost_only_by_force(host: Any) -> None:
    signatures.make_filesystem(host.disks.disk("/dev/sdc").image, 0, "ext4")
    refused = await typed(host, "zpool create tank mirror sdb sdc")
    text = "/dev/sdc contains a filesystem of type 'ext4'\n"
    assert refused == (1, "", f"invalid vdev specification\nuse '-f' to override the following errors:\n{text}")
    assert host.disks.usage(host.disks.disk("/dev/sdb")) is None
    assert (await typed(host, "zpool create -f tank mirror sdb sdc"))[0] == 0
    # a pool that is there is lost by no force
    repair = "invalid vdev specification\nthe following errors must be manually repaired:\n"
    taken = "/dev/sdb1 is part of active pool 'tank'\n"
    assert await typed(host, "zpool create -f other sdb") == (1, "", repair + taken)
    system = (await typed(host, "zpool create -f other sda"))[2].splitlines()
    assert (system[1], "is in use and contains a" in system[2]) == (repair.splitlines()[1], True)
    # what is left of one that was destroyed stands against nothing
    assert (await typed(host, "zpool destroy tank"))[0] == 0
    assert (await typed(host, "zpool create other sdb"))[0] == 0


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("zpool create", 2, "missing pool name argument"),
        ("zpool create tank", 2, "missing vdev specification"),
        ("zpool create tank nosuch", 1, "cannot open 'nosuch': no such device in /dev"),
        ("zpool create tank /dev/nosuch", 1, "cannot open '/dev/nosuch': No such file or directory"),
        ("zpool create tank mirror sdb", 1, "invalid vdev specification: mirror requires at least 2 devices"),
        ("zpool create tank raidz2 sdb sdc", 1, "invalid vdev specification: raidz2 requires at least 3 devices"),
        ("zpool create mirror sdb sdc", 1, "cannot create 'mirror': name is reserved"),
        ("zpool create 1tank sdb", 1, "cannot create '1tank': name must begin with a letter"),
        ("zpool create t%nk sdb", 1, "cannot create 't%nk': invalid character '%' in pool name"),
        ("zpool create there sdc", 1, "cannot create 'there': pool already exists"),
        ("zpool create tank mirror sdc /dev/sdc", 1, "cannot create 'tank': one or more vdevs refer to the same"),
        ("zpool create -o ashift=20 tank sdc", 1, "cannot create 'tank': property 'ashift' number 20 is invalid"),
        ("zpool create -o nosuch=1 tank sdc", 1, "cannot create 'tank': invalid property 'nosuch'"),
        ("zpool create -O nosuch=1 tank sdc", 1, "cannot create 'tank': invalid property 'nosuch'"),
        ("zpool create -o ashift tank sdc", 2, "missing '=' for property=value argument"),
        ("zpool create full sdc", 1, "mountpoint '/full' exists and is not empty"),
    ],
)
async def test_pools_that_cannot_be(host: Any, line: str, status: int, text: str) -> None:
    host.zfs.create_pool("there", "single", ["/dev/nvme0n1"], 12, "on")
    (host.root / "full/of").mkdir(parents=True)
    found = await typed(host, line)
    assert (found[0], found[2].startswith(text)) == (status, True), found
    assert list(host.zfs.pools) == ["there"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("mirror sdb sdh", "mirror contains devices of different sizes"),
        ("sdb mirror sdc sdd", "both disk and mirror vdevs are present"),
        ("mirror sdb sdc mirror sdd sde sdf", "both 2-way and 3-way mirror vdevs are present"),
        ("raidz1 sdb sdc sdd raidz2 sde sdf sdg", "both 1 and 2 device parity raidz vdevs are present"),
    ],
)
async def test_odd_shapes_need_force(host: Any, words: str, text: str) -> None:
    said = f"mismatched replication level: {text}" if text.startswith("both") else text
    _, _, refused = await typed(host, f"zpool create tank {words}")
    assert refused.splitlines() == ["invalid vdev specification", "use '-f' to override the following errors:", said]
    assert (await typed(host, f"zpool create -f tank {words}"))[0] == 0
