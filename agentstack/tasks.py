# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Background tasks of a node: each has a UPID, a log file below var/log/pve/tasks, and an end (facts §4)."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentstack.access.identity import Identity
from agentstack.clock import Clock
from agentstack.errors import AgentError
from agentstack.upid import Upid, parse_upid

if TYPE_CHECKING:
    from agentstack.host import Host

log = logging.getLogger(__name__)

DIRECTORY = "var/log/pve/tasks"
REMEMBERED = 1000
"""Finished tasks that a node lists."""

BROADCAST = 25
"""Tasks of a node that the whole cluster lists (facts §4, GET /cluster/tasks)."""

KEY = "tasklist"
UNEXPECTED = "unexpected status"
INTERRUPTED = "received interrupt"

_INDEX = re.compile(r"^(\S+) ([0-9A-F]{8}) (.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Finished:
    """A task that has ended; `status` is its exit status."""

    upid: Upid
    endtime: int
    status: str


class Task:
    """A running task, as its work sees it."""

    def __init__(self, upid: Upid, path: Path, clock: Clock) -> None:
        self.upid = upid
        self.clock = clock
        self.warnings = 0
        self.stopped = False
        self.killed = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a", encoding="utf-8", buffering=1)

    def log(self, text: str) -> None:
        """Add a line (or several) to the log."""
        self._stream.write(f"{text}\n")

    def warn(self, text: str) -> None:
        """Add a warning; a task with warnings that ends well ends with `WARNINGS: n`."""
        self.warnings += 1
        self.log(f"WARN: {text}")

    @staticmethod
    def plain(line: str) -> str:
        """The text of a line of the log."""
        return line

    def close(self, error: str | None) -> str:
        """Write the last line; returns the exit status."""
        if error is not None:
            # the status is one line whatever the error was
            status = " ".join(error.split("\n")).strip()
            self.log(f"TASK ERROR: {status}")
        elif self.warnings:
            status = f"WARNINGS: {self.warnings}"
            self.log(f"TASK {status}")
        else:
            status = "OK"
            self.log("TASK OK")
        self._stream.close()
        return status

    def abort(self) -> str:
        """End without a last line; returns the exit status."""
        self._stream.close()
        return UNEXPECTED


Work = Callable[[Task], Awaitable[None]]


@dataclass(frozen=True)
class Trouble:
    """What comes between a task and its work: it fails with this text, or warns of that one after it."""

    fail: str = ""
    warn: str = ""

    def meets(self, work: Work) -> Work:
        """The work as it goes then."""

        async def troubled(task: Task) -> None:
            if self.fail:
                raise AgentError(self.fail)
            await work(task)
            if self.warn:
                task.warn(self.warn)

        return troubled


_trouble: ContextVar[Trouble | None] = ContextVar("trouble", default=None)


class TaskService:
    """The part of a host that keeps its tasks: makes `host.tasks`, and is there from boot to shutdown."""

    def __init__(self, host: Host) -> None:
        host.tasks = self.tasks = Tasks(host)

    async def start(self) -> None:
        """Learn what earlier boots left."""
        self.tasks.resume()

    async def stop(self) -> None:
        """End all tasks."""
        await self.tasks.abandon()


class Tasks:
    """A node's tasks, running and finished. The backup server's differ in their names and in the form of their logs."""

    location = DIRECTORY
    form: type[Task] = Task
    parse: Callable[[str], Upid | None] = staticmethod(parse_upid)

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.root / self.location
        self.finished: deque[Finished] = deque(maxlen=REMEMBERED)
        self._running: dict[str, tuple[Task, asyncio.Task[None]]] = {}
        self._pid = random.randint(1000, 30000)
        self._changed = asyncio.Event()
        self._publisher: asyncio.Task[None] | None = None

    def resume(self) -> None:
        """Read the index; what was running when the host went off has ended without a status."""
        self.directory.mkdir(parents=True, exist_ok=True)
        index, active = self.directory / "index", self.directory / "active"
        if index.exists():
            # a power loss may have torn the last line
            for line in _INDEX.findall(index.read_text(encoding="utf-8"))[-REMEMBERED:]:
                if upid := self.parse(line[0]):
                    self.finished.append(Finished(upid, int(line[1], 16), line[2]))
        if active.exists():
            ended = {end.upid for end in self.finished}
            for text in active.read_text(encoding="utf-8").splitlines():
                if (upid := self.parse(text)) and upid not in ended:
                    self._remember(Finished(upid, int(self.host.clock.now()), self._last_status(upid)))
        self._write_active()
        self._changed.set()
        self._publisher = asyncio.create_task(self.publish())

    async def abandon(self) -> None:
        """Leave running tasks as a reboot does: without an end."""
        running = [work for _, work in self._running.values()]
        running += [self._publisher] if self._publisher else []
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    @contextmanager
    def troubled(self, trouble: Trouble) -> Iterator[None]:
        """The tasks that are started here and now meet with this."""
        token = _trouble.set(trouble)
        try:
            yield
        finally:
            _trouble.reset(token)

    def start(self, identity: Identity, kind: str, worker_id: str, work: Work) -> str:
        """Start a task; returns its UPID at once. `work` raises AgentError to fail."""
        self._pid += 1
        upid = self.name(kind, worker_id, identity.authid)
        if self.parse(str(upid)) is None:
            raise ValueError(f"'{worker_id}' cannot be the id of a task")
        task = self.form(upid, self.path(upid), self.host.clock)
        trouble = _trouble.get()
        work = trouble.meets(work) if trouble else work
        running = asyncio.create_task(self._work(task, work), name=str(upid))
        running.add_done_callback(lambda _: self._end_unbegun(task))
        self._running[str(upid)] = (task, running)
        self._write_active()
        self._changed.set()
        return str(upid)

    def name(self, kind: str, worker_id: str, user: str) -> Upid:
        """The name of a task that starts now."""
        clock = self.host.clock
        pstart = int(clock.elapsed() * 100) & 0xFFFFFFFF
        return Upid(self.host.name, self._pid, pstart, int(clock.now()), kind, worker_id, user)

    async def wait(self, upid: str) -> str:
        """Wait for the end of a task of this node; returns its exit status."""
        if upid in self._running:
            await asyncio.wait([self._running[upid][1]])
        parsed = self.parse(upid)
        return self._last_status(parsed) if parsed else UNEXPECTED

    def active(self) -> list[Upid]:
        """The tasks that run, the newest first."""
        return [task.upid for task, _ in reversed(self._running.values())]

    def is_running(self, upid: Upid) -> bool:
        """Whether a task runs."""
        return str(upid) in self._running

    def cancel(self, upid: Upid) -> None:
        """End a running task; nothing happens to one that has ended."""
        found = self._running.get(str(upid))
        if found is not None:
            found[0].stopped = True
            found[1].cancel()

    def kill(self, upid: Upid) -> None:
        """End a running task without a last word, as its process's sudden death does."""
        found = self._running.get(str(upid))
        if found is not None:
            found[0].killed = True
            self.cancel(upid)

    def path(self, upid: Upid) -> Path:
        """Where a task's log is."""
        return self.directory / upid.directory / str(upid)

    def read_log(self, upid: Upid) -> list[str] | None:
        """The lines of a task's log; None if there is no such file."""
        path = self.path(upid)
        return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else None

    def exit_status(self, upid: Upid) -> str:
        """How a task that no longer runs has ended."""
        return self._last_status(upid)

    async def _work(self, task: Task, work: Work) -> None:
        error: str | None = None
        # what the call met with, the tasks that this one starts do not
        _trouble.set(None)
        try:
            # the caller gets its UPID before anything happens
            await asyncio.sleep(0)
            await work(task)
        except AgentError as failure:
            error = failure.text
        except asyncio.CancelledError:
            if not task.stopped:
                raise
            error = INTERRUPTED
        finally:
            if (unforeseen := sys.exception()) is not None:
                error = str(unforeseen) or type(unforeseen).__name__
                if not isinstance(unforeseen, asyncio.CancelledError):
                    log.error("task %s failed", task.upid, exc_info=unforeseen)
            if not isinstance(unforeseen, asyncio.CancelledError):
                self._end(task, error)

    def _end_unbegun(self, task: Task) -> None:
        """A task that is cancelled before its first step runs no line of `_work`."""
        if task.stopped and str(task.upid) in self._running:
            self._end(task, INTERRUPTED)

    def _end(self, task: Task, error: str | None) -> None:
        status = task.abort() if task.killed else task.close(error)
        self._running.pop(str(task.upid), None)
        self._remember(Finished(task.upid, int(self.host.clock.now()), status))
        self._write_active()
        self._changed.set()

    def _remember(self, finished: Finished) -> None:
        self.finished.append(finished)
        with (self.directory / "index").open("a", encoding="utf-8") as stream:
            stream.write(f"{finished.upid} {finished.endtime:08X} {finished.status}\n")

    def _write_active(self) -> None:
        (self.directory / "active").write_text("".join(f"{upid}\n" for upid in self._running), encoding="utf-8")

    def _last_status(self, upid: Upid) -> str:
        last = self.form.plain((self.read_log(upid) or [""])[-1])
        for mark in ("TASK ERROR: ", "TASK "):
            if last.startswith(mark):
                return last.removeprefix(mark)
        return UNEXPECTED

    async def publish(self) -> None:
        """Tell the cluster about the newest tasks whenever there is news."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            items = [describe(upid) for upid in self.active()]
            items += [
                {**describe(end.upid), "endtime": end.endtime, "status": end.status, "saved": "1"}
                for end in reversed(self.finished)
            ]
            await self.host.cluster.broadcast(KEY, items[:BROADCAST])


def describe(upid: Upid) -> dict[str, Any]:
    """A task as GET /cluster/tasks lists it (observed: calls); a token's task names user and token apart."""
    user, mark, _ = upid.user.partition("!")
    found: dict[str, Any] = {
        "upid": str(upid),
        "node": upid.node,
        "starttime": upid.starttime,
        "type": upid.type,
        "id": upid.id,
        "user": user,
    }
    return {**found, "tokenid": upid.user} if mark else found
