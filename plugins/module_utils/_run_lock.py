# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on a cluster. Private to this collection.

The lock is a locked file in the cluster's records on this control node, for runs from here, and a marker in the cluster
for runs from elsewhere. A process of its own holds both: it ends with ansible-playbook however that ends, killed or
not, and takes the marker away. If this machine dies, the marker's lease runs out.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from . import _run
from ._client import Client, Connection
from ._errors import ApiError, QuorateError, StateError
from ._processes import alive, ended, signal_to
from ._run import Safety, Task, private_directory
from ._run_marker import Holder, place, remove, renew

PATIENCE = 20.0
"""Seconds that the holder of a run that has just ended is given to let go."""
_PAUSE = 0.1
_PIPE = 3


class _EndedError(BaseException):
    """The holder was told to let go."""


def begun(task: Task, safety: Safety) -> Path:
    """The file that says that this run has begun to change this target; in it the process that holds the lock."""
    digest = hashlib.sha256(safety.target.encode()).hexdigest()[:16]
    return (task.directory or safety.directory) / f"quorate-begun-{digest}"


def holds(task: Task, safety: Safety) -> bool:
    """Whether this run has begun to change the target."""
    return begun(task, safety).exists()


def acquire(client: Client, task: Task, safety: Safety) -> list[str]:
    """Take the lock, or raise :class:`StateError` naming who has it. Returns what is to be warned about."""
    mark = begun(task, safety)
    if not safety.lock:
        mark.write_text("0", "utf-8")
        return []
    try:
        private_directory(safety.directory)
    except OSError as error:
        text = f"the records of {safety.target} cannot be kept in {safety.directory}: {error.strerror}"
        raise StateError(text, where="pve_records") from error
    answer = _start(client.connection, task, safety, mark)
    if "error" in answer:
        raise StateError(f"{safety.target}: {answer['error']}", hint=str(answer.get("hint") or ""))
    if answer["holder"]:
        mark.write_text(str(answer["holder"]), "utf-8")
    return list(answer["warnings"])


def release(directory: Path) -> None:
    """Let go of everything that a run holds, and wait until that is done."""
    for mark in directory.glob("quorate-begun-*"):
        process = int(mark.read_text("utf-8") or 0)
        if process:
            signal_to(process, signal.SIGTERM)
            end = time.monotonic() + PATIENCE
            while mark.exists() and alive(process) and time.monotonic() < end:
                time.sleep(_PAUSE)
        mark.unlink(missing_ok=True)


def _start(connection: Connection, task: Task, safety: Safety, mark: Path) -> dict[str, Any]:
    """Fork the holder; the credentials stay in memory. What it answers when it has, or has not, the lock."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become_holder(connection, task, safety, mark, writing)
    os.close(writing)
    with os.fdopen(reading, "r", encoding="utf-8") as pipe:
        text = pipe.read()
    # the one that was forked has forked the holder and ended
    os.waitpid(child, 0)
    return dict(json.loads(text)) if text else {"error": "the process that holds the lock has died"}


def _become_holder(connection: Connection, task: Task, safety: Safety, mark: Path, writing: int) -> NoReturn:
    """In the child: nobody waits for the holder, and it keeps nothing open that is not its own."""
    status = 1
    try:
        os.setsid()
        if os.fork():
            status = 0
        else:
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            if writing != _PIPE:
                os.dup2(writing, _PIPE)
            os.closerange(_PIPE + 1, 4096)
            _run.current = Task()
            Holding(connection, task, safety, mark).answer_and_keep(_PIPE)
            status = 0
    finally:
        os._exit(status)


class Holding:
    """The lock, as its holder sees it."""

    def __init__(self, connection: Connection, task: Task, safety: Safety, mark: Path) -> None:
        self.client = Client(connection)
        self.client.may_log_in_again = True
        self.safety, self.mark, self.process = safety, mark, task.process
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        self.own = Holder(f"{user()}@{socket.gethostname()}", since, task.process, self._until())
        self.marked = False

    def answer_and_keep(self, writing: int) -> None:
        """Take the lock and say so through the pipe, then hold it until the run has ended."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _end)
        handle = os.open(self.safety.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            before = self._lock_file(handle)
            if before is self.own:
                # another task of this run was first
                _say(writing, {"holder": 0, "warnings": []})
                return
            warnings = self._place(before)
        except QuorateError as error:
            _say(writing, {"error": error.message, "hint": error.hint})
            return
        except OSError as error:
            _say(writing, {"error": f"the lock file in {self.safety.directory}: {error.strerror}"})
            return
        try:
            _say(writing, {"holder": os.getpid(), "warnings": warnings})
            self._keep()
        except _EndedError:
            pass
        finally:
            self._let_go(handle)

    def _lock_file(self, handle: int) -> Holder | None:
        """Lock it, and write who has it; returns who had it and died with it, or ourselves if this run has it."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                there = _read_holder(handle)
                if there is not None and there.process == self.process:
                    return self.own
                if (there is not None and alive(there.process)) or time.monotonic() > end:
                    raise StateError(
                        f"another run has the lock: {there or 'somebody'}",
                        hint=f"Wait for it, or end that process: the lock ({self.safety.directory}/lock) goes with it.",
                    ) from None
                time.sleep(_PAUSE)
        before = _read_holder(handle)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(self.own)).encode(), 0)
        return before

    def _place(self, before: Holder | None) -> list[str]:
        if self.safety.kind == "pbs":
            return []
        try:
            place(self.client, self.own, now=time.time(), over=before)
        except ApiError as error:
            return [f"runs from other control nodes cannot see this one: {error}"]
        self.marked = True
        return []

    def _keep(self) -> None:
        while not ended(self.process, self.safety.lease / 3):
            if not self.marked:
                continue
            own = replace(self.own, until=self._until())
            try:
                if not renew(self.client, own):
                    self.mark.unlink(missing_ok=True)
                    self.marked = False
                    continue
            except QuorateError:
                # the cluster may be without quorum for a while; the lease is longer than that
                continue
            self.own = own

    def _let_go(self, handle: int) -> None:
        try:
            if self.marked:
                remove(self.client, self.own)
        except QuorateError:
            # nobody is there to be told; the lease runs out
            pass
        finally:
            os.ftruncate(handle, 0)
            os.close(handle)
            self.mark.unlink(missing_ok=True)

    def _until(self) -> int:
        return int(time.time()) + self.safety.lease


def user() -> str:
    """Who runs this."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _read_holder(handle: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(handle, 4096, 0)))
    except (ValueError, TypeError):
        return None


def _say(writing: int, answer: Mapping[str, Any]) -> None:
    os.write(writing, json.dumps(answer).encode())
    os.close(writing)


def _end(_number: int, _frame: object) -> NoReturn:
    raise _EndedError
