# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption, dynamic indexes, limits, parts of days."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.daily_duration import DailyDuration
from agentstack.pbs.blob import DamagedBlob, decode, encode, is_encrypted
from agentstack.pbs.index import DamagedIndex, DynamicIndex, FixedIndex, decode_index
from agentstack.pbs.keys import BadKeyFile, Key


@given(data=st.binary(max_size=2000))
def test_an_encrypted_blob_opens_with_its_key_alone(data: bytes) -> None:
    key, other = Key(b"k" * 32), Key(b"o" * 32)
    blob = encode(data, key)
    assert is_encrypted(blob)
    assert decode(blob, key) == data
    for wrong in (other, None):
        with pytest.raises(DamagedBlob, match="unable to decrypt"):
            decode(blob, wrong)
    assert key.digest(data) != other.digest(data)


def test_a_key_file_gives_the_key_back() -> None:
    key = Key.create()
    assert Key.from_file(key.to_file(0)) == key
    under_password = key.to_file(0, password="correct horse", hint="the horse")
    assert Key.from_file(under_password, "correct horse").fingerprint == key.fingerprint
    for password, text in ((None, "no password"), ("wrong", "wrong password")):
        with pytest.raises(BadKeyFile, match=text):
            Key.from_file(under_password, password)
    with pytest.raises(BadKeyFile):
        Key.from_file("{}")


@given(sizes=st.lists(st.integers(1, 1 << 24), max_size=20), created=st.integers(0, 1 << 40))
def test_a_dynamic_index_survives_its_file(sizes: list[int], created: int) -> None:
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    index = DynamicIndex([bytes([number]) * 32 for number in range(len(sizes))], ends, created)
    found = decode_index(index.encode())
    assert isinstance(found, DynamicIndex)
    assert [size for _, _, size in found.chunks()] == sizes
    assert (found.size, found.created, found.checksum) == (sum(sizes), created, index.checksum)


def test_a_changed_index_is_noticed() -> None:
    content = bytearray(DynamicIndex([b"a" * 32, b"b" * 32], [10, 20], 1).encode())
    content[-1] ^= 1
    with pytest.raises(DamagedIndex, match="wrong index checksum"):
        decode_index(bytes(content))
    with pytest.raises(DamagedIndex, match="ascend"):
        DynamicIndex([b"a" * 32, b"b" * 32], [20, 10], 1)
    assert list(FixedIndex(10, [b"a" * 32, b"b" * 32, b"c" * 32], 1, 4).chunks())[-1] == (b"c" * 32, 8, 2)


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        ("8:00-18:00", "2026-11-22 08:00", True),
        ("8:00-18:00", "2026-11-22 18:00", False),
        ("mon..fri 8-18:30", "2026-11-20 18:29", True),
        ("mon..fri 8-18:30", "2026-11-21 10:00", False),
        ("sat..mon 0:00-1:00", "2026-11-23 00:30", True),
        ("sat,tue 0:00-1:00", "2026-11-23 00:30", False),
    ],
)
def test_parts_of_days(text: str, moment: str, *, expected: bool) -> None:
    assert DailyDuration.parse(text).contains(datetime.fromisoformat(moment)) is expected


@pytest.mark.parametrize("text", ["", "8:00", "18:00-8:00", "someday 8-9", "25:00-26:00"])
def test_what_is_no_part_of_a_day(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        DailyDuration.parse(text)
