# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one OSD keeps, against a model, and after being opened anew."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentstack.ceph.crush import hash_name
from agentstack.ceph.images import OBJECT, pieces
from agentstack.ceph.objects import ObjectStore, Whole

SPAN = 3 * 4096 + 100


@given(st.lists(st.tuples(st.integers(0, SPAN), st.binary(min_size=1, max_size=5000)), max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_give_what_was_written(tmp_path: Path, writes: list[tuple[int, bytes]]) -> None:
    path = tmp_path / "osd.db"
    path.unlink(missing_ok=True)
    store = ObjectStore(path)
    model = bytearray(SPAN + 5000)
    for number, (offset, data) in enumerate(writes):
        store.write(1, "object", hash_name("object"), str(number), offset, data)
        model[offset : offset + len(data)] = data
    store.close()
    again = ObjectStore(path)
    assert again.read(1, "object", 0, len(model)) == model
    assert again.read(1, "object", 100, 5000) == model[100:5100]
    assert again.exists(1, "object") == bool(writes)
    again.close()


def test_a_whole_object_goes_to_another_osd(tmp_path: Path) -> None:
    one, other = ObjectStore(tmp_path / "one.db"), ObjectStore(tmp_path / "other.db")
    one.write(1, "a", hash_name("a"), "1", 8192, b"data")
    other.write(1, "a", hash_name("a"), "0", 0, b"older, and longer than it should be" * 500)
    whole = one.whole(1, "a")
    assert isinstance(whole, Whole)
    other.put(1, "a", whole)
    assert other.whole(1, "a") == whole
    assert other.inventory(1, 4, range(4)) == one.inventory(1, 4, range(4))
    other.remove(1, "a")
    assert other.whole(1, "a") is None
    one.keep_pools([2])
    assert list(one.sizes()) == []


@given(st.integers(0, 5 * OBJECT), st.integers(1, 3 * OBJECT))
def test_pieces_cover_a_range_once(offset: int, length: int) -> None:
    found = list(pieces(offset, length))
    assert sum(count for _, _, count in found) == length
    assert found[0][0] * OBJECT + found[0][1] == offset
    assert all(start + count <= OBJECT for _, start, count in found)
