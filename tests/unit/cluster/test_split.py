# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the witness votes for."""

from __future__ import annotations

import pytest

from agentstack.witness.split import Report, settled, winners


def reports(*parts: str) -> dict[int, Report]:
    """`12`, `34`: nodes 1 and 2 are together, 3 and 4 are; `12/3`: only 1 and 2 of the three are connected."""
    found: dict[int, Report] = {}
    for ring, part in enumerate(parts):
        connected, _, others = part.partition("/")
        members = frozenset(map(int, connected + others))
        found |= {int(node): Report((min(members), ring), members) for node in connected}
    return found


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [
        (("12",), {1, 2}),
        (("1", "2"), {1}),
        (("2",), {2}),
        (("12", "34"), {1, 2}),
        (("1", "234"), {2, 3, 4}),
        (("1/2", "34"), {3, 4}),
        ((), set()),
    ],
)
def test_one_part_gets_the_vote(parts: tuple[str, ...], chosen: set[int]) -> None:
    assert settled(reports(*parts))
    assert winners(reports(*parts)) == chosen


def test_nothing_changes_while_nodes_disagree() -> None:
    mixed = {1: Report((1, 8), frozenset({1})), 2: Report((1, 4), frozenset({1, 2}))}
    assert not settled(mixed)
