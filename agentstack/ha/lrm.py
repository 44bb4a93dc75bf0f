# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local resource manager of one node: does what the manager decided, under lock and watchdog (facts §7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from agentstack._shared.ha_types import ServiceStatus
from agentstack.ha.environment import ClusterFilesError, ClusterSettings, Environment, LrmStatus, agent_lock
from agentstack.ha.lrm_jobs import JobRunner

IDLE_ROUNDS = 60
RESTART_TIMEOUT = 90

INACTIVE = ("stopped", "error", "freeze")
"""Service states for which the node needs no lock: the guest is off, or is left alone."""

PROTECTED = ("active", "maintenance")

MOVING = ("migrate", "relocate", "request_start_balance")


class Lrm:
    """Call :meth:`round` every 10 seconds (5 while idle) until it returns False."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.state = "startup"
        self.mode = "active"
        self.jobs = JobRunner(env)
        self._lock_name = agent_lock(env.nodename)
        self._watchdog: str | None = None
        self._services: Mapping[str, ServiceStatus] = {}
        self._maintenance_requested = False
        self._disarm_requested = False
        self._fence_requested = False
        self._shutdown_since: int | None = None
        self._idle_rounds = 0
        self._turn = Lock()
        self._change("wait_for_agent_lock")

    # -- shutdown -------------------------------------------------------------------------------------------------
    def request_shutdown(self) -> None:
        """The service is being restarted, or the node goes down: leave by the shutdown policy.

        May be called while a round runs in another thread; it waits for its end.
        """
        with self._turn:
            if self._shutdown_since is not None:
                return
            shutdown, reboot = self.env.node_shutdown()
            if shutdown:
                self._choose_shutdown_mode("reboot" if reboot else "shutdown")
            else:
                self.env.log("info", "restart LRM, freeze all services")
                self.mode = "restart"
            self._shutdown_since = self.env.time()
            self._write_status()

    def _choose_shutdown_mode(self, kind: str) -> None:
        try:
            policy = self.env.read_settings().shutdown_policy
        except ClusterFilesError as error:
            policy = ClusterSettings().shutdown_policy
            self.env.log("warning", f"cannot read the shutdown policy, taking '{policy}': {error}")
        self.env.log("info", f"got shutdown request with shutdown policy '{policy}'")
        if policy == "migrate":
            self.env.log("info", f"{kind} LRM, doing maintenance, removing this node from active list")
            self.mode = "maintenance"
        elif self.mode == "maintenance" and policy == "conditional":
            self.env.log("info", f"{kind} LRM, ignore {policy} policy as manual maintenance mode is enabled")
        elif policy == "freeze" or (policy == "conditional" and kind == "reboot"):
            self.env.log("info", f"{kind} LRM, stop and freeze all services")
            self.mode = "restart"
        else:
            self.env.log("info", "shutdown LRM, stop all services")
            self.mode = "shutdown"

    # -- one round ------------------------------------------------------------------------------------------------
    def round(self) -> bool:
        """One round; False: the agent has ended."""
        with self._turn:
            return self._round()

    def _round(self) -> bool:
        if not self.env.refresh():
            self.env.log("notice", "temporary inconsistent cluster state (cfs restart?), skip round")
            if self.state in PROTECTED and self._watchdog is not None and self.env.acquire_lock(self._lock_name):
                self._feed()
            return True
        if not self.env.lrm_announced() and not (self.env.quorate() and self._write_status()):
            return True
        informed = self._read_manager_status()
        self._update_state()
        finished = self._finished()
        if not finished and self.state in PROTECTED and self._watchdog is not None:
            self._feed()
            if informed:
                self._work()
                finished = self._finished()
        if finished and not self.jobs.stop_errors:
            self._release()
        self._write_status()
        return not finished

    def _read_manager_status(self) -> bool:
        """Take in the decisions; False: they cannot be read now."""
        try:
            status = self.env.read_manager_status()
        except ClusterFilesError as error:
            self.env.log("err", f"updating service status from manager failed: {error}")
            return False
        self._services = status.get("service_status", {})
        request = status.get("node_request", {}).get(self.env.nodename, {})
        self._maintenance_requested = bool(request.get("maintenance"))
        self._disarm_requested = "disarm" in status
        self._fence_requested = status.get("node_status", {}).get(self.env.nodename) == "fence"
        if self._shutdown_since is None:
            if self._maintenance_requested:
                self.mode = "maintenance"
            elif self._disarm_requested:
                self.mode = "disarm"
            elif self.mode != "disarm" or self.env.quorate():
                # without quorum it stays disarmed: the manager must not take it for a node that a watchdog guards
                self.mode = "active"
        return True

    def _mine(self) -> dict[str, ServiceStatus]:
        here = self.env.nodename
        return dict(sorted((sid, service) for sid, service in self._services.items() if service["node"] == here))

    def _active_services(self) -> bool:
        """Is there anything to do for this node, or anything on its way to it?"""
        here = self.env.nodename
        return any(
            here in (service["node"], service.get("target"))
            for service in self._services.values()
            if service["state"] not in INACTIVE
        )

    # -- states ---------------------------------------------------------------------------------------------------
    def _update_state(self) -> None:
        steps = {
            "wait_for_agent_lock": self._from_wait,
            "active": self._from_active,
            "maintenance": self._from_maintenance,
            "lost_agent_lock": self._from_lost,
        }
        steps[self.state]()

    def _from_wait(self) -> None:
        if self._shutdown_since is not None or self.mode == "disarm" or self._fence_requested:
            return
        if not self.env.quorate():
            return
        if self._active_services() and self._lock():
            self._idle_rounds = 0
            self._change("active")

    def _from_active(self) -> None:
        if self._fence_requested:
            self.env.log("err", "node need to be fenced - releasing agent_lock")
            self._change("lost_agent_lock")
        elif not self._lock():
            self._change("lost_agent_lock")
        elif self.mode == "maintenance":
            self._change("maintenance")
        elif self.mode == "disarm":
            if not self._busy_moving():
                self.env.log("info", "HA disarm requested, releasing agent lock and watchdog")
                self._release()
                self._change("wait_for_agent_lock")
        elif self._shutdown_since is None and self._idle():
            self.env.log("info", f"node had no service configured for {IDLE_ROUNDS} rounds, going idle.")
            self._release()
            self._change("wait_for_agent_lock")

    def _from_maintenance(self) -> None:
        if self._fence_requested and self._watchdog is not None:
            self.env.log("err", "node need to be fenced - releasing agent_lock")
            self._change("lost_agent_lock")
        elif self.mode == "disarm":
            self.env.log("info", "HA disarm requested during maintenance, releasing agent lock and watchdog")
            self._release()
            self._change("wait_for_agent_lock")
        elif self.mode != "maintenance":
            if self.env.quorate() and self._lock():
                self._idle_rounds = 0
                self._change("active")
        elif self._active_services() or self.jobs.running():
            if not self._lock():
                self._change("lost_agent_lock")
        elif self._watchdog is not None:
            self._release()

    def _from_lost(self) -> None:
        # the watchdog is open and fires soon: only the lock can save the node now
        if not self._fence_requested and self.env.quorate() and self._lock():
            self._change("active")

    def _change(self, state: str) -> None:
        self.env.log("info", f"status change {self.state} => {state}")
        self.state = state

    def _busy_moving(self) -> bool:
        return bool(self.jobs.running()) or any(service["state"] in MOVING for service in self._mine().values())

    def _idle(self) -> bool:
        self._idle_rounds = 0 if self._mine() else self._idle_rounds + 1
        return self._idle_rounds > IDLE_ROUNDS

    # -- end ------------------------------------------------------------------------------------------------------
    def _finished(self) -> bool:
        if self._shutdown_since is None:
            return False
        if self.state == "wait_for_agent_lock":
            return True
        if self.state == "lost_agent_lock":
            if self.mode == "restart" and self.env.time() - self._shutdown_since > RESTART_TIMEOUT:
                return True
            # a frozen guest may still run here: without the lock only the watchdog makes sure that it ends
            return all(service["state"] in ("stopped", "error") for service in self._mine().values())
        if self.mode == "maintenance":
            return not self._active_services() and not self.jobs.running()
        if self.mode == "restart" and self._active_services():
            return False
        shutdown, _reboot = self.env.node_shutdown()
        if not shutdown:
            return not self.jobs.running()
        return self.jobs.all_ended(sid for sid, service in self._mine().items() if service["state"] != "error")

    # -- lock and watchdog ----------------------------------------------------------------------------------------
    def _lock(self) -> bool:
        if not self.env.acquire_lock(self._lock_name):
            return False
        if self._watchdog is None:
            self._watchdog = self.env.watchdog_open()
        return True

    def _feed(self) -> None:
        if self._watchdog is not None:
            self.env.watchdog_update(self._watchdog)

    def _release(self) -> None:
        if self._watchdog is not None:
            self.env.release_lock(self._lock_name)
            self.env.watchdog_close(self._watchdog)
            self._watchdog = None

    # -- work -----------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        mine = self._mine()
        try:
            if self._shutdown_since is None or self.mode == "maintenance":
                self.jobs.round(mine, self._services)
            elif self.mode == "restart" and self._active_services():
                self.jobs.round({sid: s for sid, s in mine.items() if s["state"] in MOVING}, self._services)
            elif self.env.node_shutdown()[0]:
                self.jobs.stop_all(sid for sid, service in mine.items() if service["state"] != "error")
            else:
                self.jobs.round({}, self._services)
        except ClusterFilesError as error:
            self.env.log("err", f"got unexpected error - {error}")

    def _write_status(self) -> bool:
        status: LrmStatus = {
            "state": self.state,
            "mode": self.mode,
            "timestamp": self.env.timestamp(),
            "results": dict(self.jobs.results),
        }
        try:
            self.env.write_lrm_status(status)
        except ClusterFilesError as error:
            self.env.log("err", f"unable to write lrm status file - {error}")
            return False
        return True
