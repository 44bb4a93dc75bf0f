# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one LRM worker does: bring one guest into the state that the manager asks for."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from agentstack.ha.environment import Job, LogLevel


class ExitCode(IntEnum):
    """Results of a job as they stand in the LRM status."""

    SUCCESS = 0
    ERROR = 1
    TRY_AGAIN = 2
    WRONG_NODE = 3
    UNKNOWN_TYPE = 4
    UNKNOWN_COMMAND = 5
    INVALID_PARAMETER = 6
    UNKNOWN_SERVICE = 7
    IGNORED = 8


class Guest(Protocol):
    """A guest as the worker drives it; every call returns when the action has ended."""

    @property
    def node(self) -> str | None:
        """Where its configuration lies; None: there is no such guest."""

    def running(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self, timeout: int | None) -> None:
        """Shut down within ``timeout`` seconds (None: the guest's own setting), hard when it is 0."""

    def can_migrate_online(self) -> bool: ...

    def migrate(self, target: str, online: bool) -> bool:
        """Move the guest; without ``online`` a running one is stopped first.  False: it is still here."""


Log = Callable[[LogLevel, str], None]

MOVES = ("migrate", "relocate", "request_start_balance")


def execute(job: Job, guest: Guest, nodename: str, log: Log) -> ExitCode:
    """Run one job to its end on this node."""
    if guest.node is None:
        log("err", f"service '{job.sid}' not found")
        return ExitCode.UNKNOWN_SERVICE
    if job.state == "error":
        log(
            "err",
            f"service {job.sid} is in an error state and needs manual intervention."
            " Look up 'ERROR RECOVERY' in the documentation.",
        )
        return ExitCode.SUCCESS
    if guest.node != nodename:
        log("err", f"service '{job.sid}' not on this node")
        return ExitCode.WRONG_NODE
    if job.state == "started":
        return _start(job, guest, log)
    if job.state in ("request_stop", "stopped"):
        return _stop(job, guest, log)
    if job.state in MOVES:
        return _move(job, guest, nodename, log)
    log("err", f"unknown command '{job.state}' for service '{job.sid}'")
    return ExitCode.UNKNOWN_COMMAND


def _start(job: Job, guest: Guest, log: Log) -> ExitCode:
    if guest.running():
        return ExitCode.SUCCESS
    log("info", f"starting service {job.sid}")
    guest.start()
    if guest.running():
        log("info", f"service status {job.sid} started")
        return ExitCode.SUCCESS
    log("warning", f"unable to start service {job.sid}")
    return ExitCode.ERROR


def _stop(job: Job, guest: Guest, log: Log) -> ExitCode:
    if not guest.running():
        return ExitCode.SUCCESS
    log("info", f"stopping service {job.sid}" + ("" if job.timeout is None else f" (timeout={job.timeout})"))
    guest.stop(job.timeout)
    if not guest.running():
        log("info", f"service status {job.sid} stopped")
        return ExitCode.SUCCESS
    log("info", f"unable to stop service {job.sid} (still running)")
    return ExitCode.ERROR


def _move(job: Job, guest: Guest, nodename: str, log: Log) -> ExitCode:
    if job.target is None:
        log("err", f"{job.state} '{job.sid}' failed - missing target")
        return ExitCode.INVALID_PARAMETER
    if job.target == nodename:
        return ExitCode.SUCCESS
    online = job.state == "migrate"
    if online and guest.running() and not guest.can_migrate_online():
        log("warning", f"unable to live migrate running container '{job.sid}', relocating it instead")
        online = False
    if guest.migrate(job.target, online):
        return ExitCode.SUCCESS
    log("err", f"service {job.sid} not moved (migration error)")
    return ExitCode.ERROR
