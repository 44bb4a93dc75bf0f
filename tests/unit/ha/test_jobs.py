# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of an LRM whose workers take longer than a round."""

from __future__ import annotations

from typing import Any, cast

from agentstack.ha.environment import ClusterSettings, Environment, Job
from agentstack.ha.lrm_jobs import JobRunner


class Workers:
    """Jobs run until their exit code is set."""

    def __init__(self, max_workers: int = 4) -> None:
        self.codes: dict[str, int] = {}
        self.asked: list[str] = []
        self._settings = ClusterSettings(max_workers=max_workers)
        self.log_lines: list[str] = []

    def read_settings(self) -> ClusterSettings:
        return self._settings

    def read_resources(self) -> dict[str, Any]:
        return {"vm:1": {"max_restart": 1}}

    def log(self, level: str, message: str) -> None:
        self.log_lines.append(message)

    def run_job(self, job: Job) -> int | None:
        self.asked.append(job.sid)
        return self.codes.get(job.sid)


def runner(workers: Workers) -> JobRunner:
    return JobRunner(cast(Environment, workers))


def services(*sids: str, state: str = "started") -> Any:
    return {sid: {"state": state, "node": "n", "uid": f"u-{sid}"} for sid in sids}


def test_a_running_job_is_asked_after_and_its_result_kept_for_its_decision() -> None:
    workers = Workers()
    jobs = runner(workers)
    mine = services("vm:1")
    jobs.round(mine, mine)
    assert (jobs.running(), jobs.results) == (["vm:1"], {})
    workers.codes["vm:1"] = 0
    jobs.round(mine, mine)
    assert jobs.results == {"u-vm:1": {"sid": "vm:1", "state": "started", "exit_code": 0}}
    assert jobs.running() == []


def test_no_more_than_max_workers_and_who_waited_goes_first() -> None:
    workers = Workers(max_workers=1)
    jobs = runner(workers)
    mine = services("vm:1", "vm:2", "vm:3", state="request_stop")
    jobs.round(mine, mine)
    assert workers.asked == ["vm:1"]
    workers.codes = {"vm:1": 0, "vm:3": 0}
    jobs.round({sid: mine[sid] for sid in ("vm:1", "vm:3")}, mine)
    assert workers.asked == ["vm:1", "vm:1", "vm:3"]


def test_failed_starts_are_tried_again_here_before_the_manager_hears_of_it() -> None:
    workers = Workers()
    workers.codes["vm:1"] = 1
    jobs = runner(workers)
    mine = services("vm:1")
    codes = []
    for _ in range(2):
        jobs.round(mine, mine)
        codes.append(jobs.results["u-vm:1"]["exit_code"])
    assert codes == [2, 1]
    assert workers.log_lines == [
        "restart policy: retry number 1 for service 'vm:1'",
        "unable to start service vm:1 on local node after 1 retries",
    ]


def test_what_is_done_is_not_done_again_for_the_same_decision() -> None:
    workers = Workers()
    workers.codes["vm:1"] = 0
    jobs = runner(workers)
    mine = services("vm:1", state="request_stop")
    jobs.round(mine, mine)
    jobs.round(mine, mine)
    assert workers.asked == ["vm:1"]
    jobs.round({}, {})
    assert jobs.results == {}


def test_shutting_down_waits_for_every_guest_and_counts_failures() -> None:
    workers = Workers()
    jobs = runner(workers)
    jobs.stop_all(["vm:1", "vm:2"])
    assert not jobs.all_ended(["vm:1", "vm:2"])
    workers.codes = {"vm:1": 0, "vm:2": 1}
    jobs.stop_all(["vm:1", "vm:2"])
    assert jobs.all_ended(["vm:1", "vm:2"])
    assert jobs.stop_errors == 1
