# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which failures of replication are told (facts §9.3), and files of mappings."""

from __future__ import annotations

from agentstack.mappings import Mapped, format_mappings, parse
from agentstack.notify import is_told


def test_the_first_failures_are_told_then_ever_fewer() -> None:
    told = [count for count in range(1, 500) if is_told(count)]
    assert told == [1, 2, 3, 3 + 48, 3 + 96, 3 + 192, 3 + 384]


def test_mappings_read_back() -> None:
    found = {
        "one": Mapped(["id=8086:1533,node=a,path=0000:01:00.0"], {"description": "ä:%", "mdev": 1}),
        "two": Mapped(["node=a,path=/x", "node=b,path=/y"], {}),
    }
    assert parse(format_mappings(found)) == found
