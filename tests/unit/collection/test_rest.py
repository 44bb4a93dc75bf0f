# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as moving."""

from __future__ import annotations

from typing import Any

import pytest

from .scripted import get

HEALTHY: dict[str, Any] = {"status": "HEALTH_OK", "checks": {}}


@pytest.mark.parametrize(
    ("state", "moves"),
    [
        ("active+clean", False),
        ("active+clean+scrubbing+deep", False),
        # it stays so for as long as a host is away and nothing takes its place; the check is the one to be tolerated
        ("active+undersized+degraded", False),
        ("active+remapped+backfilling", True),
        ("active+undersized+degraded+remapped+backfill_wait", True),
        ("active+recovering", True),
        ("peering", True),
    ],
)
def test_ceph_rests_when_no_copies_are_on_their_way(run: Any, state: str, moves: bool) -> None:
    groups = [{"state_name": "active+clean", "count": 90}, {"state_name": state, "count": 7}]
    status = {"health": HEALTHY, "pgmap": {"pgs_by_state": groups}}
    result = run("wait_for_rest", [get("/cluster/ceph/status", status)], areas=["ceph"], check=True)
    assert result["moving"] == ([f"ceph: 7 placement groups are {state}"] if moves else [])
    assert result["rest"] is not moves
