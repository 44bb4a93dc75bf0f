# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill broke is put back however its process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._drill_guard import AbortError, guarded, terminable

ROOT = Path(__file__).resolve().parents[3]
DRILL = """
import subprocess, sys
from pathlib import Path
from ansible_collections.quorate.pve.plugins.module_utils._drill_guard import guarded

place, playbook, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
with guarded(lambda: (place / "mended").touch(), playbook, 60) as keep:
    (place / "broken").touch()
    subprocess.run(command, pass_fds=[keep])
"""


def wait_for(look: Callable[[], bool]) -> None:
    limit, pause = time.monotonic() + 60, threading.Event()
    while not look():
        assert time.monotonic() < limit
        pause.wait(0.05)


def drill(place: Path, *command: str, playbook: int = 0) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ansible/collections")}
    run = subprocess.Popen([sys.executable, "-c", DRILL, place, str(playbook), *command], env=environment)
    wait_for((place / "broken").exists)
    return run


def test_the_guard_of_a_drill_that_is_killed_puts_everything_back(tmp_path: Path) -> None:
    # what breaks something is still at it: to put that back now would be too early
    run = drill(tmp_path, "sh", "-c", f"touch {tmp_path}/begun; until test -e {tmp_path}/on; do sleep 0.05; done")
    wait_for((tmp_path / "begun").exists)
    run.kill()
    run.wait()
    assert not (tmp_path / "mended").exists()
    (tmp_path / "on").touch()
    wait_for((tmp_path / "mended").exists)


def test_the_guard_of_a_drill_that_ends_does_nothing(tmp_path: Path) -> None:
    run = drill(tmp_path, "true")
    assert run.wait(60) == 0
    assert not (tmp_path / "mended").exists()


def test_a_drill_whose_playbook_was_killed_is_told_to_end(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as playbook:
        run = drill(tmp_path, "sleep", "20", playbook=playbook.pid)
        playbook.kill()
        assert run.wait(60) == -signal.SIGTERM


def test_a_signal_ends_what_can_be_ended_and_a_second_one_changes_nothing() -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")
    before = signal.getsignal(signal.SIGTERM)
    with terminable():
        with pytest.raises(AbortError, match="the drill was aborted"):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_guard_ends_with_what_it_guards(tmp_path: Path) -> None:
    with guarded((tmp_path / "mended").touch, 0, 60):
        pass
    assert not (tmp_path / "mended").exists()
