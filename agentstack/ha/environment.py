# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world as the HA agents of one node see it.

The engine does no I/O.  One object that fulfils :class:`Environment` is handed to the CRM and the LRM of a node; the
simulator implements it over plain dictionaries and a virtual clock, the agents over the replicated files and locks.
docs/ha-engine.md says when each method is called and what may be cached between calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict

from agentstack._shared.ha_types import Load, ServiceStatus

LogLevel = Literal["info", "notice", "warning", "err"]

MANAGER_LOCK = "ha_manager_lock"


def agent_lock(node: str) -> str:
    """Name of the lock below /etc/pve/priv/lock that the LRM of ``node`` holds while it may run guests."""
    return f"ha_agent_{node}_lock"


class ClusterFilesError(Exception):
    """The cluster file system cannot be read or written now; the text is the reason."""


class ManagerStatus(TypedDict, total=False):
    """/etc/pve/ha/manager_status, written as JSON."""

    master_node: str
    timestamp: int
    node_status: dict[str, str]
    service_status: dict[str, ServiceStatus]
    node_request: dict[str, dict[str, int]]
    disarm: dict[str, str]


class JobResult(TypedDict):
    """Outcome of one job in the LRM status, stored under the uid of the manager's decision."""

    sid: str
    state: str
    exit_code: int


class LrmStatus(TypedDict, total=False):
    """/etc/pve/nodes/NODE/lrm_status, written as JSON."""

    state: str
    mode: str
    timestamp: int
    results: dict[str, JobResult]


class ResourceConfig(TypedDict, total=False):
    """One resource of resources.cfg with defaults filled in, plus ``node``: where the guest's configuration lies."""

    type: str
    node: str
    state: str
    failback: bool
    max_restart: int
    max_relocate: int
    group: str
    auto_rebalance: bool


@dataclass(frozen=True, slots=True)
class CrsSettings:
    """The ``crs`` property of datacenter.cfg.  ``threshold`` and ``margin`` are fractions."""

    mode: str = "basic"
    rebalance_on_start: bool = False
    auto_rebalance: bool = False
    threshold: float = 0.3
    method: str = "bruteforce"
    hold_duration: int = 3
    margin: float = 0.1


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What HA reads from datacenter.cfg."""

    shutdown_policy: str = "conditional"
    crs: CrsSettings = field(default_factory=CrsSettings)
    max_workers: int = 4


@dataclass(frozen=True, slots=True)
class Job:
    """What the LRM wants done with one guest; ``state`` is the service state that asks for it.

    ``target`` is set for the moves, ``timeout`` (seconds, 0 = hard) for a stop with time-out.
    """

    sid: str
    uid: str
    state: str
    target: str | None = None
    timeout: int | None = None


class Environment(Protocol):
    """Everything the engine asks of, or tells to, the node it runs on."""

    @property
    def nodename(self) -> str: ...

    @property
    def release(self) -> int:
        """8 (groups) or 9 (rules)."""

    # -- time, log ------------------------------------------------------------------------------------------------
    def time(self) -> int:
        """Seconds that only go forward: delays are measured with it."""

    def timestamp(self) -> int:
        """Seconds since the epoch, for the ``timestamp`` of the status files."""

    def log(self, level: LogLevel, message: str) -> None: ...

    def notify(self, subject: str, body: str) -> None:
        """Send a notification of type ``fencing``."""

    # -- membership -----------------------------------------------------------------------------------------------
    def members(self) -> Mapping[str, bool]:
        """All nodes of the cluster and whether they are online in this node's quorate partition."""

    def quorate(self) -> bool: ...

    def refresh(self) -> bool:
        """Bring the view of the cluster files up to date; False: not consistent now, the round is skipped."""

    # -- locks and watchdog ---------------------------------------------------------------------------------------
    def acquire_lock(self, name: str) -> bool:
        """Take or renew a cluster lock (life 120 s) without waiting; log ``got lock 'NAME'`` when it was not ours."""

    def release_lock(self, name: str) -> None: ...

    def watchdog_open(self) -> str:
        """A new connection to the watchdog (60 s); its handle."""

    def watchdog_update(self, handle: str) -> None: ...

    def watchdog_close(self, handle: str) -> None: ...

    # -- cluster files (all may raise ClusterFilesError; what is returned must not be changed) ---------------------
    def read_manager_status(self) -> ManagerStatus: ...

    def write_manager_status(self, status: ManagerStatus) -> None: ...

    def read_lrm_status(self, node: str) -> LrmStatus: ...

    def write_lrm_status(self, status: LrmStatus) -> None:
        """Write this node's own LRM status."""

    def pending_crm_commands(self) -> bool: ...

    def take_crm_commands(self) -> Sequence[str]:
        """Empty the queue of CRM commands; one command a line."""

    def queue_crm_command(self, command: str) -> None: ...

    def read_resources(self) -> Mapping[str, ResourceConfig]: ...

    def read_rules(self) -> Mapping[str, Mapping[str, object]]:
        """rules.cfg: rule id -> properties with ``type``, in file order (facts §7.1); empty in release 8."""

    def read_groups(self) -> Mapping[str, Mapping[str, object]]:
        """groups.cfg: group id -> properties; empty after the migration to rules."""

    def read_settings(self) -> ClusterSettings: ...

    # -- guests, versions, usage ----------------------------------------------------------------------------------
    def steal_service(self, sid: str, node: str, target: str) -> str | None:
        """Move the guest's configuration from a fenced node (the target itself, sometimes) and remove a left-over guest
        lock (facts §7.5); the lock's name, if there was one.
        """

    def node_version(self, node: str) -> str | None:
        """pve-manager version of a node, None when it is not known."""

    def static_node_stats(self) -> Mapping[str, Load]:
        """Capacity of each node (maxcpu, maxmem)."""

    def dynamic_node_stats(self) -> Mapping[str, Load]:
        """Measured usage (cpu, mem) and capacity of each node."""

    def static_service_stats(self) -> Mapping[str, Load]:
        """Configured limits of each HA resource (maxcpu, maxmem)."""

    def dynamic_service_stats(self) -> Mapping[str, Load]:
        """Measured usage and limits of each HA resource; no usage for one that does not run."""

    def running_guests(self) -> Mapping[str, str]:
        """Guests that run, HA resources or not: service id (``vm:100``) -> node."""

    # -- migration of groups to rules -----------------------------------------------------------------------------
    def write_rules(self, rules: Mapping[str, Mapping[str, object]]) -> None: ...

    def write_resource_options(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        """Per sid the options to set; the value None deletes the option."""

    def delete_groups(self) -> None: ...

    # -- the local node -------------------------------------------------------------------------------------------
    def node_shutdown(self) -> tuple[bool, bool]:
        """(the node is going down, it will come up again)."""

    def lrm_announced(self) -> bool:
        """Whether an LRM status has been written since the node came up."""

    def run_job(self, job: Job) -> int | None:
        """Start, or ask after, a job; its exit code once it has ended, None while it runs.

        The engine calls it again with the same job (same sid and uid) in later rounds until a code is returned.
        """
