# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose worker a process is, also when nobody is there any more."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

from ansible_collections.quorate.pve.plugins.module_utils._processes import ended, forker

FORK = multiprocessing.get_context("fork")


def _run(answers: Connection) -> None:
    FORK.Process(target=_work, args=(answers,)).start()
    os.kill(os.getpid(), signal.SIGKILL)


def _work(answers: Connection) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    # its files are closed, which the join sees, a moment before it is over
    answers.send((forker(), ended(forker(), 60), os.getppid()))


def test_a_worker_knows_the_run_that_was_killed_before_it_asked() -> None:
    ours, theirs = FORK.Pipe(duplex=False)
    run = FORK.Process(target=_run, args=(theirs,))
    run.start()
    run.join()
    assert ours.poll(60)
    process, over, adopted_by = ours.recv()
    assert (process, over) == (run.pid, True)
    assert adopted_by != run.pid


def test_who_is_no_worker_is_the_run_itself() -> None:
    assert forker() == os.getpid()
