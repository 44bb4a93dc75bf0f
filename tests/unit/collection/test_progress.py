# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of long tasks, and that nothing is said of short ones or to nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _progress
from ansible_collections.quorate.pve.plugins.module_utils._tasks import wait_for_task

from .scripted import Step

UPID = "UPID:pve1:0000C0DE:00000001:6555D000:vzdump:101:root@pam:"
STATUS, LOG = f"/nodes/pve1/tasks/{UPID}/status", f"/nodes/pve1/tasks/{UPID}/log"
RUNS = {"status": "running"}
ENDED = {"status": "stopped", "exitstatus": "OK"}


def test_each_line_is_shown_once_and_percentages_by_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(_progress, "listener", shown.append)
    follower = _progress.Follower(UPID, 0)
    assert not follower.due(1)
    assert follower.due(2)
    follower.tell(["starting", "INFO:   3% (1 of 30)", "INFO:   7% (2 of 30)"], 2)
    follower.tell(["INFO:  14% (4 of 30)", "INFO: 100% (30 of 30)"], 5)
    assert follower.seen == 5
    assert [line.split("  ")[1] for line in shown] == ["vzdump 101 pve1"] * 4
    assert [("3%" in line, "14%" in line, "100%" in line) for line in shown[1:]] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert "██████████" in shown[-1]


def test_a_long_task_is_followed(
    script: Callable[..., Any], client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(_progress, "listener", shown.append)
    monkeypatch.setattr(_progress, "QUIET", 0.0)
    script(
        Step("GET", STATUS, data=RUNS),
        Step("GET", LOG, data=[{"n": 1, "t": "one"}]),
        Step("GET", STATUS, data=ENDED),
        Step("GET", LOG, {"limit": 0, "start": 1}, data=[{"n": 2, "t": "two"}]),
    )
    assert wait_for_task(client(), UPID, timeout=60).status == "OK"
    assert ["one" in shown[0], "two" in shown[1]] == [True, True]


def test_without_a_listener_no_log_is_read(script: Callable[..., Any], client: Callable[..., Any]) -> None:
    script(Step("GET", STATUS, data=RUNS), Step("GET", STATUS, data=ENDED))
    assert wait_for_task(client(), UPID, timeout=60).status == "OK"
