# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The active manager: one call of :meth:`Manager.manage` is one round of decisions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from agentstack._shared.ha_placement import Preference, select_node
from agentstack._shared.ha_rules import Affinities
from agentstack._shared.ha_types import ServiceStatus
from agentstack._shared.ha_usage import BasicUsage, Usage
from agentstack.ha import disarm, service_states
from agentstack.ha.balance import AutoBalance
from agentstack.ha.commands import process_commands
from agentstack.ha.environment import ClusterSettings, Environment, JobResult, LrmStatus, ManagerStatus, ResourceConfig
from agentstack.ha.groups import GroupMigration, forbids_failback
from agentstack.ha.node_status import NodeStatus
from agentstack.ha.resolve import resolve
from agentstack.ha.usage import UsageError, build_usage

PARAMETERS = ("node", "target", "timeout")
"""What a state change is logged with, in this order."""


class Manager:
    """State of the manager between rounds; everything that must outlive it is in ``status``."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        old = env.read_manager_status()
        self.services: dict[str, ServiceStatus] = deepcopy(old.get("service_status", {}))
        self.nodes = NodeStatus(env, old.get("node_status", {}))
        self.node_request: dict[str, dict[str, int]] = deepcopy(old.get("node_request", {}))
        self.disarm: dict[str, str] | None = deepcopy(old.get("disarm"))
        self.resources: Mapping[str, ResourceConfig] = {}
        self.lrm: dict[str, LrmStatus] = {}
        self.settings = ClusterSettings()
        self.affinities = Affinities()
        self.usage: Usage = BasicUsage((), identity=True)
        self.balance = AutoBalance()
        self.disarm_applied = False
        self._mode = "basic"
        self._groups: Mapping[str, Mapping[str, object]] = {}
        self._rules_seen: object = None
        self._group_migration = GroupMigration(env)
        self._decisions = 0
        self._update_settings()

    # -- one round ------------------------------------------------------------------------------------------------
    def manage(self) -> None:
        """Decide and write the manager status; may raise ClusterFilesError."""
        self._read_lrm_states()
        self._update_settings()
        members = self.env.members()
        self._group_migration.round(self.nodes.states, members)
        self.read_resources()
        self._update_services()
        self.recompute_usage()
        self._update_rules(members)
        process_commands(self)
        suspended = disarm.advance(self) if self.disarm is not None else False
        if self.disarm is None:
            self.balance.round(self)
        if not suspended:
            self._run_services()
        self._write()

    def _read_lrm_states(self) -> None:
        members = self.env.members()
        self.lrm = {node: self.env.read_lrm_status(node) for node in sorted(members)}
        self.nodes.update(members, {node: self.lrm_mode(node) for node in self.lrm})

    def lrm_mode(self, node: str) -> str:
        return self.lrm.get(node, {}).get("mode", "unknown")

    def must_fence(self, node: str) -> bool:
        """Out of contact for long enough.  A node that was last heard of disarmed has no watchdog to be fenced by:
        nobody can know that its guests are off until it is back.
        """
        return self.nodes.offline_delayed(node) and self.lrm_mode(node) != "disarm"

    def result(self, service: ServiceStatus) -> JobResult | None:
        """What the LRM answered to the current decision about a service."""
        return self.lrm.get(service["node"], {}).get("results", {}).get(service["uid"])

    def _update_settings(self) -> None:
        self.settings = self.env.read_settings()
        mode = self.settings.crs.mode
        if mode != self._mode:
            self.env.log("info", f"using scheduler mode '{mode}'")
            self._mode = mode

    def read_resources(self) -> None:
        """Take in resources.cfg; a resource whose guest is not there counts as not configured."""
        self.resources = {sid: resource for sid, resource in self.env.read_resources().items() if "node" in resource}

    def _update_services(self) -> None:
        for sid in sorted(self.resources):
            resource = self.resources[sid]
            if sid in self.services or resource["state"] == "ignored":
                continue
            node = resource["node"]
            self.env.log("info", f"adding new service '{sid}' on node '{node}'")
            state = "request_start" if resource["state"] == "started" else "request_stop"
            self.services[sid] = {"state": state, "node": node, "uid": self.new_uid(state)}
        for sid in sorted(self.services):
            if sid not in self.resources:
                reason = "no config"
            elif self.resources[sid]["state"] == "ignored":
                reason = "ignored state requested"
            else:
                continue
            self.env.log("info", f"removing stale service '{sid}' ({reason})")
            del self.services[sid]

    def recompute_usage(self) -> None:
        try:
            self.usage = build_usage(self.env, self.settings.crs, self.nodes.online, self.services)
        except UsageError as error:
            self.env.log("warning", f"fallback to 'basic' scheduler mode, init for '{self._mode}' failed - {error}")
            self.usage = BasicUsage(self.nodes.online, identity=self.env.release >= 9)
            for sid, service in self.services.items():
                self.usage.place(sid, service)

    def _update_rules(self, members: Mapping[str, bool]) -> None:
        self._groups = self.env.read_groups()
        grouped = {sid: resource["group"] for sid, resource in self.resources.items() if "group" in resource}
        config = self.env.read_rules() if self.env.release >= 9 else {}
        seen = (deepcopy(dict(config)), deepcopy(dict(self._groups)), grouped, sorted(members))
        if seen == self._rules_seen:
            return
        self._rules_seen = seen
        self.affinities, dropped = resolve(config, self._groups, self.resources, members)
        for name in sorted(dropped):
            for texts in dropped[name].values():
                for text in texts:
                    self.env.log("info", f"Drop rule '{name}', because {text}.")

    def _run_services(self) -> None:
        while True:
            changed = False
            for sid in sorted(self.services):
                if sid not in self.resources:  # its guest went away during this round
                    continue
                before = self.services[sid]["state"]
                service_states.step(self, sid)
                changed |= self.services[sid]["state"] != before
            if not self._fence() and not changed:
                break

    def _fence(self) -> bool:
        """Go on with every node that must be fenced; True if a service moved on by that."""
        fenced: dict[str, bool] = {}
        for sid in sorted(self.services):
            service = self.services[sid]
            if service["state"] == "fence":
                node = service["node"]
                if node not in fenced:
                    fenced[node] = self.nodes.fence(node)
        for node in sorted(self.nodes.states):
            if self.nodes.state(node) == "fence" and node not in fenced:
                self.env.log("notice", f"node '{node}' in fence state but no services to-fence! admin interference?!")
                self.nodes.fence(node)
        changed = False
        for sid in sorted(self.services):
            service = self.services[sid]
            if service["state"] == "fence" and fenced.get(service["node"]):
                self.change(sid, "recovery")
                changed = True
        return changed

    def _write(self) -> None:
        status: ManagerStatus = {
            "master_node": self.env.nodename,
            "timestamp": self.env.timestamp(),
            "node_status": dict(self.nodes.states),
            # what stands in an entry is replaced, never changed: one level of copies is enough
            "service_status": {sid: {**service} for sid, service in self.services.items()},
        }
        if self.node_request:
            status["node_request"] = deepcopy(self.node_request)
        if self.disarm is not None:
            status["disarm"] = dict(self.disarm)
        self.env.write_manager_status(status)

    # -- what the decisions are made of -----------------------------------------------------------------------------
    def change(self, sid: str, state: str, **parameters: Any) -> None:
        """Put a service into a new state under a new uid; what belonged to the old state is forgotten."""
        old = self.services[sid]["state"]
        self.replace(sid, state, **parameters)
        shown = ", ".join(f"{key} = {parameters[key]}" for key in PARAMETERS if key in parameters)
        self.env.log(
            "info",
            f"service '{sid}': state changed from '{old}' to '{state}'" + (f"  ({shown})" if shown else ""),
        )

    def replace(self, sid: str, state: str, **parameters: Any) -> None:
        """The same without a word in the log."""
        old = self.services[sid]
        new: ServiceStatus = {"state": state, "node": old["node"], "uid": self.new_uid(state)}
        if "failed_nodes" in old:
            new["failed_nodes"] = old["failed_nodes"]
        if "maintenance_node" in old:
            new["maintenance_node"] = old["maintenance_node"]
        for key in PARAMETERS:
            if key in parameters:
                new[key] = parameters[key]  # type: ignore[literal-required]
        self.services[sid] = new
        self.usage.place(sid, new)

    def new_uid(self, state: str) -> str:
        """Name of one decision: 22 characters, never used before."""
        self._decisions += 1
        seed = f"{self.env.nodename} {self.env.timestamp()} {self._decisions} {state}"
        return base64.b64encode(hashlib.md5(seed.encode(), usedforsecurity=False).digest()).decode().rstrip("=")

    def select(self, sid: str, preference: Preference) -> str | None:
        resource = self.resources[sid]
        failback = bool(resource.get("failback", True)) and not forbids_failback(self._groups, resource)
        return select_node(
            sid,
            self.services,
            self.affinities,
            self.usage,
            self.nodes.online,
            failback=failback,
            preference=preference,
        )
