# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zpool and zfs with the options that administrators and scripts type (the manual pages of OpenZFS)."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.shell.registry import CommandIO
from agentstack.shell.zfs import zfs
from agentstack.shell.zpool import zpool

GIB = 1 << 30
VM, BASE, CLONE = "tank/vm-100-disk-0", "tank/base-101-disk-0", "tank/vm-102-disk-0"


class Console:
    """Types lines on a host with a mirror, a volume with three snapshots, a file system, and a clone of a base."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.status = 0
        self.err = ""
        host.zfs.create_pool("tank", "mirror", ["/dev/sdb", "/dev/sdc"], 12, "on")
        for name in (VM, BASE):
            host.zfs.create_volume(name, 64 << 20)
        for name in "abc":
            host.zfs.snapshot(VM, name)
        host.zfs.snapshot(BASE, "__base__")
        host.zfs.create_volume(CLONE, 64 << 20, thin=True)
        host.zfs.pool("tank").datasets[CLONE].properties["origin"] = f"{BASE}@__base__"
        host.zfs.create_filesystem("tank/files", {"refquota": str(GIB)})

    async def __call__(self, line: str) -> str:
        io, words = CommandIO(), line.split()
        self.status = await {"zfs": zfs, "zpool": zpool}[words[0]](self.host, words[1:], io)
        self.err = io.stderr.decode()
        return io.stdout.decode()

    def names(self) -> set[str]:
        return set(self.host.zfs.pool("tank").datasets) - {"tank"}


@pytest.fixture
def console(host: Any) -> Console:
    return Console(host)


async def test_lists_for_scripts(console: Console) -> None:
    assert await console("zfs list -H -o name -t volume -r tank") == f"{BASE}\n{VM}\n{CLONE}\n"
    assert await console("zfs list -Ho name -t snap tank/files") == ""
    assert console.err == "no datasets available\n"
    assert await console(f"zfs list -H -o name -t snapshot {VM}") == f"{VM}@a\n{VM}@b\n{VM}@c\n"
    assert await console(f"zfs list -H -o name -t all -d 1 {VM}") == f"{VM}\n{VM}@a\n{VM}@b\n{VM}@c\n"
    assert await console(f"zfs list -H -o name {VM}@b") == f"{VM}@b\n"
    assert await console("zfs list -H -o name tank") == "tank\n"
    assert await console("zfs list -H -o name -d 1 -t filesystem,volume tank -S name") == "".join(
        f"{name}\n" for name in (CLONE, VM, "tank/files", BASE, "tank")
    )
    sizes = await console(f"zfs list -H -p -o volsize,avail,refreservation {VM}")
    volsize, available, reserved = sizes.rstrip("\n").split("\t")
    assert (volsize, reserved) == (str(64 << 20), str(64 << 20))
    assert int(available) > GIB // 2
    heads = (await console("zfs list -o space")).splitlines()[0].split()
    assert heads == ["NAME", "AVAIL", "USED", "USEDSNAP", "USEDDS", "USEDREFRESERV", "USEDCHILD"]


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("zfs list -o nosuch", 2, "bad property list: invalid property 'nosuch'"),
        ("zfs list -t nosuch", 2, "invalid type 'nosuch'"),
        ("zfs list -Z", 2, "invalid option 'Z'"),
        ("zfs list -o", 2, "missing argument for 'o' option"),
        ("zfs list nosuch", 1, "cannot open 'nosuch': dataset does not exist"),
        ("zfs get", 2, "missing property argument"),
        ("zfs get nosuch tank", 2, "bad property list: invalid property 'nosuch'"),
        ("zfs destroy", 2, "missing dataset argument"),
        ("zfs destroy tank", 1, "cannot destroy 'tank': filesystem has children"),
        ("zfs destroy -r tank", 1, "cannot destroy 'tank': operation does not apply to pools"),
        (f"zfs destroy {VM}", 1, f"cannot destroy '{VM}': volume has children"),
        (f"zfs destroy -r {BASE}", 1, f"cannot destroy '{BASE}': volume has dependent clones"),
        (f"zfs destroy {BASE}@__base__", 1, f"cannot destroy '{BASE}@__base__': snapshot has dependent clones"),
        (f"zfs destroy {VM}@x", 1, "could not find any snapshots to destroy; check snapshot names."),
        (f"zfs snapshot {VM}@a", 1, f"cannot create snapshot '{VM}@a': dataset already exists"),
        ("zfs snapshot tank", 1, "cannot create snapshot 'tank': missing '@' delimiter in snapshot name"),
        ("zfs mount", 2, "unrecognized command 'mount'"),
        ("zpool list -o nosuch", 2, "bad property list: invalid property 'nosuch'"),
        ("zpool list nosuch", 1, "cannot open 'nosuch': no such pool"),
        ("zpool status -q", 2, "invalid option 'q'"),
        ("zpool scrub", 2, "missing pool name argument"),
    ],
)
async def test_what_is_refused(console: Console, line: str, status: int, text: str) -> None:
    before = console.names()
    assert await console(line) == ""
    assert (console.status, console.err.splitlines()[0]) == (status, text)
    assert console.names() == before


async def test_properties_and_where_they_come_from(console: Console) -> None:
    assert await console("zfs get -H -p -o value volsize,refreservation " + VM) == f"{64 << 20}\n{64 << 20}\n"
    assert await console("zfs get -H -o name,value,source refquota tank/files tank") == (
        "tank/files\t1G\tlocal\ntank\tnone\tdefault\n"
    )
    assert await console(f"zfs get -H -o value,source compression {VM}") == "on\tinherited from tank\n"
    assert await console(f"zfs get -H -o value origin {CLONE}") == f"{BASE}@__base__\n"
    assert await console(f"zfs get -H -o name -t snapshot -r used {VM}") == f"{VM}@a\n{VM}@b\n{VM}@c\n"
    assert await console("zfs get -H -r -s local -o name,property all tank/files") == "tank/files\trefquota\n"
    creation = await console(f"zfs get -H -o value creation {VM}")
    assert creation.rstrip()[-4:].isdigit()
    assert int(await console(f"zfs get -Hpo value creation {VM}")) > 1_700_000_000


async def test_snapshots_of_everything_below(console: Console) -> None:
    await console("zfs snapshot -r tank@day")
    shown = await console("zfs list -H -o name -t snapshot -r tank")
    assert {line for line in shown.splitlines() if line.endswith("@day")} == {
        f"{name}@day" for name in ("tank", *console.names())
    }
    # one that is there already: none is made
    await console("zfs snapshot -r tank@a")
    assert console.status == 1
    assert "tank@a" not in await console("zfs list -H -o name -t snapshot")
    await console("zfs destroy -r tank@day")
    assert "@day" not in await console("zfs list -H -o name -t snapshot")


async def test_looking_before_destroying(console: Console) -> None:
    assert await console(f"zfs destroy -nv {VM}@a%b") == f"would destroy {VM}@a\nwould destroy {VM}@b\n"
    assert await console(f"zfs destroy -rnv {VM}") == f"would destroy {VM}\n"
    assert await console(f"zfs list -H -o name -t snapshot {VM}") == f"{VM}@a\n{VM}@b\n{VM}@c\n"
    await console(f"zfs destroy {VM}@a,c")
    assert await console(f"zfs list -H -o name -t snapshot {VM}") == f"{VM}@b\n"
    await console(f"zfs destroy -R {BASE}")
    assert console.names() == {VM, "tank/files"}
    await console("zpool destroy tank")
    assert await console("zpool list") == "no pools available\n"
    assert await console("zpool list -H") == ""


async def test_pools_for_scripts(console: Console) -> None:
    name, size, alloc, free, *_, health, _ = (await console("zpool list -H -p tank")).rstrip("\n").split("\t")
    assert (name, health, int(size)) == ("tank", "ONLINE", int(alloc) + int(free))
    assert (await console("zpool list -Hpo cap,frag,dedup")) == "0\t0\t1.00\n"
    assert (await console("zpool list -Ho capacity,fragmentation,dedupratio")) == "0%\t0%\t1.00x\n"
    assert [line.split()[0] for line in (await console("zpool list -v tank")).splitlines()[:3]] == [
        *("NAME", "tank", "mirror-0"),
    ]
    assert await console("zpool get -H -o value,source ashift,health tank") == "12\tlocal\nONLINE\t-\n"
    assert await console("zpool status -x") == "all pools are healthy\n"
    assert await console("zpool status -x tank") == "pool 'tank' is healthy\n"
