# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed at any point is completed by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = [
    "cluster : Create the cluster on its first node",
    "cluster : Join the other nodes",
    "options : Set the options of the cluster",
    "zfs : Create the ZFS pools",
    "ceph : Make the monitors",
    "ceph : Make an OSD",
    "guests : Create the guests",
    "ha : Put guests under HA",
]
DELAYS = [0.0, 0.7]
"""Seconds from the beginning of the task: at once, and with its work half done. Each task has one, in turn."""


@pytest.mark.long
@pytest.mark.parametrize(("task", "delay"), [(task, DELAYS[index % 2]) for index, task in enumerate(TASKS)])
def test_killed_run_is_completed(lab, task: str, delay: float) -> None:
    with subprocess.Popen(
        ["ansible-playbook", "site.yml"],
        cwd=ROOT,
        env=lab.environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        reached = any(f"TASK [quorate.pve.{task}" in line for line in run.stdout)
        assert reached, f"the run ended before {task}"
        time.sleep(delay)  # the moment of death, not a wait for something
        os.killpg(run.pid, signal.SIGKILL)

    second = lab.site()
    assert second.status == 0, second.output
    assert second.says("quorate 3/3", "6 running", "4 under HA")
    third = lab.site()
    assert third.status == 0, third.output
    assert third.changed == 0
