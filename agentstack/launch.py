# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a stack up and down, from outside."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstack import control, stackfile, statedir
from agentstack.ports import claim_net
from agentstack.reader import StackError
from agentstack.stack import Stack

PATIENCE = 15.0
"""Real seconds that one `up` or `down` waits for another that is at work in the same state directory."""


@dataclass
class Outcome:
    """What `up` did. `seconds` is None when the stack was up already."""

    stack: Stack
    seconds: float | None


def up(file: Path | None, state: Path, net: int | None = None) -> Outcome:
    """Bring up the stack of a stack file in a state directory; `file` may be None if the directory holds a stack.

    Raises StackError; then nothing runs, and a state directory that was made for this is gone again.
    """
    started = time.monotonic()
    state = state.absolute()
    wanted = stackfile.load(file, net) if file else None
    if not (state / "stack.json").exists():
        if wanted is None:
            raise StackError(f"{state} holds no stack yet: name a stack file (--file)")
        state.mkdir(parents=True, exist_ok=True)
        if foreign := sorted({path.name for path in state.iterdir()} - statedir.ENTRIES):
            raise StackError(f"{state} holds no stack but is not empty ({foreign[0]}): name another directory (--dir)")
    with _locked(state) as lock:
        fresh = not (state / "stack.json").exists()
        if fresh and wanted is not None and file is not None:
            with _removed_on_error(state):
                statedir.make_secrets(state)
                stack = _bring_up(state, wanted, lock, source=file.read_text(encoding="utf-8"))
                return Outcome(stack, time.monotonic() - started)
        stack = statedir.read_stack(state)
        _compare(state, stack, wanted, file, net)
        if lock is None:
            return Outcome(stack, None)
        return Outcome(_bring_up(state, stack, lock), time.monotonic() - started)


def down(state: Path) -> bool:
    """End the stack of a state directory; False if it is not up. Returns when all of its processes have ended."""
    state = state.absolute()
    try:
        control.request(state, {"do": "stop"})
    except control.NotRunning:
        return False
    with _locked(state, wait_for_end=True):
        return True


def _compare(state: Path, stack: Stack, wanted: Stack | None, file: Path | None, net: int | None) -> None:
    other = statedir.difference(stack, wanted) if wanted else None
    if other:
        raise StackError(
            f"{state} holds a stack made from another file than {file}: {other}. "
            f"Name another directory (--dir), or end that stack and remove its directory."
        )
    asked = net or (wanted.net if wanted else 0)
    if asked and asked != stack.net:
        raise StackError(f"{state} holds a stack on net {stack.net}; it cannot be moved to net {asked}")


def _bring_up(state: Path, stack: Stack, lock: int | None, source: str | None = None) -> Stack:
    """Claim the stack's addresses, keep its definition if it is new, and start its processes."""
    assert lock is not None
    stack, claim = claim_net(stack, state)
    with claim:
        if source is not None:
            statedir.write_stack(state, stack, source)
        _start(state, [lock, claim.fileno()])
    return stack


def _start(state: Path, kept: list[int]) -> None:
    """Start the supervisor and wait until it says that all hosts answer; StackError with what it says otherwise."""
    reader, writer = os.pipe()
    # the stack's own processes say their errors in their logs; what is left goes to the supervisor's
    with os.fdopen(reader, "rb") as outcome, (state / "supervisor.log").open("ab") as log:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "agentstack.supervisor", str(state), str(writer), *map(str, kept)],
                pass_fds=[writer, *kept],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        finally:
            os.close(writer)
        try:
            line = outcome.readline()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if not line:
        process.wait()
        raise StackError(f"the supervisor ended while it started\n{_tail(state / 'supervisor.log')}")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        process.wait()
        raise StackError(said["error"])
    # it goes on living without us
    process.returncode = 0


@contextlib.contextmanager
def _removed_on_error(state: Path) -> Iterator[None]:
    """A new stack's directory; on an error it is removed."""
    state.chmod(0o700)
    try:
        yield
    except BaseException:
        shutil.rmtree(state, ignore_errors=True)
        raise


@contextlib.contextmanager
def _locked(state: Path, *, wait_for_end: bool = False) -> Iterator[int | None]:
    """Hold the state directory's lock; None if a running stack holds it, whose supervisor answers.

    The lock belongs to the open file, which the supervisor inherits: it lasts as long as the supervisor does.
    """
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait_for_end and _is_up(state):
                    yield None
                    return
                if time.monotonic() > deadline:
                    raise StackError(f"another process is at work in {state} and does not come to an end") from None
                time.sleep(0.05)
            else:
                yield descriptor
                return
    finally:
        os.close(descriptor)


def _is_up(state: Path) -> bool:
    try:
        return bool(control.request(state, {"do": "status"})["up"])
    except control.NotRunning:
        return False


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-5:])
