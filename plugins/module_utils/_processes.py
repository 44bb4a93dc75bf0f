# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of this machine, by their ids. Private to this collection."""

from __future__ import annotations

import multiprocessing
import os
import select
import time

_PAUSE = 0.1


def forker() -> int:
    """The process that forked this one as its worker, whether it still lives or not; this one if it is no worker.

    ``os.getppid`` is another process's as soon as that one is killed: a worker would wait for init to end.
    """
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def signal_to(process: int, number: int) -> bool:
    """Send a signal (0: only look); whether there is such a process."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def alive(process: int) -> bool:
    """Whether a process of this machine lives."""
    return signal_to(process, 0)


def ended(process: int, seconds: float = 0) -> bool:
    """Whether a process has ended, or does so within so many seconds. One that nobody has waited for has ended too."""
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(process):
            return True
        time.sleep(_PAUSE)
    return not alive(process)
