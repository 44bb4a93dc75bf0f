# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""That what a drill broke is put back however the run ends. Private to this collection.

A signal becomes an exception, and the drill itself puts everything back. If it is killed, a process of its own does,
which ends with the drill. If ansible-playbook is killed, that process tells the drill to end.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from ._processes import alive

ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
DONE = b"done"
_PAUSE = 0.5
_PIPE = 3


class AbortError(Exception):
    """Somebody ended the drill. No :class:`QuorateError`: nothing on the way may take it for an answer."""


@contextmanager
def terminable() -> Iterator[None]:
    """Ansible ends its workers by SIGTERM: that must not leave anything broken. A second signal changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def abort(_number: int, _frame: FrameType | None) -> None:
        for each in ENDINGS:
            signal.signal(each, signal.SIG_IGN)
        raise AbortError("the drill was aborted")

    old: Sequence[Any] = [signal.signal(each, abort) for each in ENDINGS]
    try:
        yield
    finally:
        for each, handler in zip(ENDINGS, old, strict=True):
            signal.signal(each, handler)


@contextmanager
def guarded(mend: Callable[[], object], process: int, patience: float) -> Iterator[int]:
    """While this lasts, another process calls ``mend`` if this one dies.

    ``process``: that of ansible-playbook, 0 if it is not known. Yields a descriptor that commands which break something
    keep open: what is put back while they still run would be broken again. They get ``patience`` seconds.
    """
    reading, writing = os.pipe()
    worker = os.getpid()
    child = os.fork()
    if child == 0:
        _become_guard(reading, mend, worker, process, patience)
    os.close(reading)
    os.waitpid(child, 0)
    try:
        yield writing
    finally:
        os.write(writing, DONE)
        os.close(writing)


def _become_guard(reading: int, mend: Callable[[], object], worker: int, process: int, patience: float) -> NoReturn:
    """In the child: nobody waits for the guard, and it keeps nothing open that is not its own."""
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            if reading != _PIPE:
                os.dup2(reading, _PIPE)
            os.closerange(_PIPE + 1, 4096)
            for each in ENDINGS:
                signal.signal(each, signal.SIG_IGN)
            if not _ended_well(worker, process, patience):
                mend()
    finally:
        os._exit(0)


def _ended_well(worker: int, process: int, patience: float) -> bool:
    """Wait for the drill's end."""
    watched = [_PIPE]
    playbook = _descriptor(process)
    if playbook is not None:
        watched.append(playbook)
    until: float | None = None
    while True:
        ready = select.select(watched, [], [], _PAUSE)[0]
        if _PIPE in ready:
            return os.read(_PIPE, len(DONE)) == DONE
        if playbook in ready:
            watched.remove(playbook)
            if alive(worker):
                os.kill(worker, signal.SIGTERM)
        if until is None and not alive(worker):
            until = time.monotonic() + patience
        if until is not None and time.monotonic() > until:
            return False


def _descriptor(process: int) -> int | None:
    """One that can be read when a process has ended, also if nobody has asked how."""
    if not process or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(process)
    except OSError:
        return None
