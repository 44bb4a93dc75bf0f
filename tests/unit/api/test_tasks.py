# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks: names, logs, ends (facts §4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.access import Identity
from agentstack.clock import Clock
from agentstack.errors import AgentError, ParameterError
from agentstack.tasks import Task, Tasks
from agentstack.upid import Upid, parse_upid

ROOT = Identity("root@pam")


class Cluster:
    """Keeps the last broadcast."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def broadcast(self, key: str, value: list[dict[str, Any]]) -> None:
        self.told = value


def boot(root: Path) -> Tasks:
    host: Any = SimpleNamespace(name="pve1", root=root, clock=Clock(), cluster=Cluster())
    tasks = Tasks(host)
    tasks.resume()
    return tasks


@pytest.fixture
async def tasks(tmp_path: Path) -> AsyncIterator[Tasks]:
    found = boot(tmp_path)
    yield found
    await found.abandon()


async def good(task: Task) -> None:
    task.log("one")
    await asyncio.sleep(0)
    task.log("two")


async def doubtful(task: Task) -> None:
    task.warn("careful")


async def bad(task: Task) -> None:
    raise AgentError("no space\nleft")


async def wrong(task: Task) -> None:
    raise ParameterError({"id": "No such job"})


async def endless(task: Task) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("work", "status", "last"),
    [
        (good, "OK", "TASK OK"),
        (doubtful, "WARNINGS: 1", "TASK WARNINGS: 1"),
        (bad, "no space left", "TASK ERROR: no space left"),
        (
            wrong,
            "400 Parameter verification failed. id: No such job",
            "TASK ERROR: 400 Parameter verification failed. id: No such job",
        ),
    ],
)
async def test_ends(tasks: Tasks, work: Any, status: str, last: str) -> None:
    text = tasks.start(ROOT, "zfscreate", "tank", work)
    upid = parse_upid(text)
    assert upid is not None
    assert (upid.node, upid.type, upid.id, upid.user) == ("pve1", "zfscreate", "tank", "root@pam")
    assert tasks.is_running(upid)
    assert await tasks.wait(text) == status
    assert not tasks.is_running(upid)
    assert (tasks.read_log(upid) or [])[-1] == last
    assert tasks.path(upid).parent.name == f"{upid.starttime:08X}"[-1]
    assert tasks.finished[-1].status == status


async def test_an_unforeseen_end_is_an_error_too(tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(task: Task) -> None:
        raise KeyError("x")

    assert await tasks.wait(tasks.start(ROOT, "x", "", broken)) == "'x'"
    assert "failed" in caplog.text


@pytest.mark.parametrize("steps", [0, 3])
async def test_cancel(tasks: Tasks, steps: int) -> None:
    text = tasks.start(ROOT, "x", "", endless)
    for _ in range(steps):
        await asyncio.sleep(0)
    upid = parse_upid(text)
    assert upid is not None
    tasks.cancel(upid)
    assert await tasks.wait(text) == "received interrupt"
    tasks.cancel(upid)


async def test_a_power_loss_leaves_no_status(tasks: Tasks, tmp_path: Path) -> None:
    done = tasks.start(ROOT, "a", "", good)
    await tasks.wait(done)
    running = tasks.start(ROOT, "b", "", endless)
    await asyncio.sleep(0)
    with (tmp_path / "var/log/pve/tasks/index").open("a") as index:
        index.write("UPID:pve1:00")
    later = boot(tmp_path)
    assert {str(end.upid): end.status for end in later.finished} == {done: "OK", running: "unexpected status"}
    assert later.active() == []
    await later.abandon()


async def test_the_cluster_hears_of_tasks(tasks: Tasks) -> None:
    token = Identity("a@pve", "a@pve!t")
    await tasks.wait(tasks.start(token, "qmstart", "100", good))
    running = tasks.start(ROOT, "qmstop", "101", endless)
    for _ in range(3):
        await asyncio.sleep(0)
    told: list[dict[str, Any]] = tasks.host.cluster.told  # type: ignore[attr-defined]
    assert [row["type"] for row in told] == ["qmstop", "qmstart"]
    assert told[0]["upid"] == running
    assert "status" not in told[0]
    assert (told[1]["user"], told[1]["tokenid"], told[1]["status"], told[1]["saved"]) == ("a@pve", "a@pve!t", "OK", "1")


async def test_ids_that_names_cannot_hold(tasks: Tasks) -> None:
    with pytest.raises(ValueError, match="cannot be the id of a task"):
        tasks.start(ROOT, "x", "a/b", good)


WORD = st.text("abcXYZ09-.@", min_size=1, max_size=8)
NUMBER = st.integers(0, 0xFFFFFFFF)


@given(NUMBER, st.integers(0, 0xFFFFFFFFF), NUMBER, WORD, WORD | st.just(""), WORD)
def test_names_read_back(pid: int, pstart: int, starttime: int, kind: str, worker_id: str, user: str) -> None:
    upid = Upid("pve1", pid, pstart, starttime, kind, worker_id, user)
    assert parse_upid(str(upid)) == upid


@given(st.text())
def test_other_texts_are_no_names(text: str) -> None:
    assert parse_upid(text) is None
