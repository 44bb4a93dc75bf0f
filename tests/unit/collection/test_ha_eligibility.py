# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose configurations are read to judge what is under HA: the API gives them one by one."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _guest_facts
from ansible_collections.quorate.pve.plugins.module_utils._errors import ApiError

from .scripted import get

NODES = [{"type": "node", "node": f"pve{number}", "status": "online"} for number in (1, 2)]
GUESTS = [
    {"type": kind, "vmid": vmid, "node": f"pve{1 + vmid % 2}", "status": "stopped"}
    for vmid, kind in {100: "qemu", 101: "lxc", 102: "qemu", 103: "qemu", 104: "qemu", 105: "qemu", 106: "qemu"}.items()
]
STATES = {"vm:100": "started", "ct:101": "stopped", "vm:102": "ignored", "vm:103": "disabled"}
PLANNED = [{"sid": "vm:104"}, {"sid": "vm:105", "state": "ignored"}]


@pytest.fixture
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script knows one order only."""
    monkeypatch.setattr(_guest_facts, "side_by_side", lambda work, things: [work(thing) for thing in things])


@pytest.mark.usefixtures("one_after_the_other")
def test_each_guest_under_ha_costs_one_call_and_what_ha_ignores_none(run: Any) -> None:
    """Nothing is read twice; all of the script is."""
    steps = [
        *(get("/cluster/resources", [*NODES, *GUESTS]), get("/storage", []), get("/cluster/replication", [])),
        get(
            "/cluster/ha/resources",
            [*({"sid": sid, "state": state} for sid, state in STATES.items()), {"sid": "vm:106"}],
        ),
        *(get("/cluster/ha/rules", []), get("/cluster/backup-info/not-backed-up", [])),
        *(get(f"/nodes/{node}/status", {}) for node in ("pve1", "pve2")),
        *(
            get(f"/nodes/pve{1 + vmid % 2}/{kind}/{vmid}/config", {"name": f"g{vmid}"})
            for vmid, kind in ((100, "qemu"), (101, "lxc"), (104, "qemu"), (106, "qemu"))
        ),
    ]
    result = run("ha_eligibility", steps, only_ha=True, planned_resources=PLANNED)
    assert [row["vmid"] for row in result["guests"]] == [100, 101, 104, 106]
    assert result["calls"] == len(steps)


def test_without_the_list_of_ha_nothing_is_judged(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(work: Any, things: Any) -> list[Any]:
        return [ApiError("GET", path, 403, "no") if path == "/cluster/ha/resources" else [] for path in things]

    monkeypatch.setattr(_guest_facts, "side_by_side", attempt)
    result = run("ha_eligibility", [get("/cluster/resources", [])], only_ha=True)
    assert result["failed"]
    assert "GET /cluster/ha/resources" in result["msg"]
