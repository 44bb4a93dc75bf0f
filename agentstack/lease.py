# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No process of a stack outlives the stack: its supervisor, and the directory that holds its state."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from pathlib import Path

PERIOD = 0.5
"""Real seconds between two looks."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class Lease:
    """What a process has to find unchanged to go on living: the file that defines the stack."""

    def __init__(self, state: Path) -> None:
        self.path = state / "stack.json"
        self.identity = _identity(self.path)

    @property
    def valid(self) -> bool:
        """Whether the state directory is still there, and still the one from the start."""
        return self.identity is not None and _identity(self.path) == self.identity


def hold(state: Path) -> None:
    """Tie the calling process to its parent and to the state directory: when either is gone, its group is killed.

    A thread does the looking, so that a blocked event loop cannot keep a process alive. A kernel signal alone would
    not do: it is lost when the parent dies between fork and this call.
    """
    parent = os.getppid()
    lease = Lease(state)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def look() -> None:
        while lease.valid and os.getppid() == parent:
            time.sleep(PERIOD)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=look, name="lease", daemon=True).start()


def name_process(name: str) -> None:
    """Set the short name that `ps` and `top` show (15 bytes)."""
    _prctl(_PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]))


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def _prctl(option: int, value: object) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
