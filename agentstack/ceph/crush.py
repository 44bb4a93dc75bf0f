# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRUSH: which devices hold a placement group, by straw2 draws over a weighted tree.

The hash is Robert Jenkins' public 32-bit mix with Ceph's seed; a draw is ``ln(u) / weight`` with u from 16 bits of the
hash, the largest draw wins (docs.ceph.com, "CRUSH maps"; Weil et al., "CRUSH: Controlled, Scalable, Decentralized
Placement of Replicated Data"). Logarithms are floating point here and a table in Ceph: placements agree but where two
draws differ by less than that table's rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

SEED = 1315423911
MASK = 0xFFFFFFFF
TRIES = 50
"""choose_total_tries of the default tunables."""


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for first, second, third in ((13, 8, 13), (12, 16, 5), (3, 10, 15)):
        a = ((a - b - c) & MASK) ^ (c >> first)
        b = ((b - c - a) & MASK) ^ ((a << second) & MASK)
        c = ((c - a - b) & MASK) ^ (b >> third)
    return a, b, c


def hash2(a: int, b: int) -> int:
    """The two-argument hash: an unsigned 32-bit number."""
    a, b = a & MASK, b & MASK
    x, y = 231232, 1232
    h = SEED ^ a ^ b
    a, b, h = _mix(a, b, h)
    x, a, h = _mix(x, a, h)
    b, y, h = _mix(b, y, h)
    return h


def hash3(a: int, b: int, c: int) -> int:
    """The three-argument hash: an unsigned 32-bit number."""
    a, b, c = a & MASK, b & MASK, c & MASK
    x, y = 231232, 1232
    h = SEED ^ a ^ b ^ c
    a, b, h = _mix(a, b, h)
    c, x, h = _mix(c, x, h)
    y, a, h = _mix(y, a, h)
    b, x, h = _mix(b, x, h)
    y, c, h = _mix(y, c, h)
    return h


def draw(x: int, item: int, attempt: int, weight: float) -> float:
    """A straw2 draw of `item` for input `x`; items without weight never win."""
    if weight <= 0:
        return -math.inf
    u = hash3(x, item, attempt) & 0xFFFF
    return math.log((u + 1) / 65536) / weight


@dataclass
class Bucket:
    """An inner node of the tree. `id` is negative; `items` maps child ids (negative: buckets, else OSDs) to weights."""

    id: int
    name: str
    type: str
    items: dict[int, float] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        return sum(self.items.values())


class Tree:
    """A CRUSH hierarchy: buckets by id, devices by id."""

    def __init__(self, buckets: Collection[Bucket]) -> None:
        self.buckets = {bucket.id: bucket for bucket in buckets}

    def by_name(self, name: str) -> Bucket | None:
        return next((bucket for bucket in self.buckets.values() if bucket.name == name), None)

    def type_of(self, item: int) -> str:
        return "osd" if item >= 0 else self.buckets[item].type

    def _pick(self, bucket: Bucket, x: int, attempt: int) -> int | None:
        best = max(bucket.items, key=lambda item: draw(x, item, attempt, bucket.items[item]), default=None)
        return best if best is not None and bucket.items[best] > 0 else None

    def _descend(self, start: Bucket, wanted: str, x: int, attempt: int) -> int | None:
        bucket = start
        while True:
            item = self._pick(bucket, x, attempt)
            if item is None or self.type_of(item) == wanted:
                return item
            if item >= 0:
                return None
            bucket = self.buckets[item]

    def choose(
        self, root: Bucket, x: int, size: int, steps: Sequence[tuple[str, int, str]], usable: Callable[[int, int], bool]
    ) -> list[int]:
        """Carry out a rule's steps (operation, count, type) below `root`: at most `size` OSDs.

        A count of 0 stands for `size`, a negative one for so many less. `usable(osd, x)` refuses devices that are out
        (reweight); a refused device is drawn anew elsewhere.
        """
        working = [root.id]
        for op, count, kind in steps:
            number = count if count > 0 else size + count
            found: list[int] = []
            for item in working:
                if item < 0:
                    found += self._firstn(self.buckets[item], x, number, kind, op == "chooseleaf", found, usable)
            working = found
        return [item for item in working if item >= 0][:size]

    def _firstn(
        self,
        root: Bucket,
        x: int,
        count: int,
        domain: str,
        to_leaf: bool,
        taken: list[int],
        usable: Callable[[int, int], bool],
    ) -> list[int]:
        """`choose(leaf) firstn count type domain`: buckets of different failure domains, or an OSD of each."""
        domains: list[int] = []
        chosen: list[int] = []
        # more than there are cannot be found, however often it is tried
        for replica in range(min(count, sum(1 for _ in self._below(root, domain)))):
            for failures in range(TRIES):
                attempt = replica + failures
                item = self._descend(root, domain, x, attempt)
                if item is None or item in domains:
                    continue
                leaf: int | None = item
                if item < 0 and to_leaf:
                    leaf = self._leaf(self.buckets[item], x, attempt, [*taken, *chosen], usable)
                if leaf is None or leaf in chosen or (leaf >= 0 and not usable(leaf, x)):
                    continue
                domains.append(item)
                chosen.append(leaf)
                break
        return chosen

    def _below(self, bucket: Bucket, kind: str) -> Iterator[int]:
        """What is of a type, with weight, below a bucket."""
        for item, weight in bucket.items.items():
            if weight > 0 and self.type_of(item) == kind:
                yield item
            elif weight > 0 and item < 0:
                yield from self._below(self.buckets[item], kind)

    def _leaf(
        self, bucket: Bucket, x: int, attempt: int, taken: list[int], usable: Callable[[int, int], bool]
    ) -> int | None:
        for failures in range(TRIES):
            leaf = self._descend(bucket, "osd", x, attempt + failures)
            if leaf is not None and leaf not in taken and usable(leaf, x):
                return leaf
        return None


def hash_name(name: str) -> int:
    """The hash of an object's name: Jenkins' lookup2 over its bytes, an unsigned 32-bit number."""
    data = name.encode()
    a = b = 0x9E3779B9
    c, at = 0, 0
    while len(data) - at >= 12:
        a, b, c = (
            (value + int.from_bytes(data[at + 4 * index : at + 4 * index + 4], "little")) & MASK
            for index, value in enumerate((a, b, c))
        )
        a, b, c = _mix(a, b, c)
        at += 12
    rest = data[at:]
    a = (a + int.from_bytes(rest[0:4], "little")) & MASK
    b = (b + int.from_bytes(rest[4:8], "little")) & MASK
    # the lowest byte of the third word is the length's
    c = (c + len(data) + (int.from_bytes(rest[8:12], "little") << 8)) & MASK
    return _mix(a, b, c)[2]


def in_by_reweight(osd: int, x: int, reweight: float) -> bool:
    """Whether an OSD with this reweight (0..1) accepts input `x`: a fraction of the inputs, the same ones each time."""
    if reweight >= 1:
        return True
    if reweight <= 0:
        return False
    return (hash2(x, osd) & 0xFFFF) < int(reweight * 0x10000)


def stable_mod(number: int, base: int, mask: int) -> int:
    """`number` mod `base`, growing `base` moving as few numbers as possible; mask: next power of 2, less 1."""
    return number & mask if (number & mask) < base else number & (mask >> 1)


def pg_input(seed: int, pgp_num: int, pool: int) -> int:
    """The CRUSH input of placement group `pool.seed`."""
    mask = (1 << (pgp_num - 1).bit_length()) - 1
    return hash2(stable_mod(seed, pgp_num, mask), pool)
