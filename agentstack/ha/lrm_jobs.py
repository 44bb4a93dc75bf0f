# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of one LRM: which decisions need work, how many at once, how often a start is tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentstack._shared.ha_types import ServiceStatus
from agentstack.ha.environment import Environment, Job, JobResult
from agentstack.ha.jobs import ExitCode

WORK = ("started", "request_stop", "stopped", "migrate", "relocate", "request_start_balance", "error")
"""Service states that ask the LRM for something."""

AGAIN = ("started", "stopped")
"""States that are made sure of in every round; anything else is done once for each decision."""


class JobRunner:
    """Queue, running jobs and results.  Jobs that were passed over go first, then by sid."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.results: dict[str, JobResult] = {}
        self._jobs: dict[str, Job] = {}
        self._started: set[str] = set()
        self._passed_over: dict[str, int] = {}
        self._tries: dict[str, int] = {}
        self._stopping: dict[str, Job] = {}
        self._ended: set[str] = set()
        self.stop_errors = 0

    def running(self) -> list[str]:
        """Guests that a job is busy with."""
        return sorted(self._started)

    def round(self, mine: Mapping[str, ServiceStatus], everything: Mapping[str, ServiceStatus]) -> None:
        """Queue what the manager's decisions about the guests of this node ask for, and run it."""
        for sid in sorted(self._jobs):
            if sid not in self._started:
                del self._jobs[sid]
        for sid, service in mine.items():
            self._queue(sid, service)
        self._run()
        if self.results:
            known = {service["uid"] for service in everything.values()}
            self.results = {uid: result for uid, result in self.results.items() if uid in known}

    def _queue(self, sid: str, service: ServiceStatus) -> None:
        state, uid = service["state"], service["uid"]
        if state not in WORK or sid in self._started or (state not in AGAIN and uid in self.results):
            return
        self._jobs[sid] = Job(sid, uid, state, service.get("target"), service.get("timeout"))

    def _run(self) -> None:
        for sid in self.running():
            self._advance(sid)
        limit = self._env.read_settings().max_workers
        waiting = self._jobs.keys() - self._started
        for sid in sorted(waiting, key=lambda sid: (-self._passed_over.get(sid, 0), sid)):
            if len(self._started) >= limit:
                self._passed_over[sid] = self._passed_over.get(sid, 0) + 1
            else:
                self._passed_over.pop(sid, None)
                self._advance(sid)

    def _advance(self, sid: str) -> None:
        job = self._jobs[sid]
        code = self._env.run_job(job)
        if code is None:
            self._started.add(sid)
            return
        self._started.discard(sid)
        del self._jobs[sid]
        self.results[job.uid] = {"sid": sid, "state": job.state, "exit_code": self._judge(job, code)}

    def _judge(self, job: Job, code: int) -> int:
        """The restart policy: a failed start is tried again here, before the manager hears of it."""
        if job.state != "started":
            return code
        if code != ExitCode.ERROR:
            self._tries.pop(job.sid, None)
            return code
        tries = self._tries.get(job.sid, 0)
        limit = self._env.read_resources().get(job.sid, {}).get("max_restart", 1)
        if tries >= limit:
            self._env.log("err", f"unable to start service {job.sid} on local node after {tries} retries")
            self._tries.pop(job.sid, None)
            return ExitCode.ERROR
        self._tries[job.sid] = tries + 1
        self._env.log("warning", f"restart policy: retry number {tries + 1} for service '{job.sid}'")
        return ExitCode.TRY_AGAIN

    # -- the node goes down ---------------------------------------------------------------------------------------
    def stop_all(self, sids: Iterable[str]) -> None:
        """Shut these guests down; call it every round until :meth:`all_ended`."""
        for sid in list(self._started):
            if self._env.run_job(self._jobs[sid]) is not None:
                self._started.discard(sid)
                del self._jobs[sid]
        for sid in sids:
            if sid in self._ended or sid in self._started:
                continue
            code = self._env.run_job(self._stopping.setdefault(sid, Job(sid, f"shutdown {sid}", "request_stop")))
            if code is not None:
                self._ended.add(sid)
                self.stop_errors += code != ExitCode.SUCCESS

    def all_ended(self, sids: Iterable[str]) -> bool:
        """Every one of these guests was told to shut down, and has done so or failed to."""
        return not self._started and all(sid in self._ended for sid in sids)
