# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster resource manager of one node: who is the active one (facts §7.3)."""

from __future__ import annotations

from agentstack.ha.environment import MANAGER_LOCK, ClusterFilesError, Environment
from agentstack.ha.manager import Manager

IDLE_ROUNDS = 90


class Crm:
    """Call :meth:`round` every 10 seconds until it returns False."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.state = "startup"
        self.manager: Manager | None = None
        self._watchdog: str | None = None
        self._shutdown = False
        self._idle_rounds = 0
        self._change("wait_for_quorum")

    def request_shutdown(self) -> None:
        """Ask it to end; it does so in its next round."""
        self._shutdown = True
        self.env.log("info", "server received shutdown request")

    def round(self) -> bool:
        """One round; False: the agent has ended."""
        if not self.env.refresh():
            self.env.log("notice", "temporary inconsistent cluster state (cfs restart?), skip round")
            if self.state == "master" and self._lock():
                self._feed()
            return True
        self._update_state()
        if self.state != "master":
            return not self._shutdown
        if self._shutdown:
            self.env.log("info", "voluntary release CRM lock")
            self._release()
            return False
        self._work()
        return True

    # -- states ---------------------------------------------------------------------------------------------------
    def _update_state(self) -> None:
        if self.state == "master" and not self._lock():
            self._change("lost_manager_lock")
        if self.state == "lost_manager_lock":
            if self._lock():
                self._change("master")
            else:
                # whoever gets the lock after it has run out is the only manager: this one decides nothing from here on
                self._close_watchdog()
                self.manager = None
                self._change("wait_for_quorum")
        elif self.state in ("wait_for_quorum", "slave"):
            if not self._eligible():
                if self.state == "slave":
                    self._change("wait_for_quorum")
            elif self._lock():
                self._change("master")
                self._idle_rounds = 0
            elif self.state == "wait_for_quorum":
                self._change("slave")

    def _eligible(self) -> bool:
        if not self.env.quorate():
            return False
        try:
            # who is being fenced waits until that is over
            fenced = self.env.read_manager_status().get("node_status", {}).get(self.env.nodename) == "fence"
            return not fenced and self._needed()
        except ClusterFilesError as error:
            self.env.log("warning", f"cannot read the HA configuration: {error}")
            return False

    def _needed(self) -> bool:
        """Is there anything to manage: a resource, a command, or what an earlier manager left?"""
        if self.env.read_resources() or self.env.pending_crm_commands():
            return True
        status = self.env.read_manager_status()
        return bool(status.get("service_status") or status.get("disarm"))

    def _change(self, state: str) -> None:
        self.env.log("info", f"status change {self.state} => {state}")
        self.state = state

    # -- lock and watchdog ----------------------------------------------------------------------------------------
    def _lock(self) -> bool:
        if not self.env.acquire_lock(MANAGER_LOCK):
            return False
        if self._watchdog is None and not self._disarmed:
            self._watchdog = self.env.watchdog_open()
        return True

    def _feed(self) -> None:
        if self._watchdog is not None:
            self.env.watchdog_update(self._watchdog)

    @property
    def _disarmed(self) -> bool:
        disarm = self.manager.disarm if self.manager is not None else None
        return disarm is not None and disarm["state"] == "disarmed"

    def _close_watchdog(self) -> None:
        if self._watchdog is not None:
            self.env.watchdog_close(self._watchdog)
            self._watchdog = None

    def _release(self) -> None:
        self.env.release_lock(MANAGER_LOCK)
        self._close_watchdog()
        self.manager = None

    # -- the active manager ---------------------------------------------------------------------------------------
    def _work(self) -> None:
        self._feed()
        try:
            self._idle_rounds = 0 if self._needed() else self._idle_rounds + 1
            if self._idle_rounds > IDLE_ROUNDS:
                self.env.log("info", f"cluster had no service configured for {IDLE_ROUNDS} rounds, going idle.")
                self._release()
                self._change("wait_for_quorum")
                return
            if self.manager is None:
                self.manager = Manager(self.env)
            self.manager.manage()
        except ClusterFilesError as error:
            self.env.log("err", f"got unexpected error - {error}")
            return
        if self._disarmed and self._watchdog is not None:
            self.env.log("info", "HA stack fully disarmed, releasing CRM watchdog")
            self._close_watchdog()
        elif not self._disarmed and self._watchdog is None:
            self.env.log("info", "re-arming HA stack")
            self._watchdog = self.env.watchdog_open()
