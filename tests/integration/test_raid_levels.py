# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every RAID level on a live host: too few disks, the right number, and as many lost as it promises (facts §10)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

ZFS = "/nodes/pve1/disks/zfs"
SPARE = [f"/dev/sd{letter}" for letter in "bcdefg"]
TOO_FEW = "{level} needs at least {least} disks"


@dataclass(frozen=True)
class Level:
    """How many disks it takes, what the server says to one fewer, its parts, and how many disks may go."""

    least: int
    refusal: str
    parts: tuple[str, ...]
    spare: int


LEVELS = {
    "single": Level(1, "please give only one disk for single disk mode", (), 0),
    "mirror": Level(2, TOO_FEW, ("mirror-0",), 1),
    "raid10": Level(4, "raid10 needs an even number of disks", ("mirror-0", "mirror-1"), 1),
    "raidz": Level(3, TOO_FEW, ("raidz1-0",), 1),
    "raidz2": Level(4, TOO_FEW, ("raidz2-0",), 2),
    "raidz3": Level(5, TOO_FEW, ("raidz3-0",), 3),
}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory({"pve1": {"disks": [{"size": "32G"}, {"size": "2G", "count": len(SPARE)}]}}, scale=100)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


def parts(root: Root, name: str) -> tuple[str, ...]:
    """The names of a pool's parts; disks that stand alone have none."""
    found = root("GET", f"{ZFS}/{name}")["children"][0]["children"]
    return tuple(part["name"] for part in found if not part["leaf"])


@pytest.mark.parametrize("name", LEVELS)
def test_a_level(stack: RunningStack, root: Root, name: str) -> None:
    level = LEVELS[name]
    wrong = SPARE[: level.least - 1] if level.least > 1 else SPARE[:2]
    with pytest.raises(Refused) as caught:
        root("POST", ZFS, name="pool", raidlevel=name, devices=",".join(wrong))
    assert (caught.value.status, caught.value.reason) == (500, level.refusal.format(level=name, least=level.least))
    assert root("GET", ZFS) == []
    root.run("POST", ZFS, name="pool", raidlevel=name, devices=",".join(SPARE[: level.least]), add_storage=1)
    assert parts(root, "pool") == level.parts
    volid = root("POST", "/nodes/pve1/storage/pool/content", filename="vm-900-disk-0", vmid=900, size="64M")
    for device in SPARE[: level.spare]:
        stack.fault("disk", "pve1", device.rpartition("/")[2], "remove")
    assert root("GET", f"{ZFS}/pool")["state"] == ("DEGRADED" if level.spare else "ONLINE")
    assert [row["volid"] for row in root("GET", "/nodes/pve1/storage/pool/content")] == [volid]
    stack.clear_faults("disk")
    root.run("DELETE", f"{ZFS}/pool", cleanup__config=1, cleanup__disks=1)
    free = root("GET", "/nodes/pve1/disks/list", type="unused")
    assert [row["devpath"] for row in free] == SPARE


def test_two_disks_of_a_pair_are_too_many(stack: RunningStack, root: Root) -> None:
    with pytest.raises(Refused, match="raid10 needs at least 4 disks"):
        root("POST", ZFS, name="pool", raidlevel="raid10", devices=",".join(SPARE[:2]))
    root.run("POST", ZFS, name="pool", raidlevel="raid10", devices=",".join(SPARE[:4]))
    for device in ("sdb", "sdd"):
        stack.fault("disk", "pve1", device, "remove")
    assert root("GET", f"{ZFS}/pool")["state"] == "DEGRADED", "one of each pair"
    stack.fault("disk", "pve1", "sdc", "remove")
    assert root("GET", f"{ZFS}/pool")["state"] in ("SUSPENDED", "UNAVAIL")
    stack.clear_faults("disk")
