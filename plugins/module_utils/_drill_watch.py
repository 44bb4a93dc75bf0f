# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a cluster during a drill: samples, what changed between them, and the times that follow. Private.

All seconds are those of the cluster: real ones times ``scale``, which is 1 on real hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from ._client import Client
from ._errors import QuorateError
from ._parallel import side_by_side
from ._probe import Felt, Probe, feel
from ._wait import Clock

API, MANAGER, NODE, SERVICE, GUEST, STEP = "api", "manager", "node", "service", "guest", "drill"
LINK, STORAGE, CEPH, WITNESS = "link", "storage", "ceph", "witness"
USUAL = {LINK: "connected", STORAGE: "available", CEPH: "HEALTH_OK", WITNESS: "connected"}
"""What need not be told as long as it is so."""

Note = tuple[str, str, str]
"""Kind, name and state of something that was looked at."""
Eye = Callable[[], Sequence[Note]]
"""Looks at something beside nodes, services and guests. Raises :class:`QuorateError`."""


@dataclass(frozen=True)
class Event:
    """Something changed: seconds since the fault, what (``node``, ``service`` …), which one, into what."""

    second: float
    kind: str
    name: str
    state: str

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        return {"second": round(self.second, 1), "kind": self.kind, "name": self.name, "state": self.state}

    def __str__(self) -> str:
        return f"{self.second:8.1f} s  {self.kind:<8} {self.name:<12} {self.state}"


@dataclass
class Gap:
    """When a guest was gone; ``until`` None: still is."""

    vmid: int
    since: float
    until: float | None = None


@dataclass
class Watch:
    """Samples of one drill. ``client`` asks those hosts that the fault leaves alone."""

    client: Client
    probes: Sequence[Probe]
    scale: float
    clock: Clock
    probe_timeout: float
    record_age: float
    eyes: Sequence[Eye] = ()
    begun: float = 0.0
    events: list[Event] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    samples: int = 0
    _state: dict[tuple[str, str], str] = field(default_factory=dict)
    _signs: dict[int, float] = field(default_factory=dict)

    def start(self, moment: float | None = None) -> None:
        """From now (or a moment of the clock) on seconds count: the fault came then. What was before lies before it."""
        now = self.clock.monotonic() if moment is None else moment
        past = (now - self.begun) * self.scale
        self.events = [replace(event, second=event.second - past) for event in self.events]
        for gap in self.gaps:
            gap.since, gap.until = gap.since - past, None if gap.until is None else gap.until - past
        self.begun = now

    def last_sign(self, vmids: Collection[int]) -> float | None:
        """The moment of the clock at which any of some guests last wrote to its file; None if none has one."""
        return max((self._signs[vmid] for vmid in vmids if vmid in self._signs), default=None)

    @property
    def second(self) -> float:
        """Seconds since the fault."""
        return (self.clock.monotonic() - self.begun) * self.scale

    def step(self, text: str, second: float | None = None) -> None:
        """Something that the drill itself did, now or then."""
        self.events.append(Event(self.second if second is None else second, STEP, "", text))

    def in_order(self) -> list[Event]:
        """All events by their time; some are only noticed later."""
        return sorted(self.events, key=lambda event: event.second)

    def sample(self) -> None:
        """Look once, then wait for what is left of a second of the cluster."""
        before = self.clock.monotonic()
        status, felt, *seen = side_by_side(lambda ask: ask(), (self._read_status, self._read_guests, *self.eyes))
        second = self.second
        self.samples += 1
        answered = not isinstance(status, QuorateError)
        self._note(second, API, "", "answers" if answered else "does not answer")
        if isinstance(status, Mapping):
            self._note(second, MANAGER, "", str(status.get("master_node") or ""))
            for node, state in sorted((status.get("node_status") or {}).items()):
                self._note(second, NODE, node, str(state))
            for sid, service in sorted((status.get("service_status") or {}).items()):
                self._note(second, SERVICE, sid, f"{service.get('state')} on {service.get('node')}")
        for notes in seen:
            if not isinstance(notes, QuorateError):
                for kind, name, state in notes:
                    self._note(second, kind, name, state)
        if isinstance(felt, list):
            for each in felt:
                self._felt(second, each)
        self.clock.sleep(max(0.0, before + 1 / self.scale - self.clock.monotonic()))

    def state(self, kind: str, name: str = "") -> str:
        """What was seen last."""
        return self._state.get((kind, name), "")

    def before(self, kind: str, name: str = "") -> str:
        """What was seen last before the fault."""
        return next((e.state for e in reversed(self.events) if (e.kind, e.name) == (kind, name) and e.second <= 0), "")

    def services(self) -> dict[str, tuple[str, str]]:
        """By name, (state, node)."""
        found = {name: state.partition(" on ") for (kind, name), state in self._state.items() if kind == SERVICE}
        return {name: (state, node) for name, (state, _on, node) in found.items()}

    def gone(self) -> list[int]:
        """Guests that are gone now."""
        return [gap.vmid for gap in self.gaps if gap.until is None]

    def away(self, nodes: Collection[str]) -> list[str]:
        """Those of the nodes that the manager does not have as online now."""
        return [node for node in nodes if self.state(NODE, node) != "online"]

    def returned(self, nodes: Collection[str], mended: float) -> dict[str, float]:
        """Those of the nodes that were online again before anything was put back, and were never fenced: since when."""
        found: dict[str, float] = {}
        for event in self.changes(NODE):
            if event.name in nodes and event.second < mended and event.state == "online":
                found.setdefault(event.name, event.second)
        fenced = {event.name for event in self.changes(NODE) if event.state == "fence"}
        return {node: second for node, second in found.items() if node not in fenced}

    def changes(self, *kinds: str) -> list[Event]:
        """What of some kinds changed after the fault."""
        return [event for event in self.events if event.second > 0 and event.kind in kinds]

    def _read_status(self) -> Any:
        found = self.client.get("/cluster/ha/status/manager_status") or {}
        return found.get("manager_status") or {}

    def _read_guests(self) -> Any:
        return feel(self.client, self.probes, self.probe_timeout, self.record_age) if self.probes else []

    def _note(self, second: float, kind: str, name: str, state: str) -> bool:
        before = self._state.get((kind, name), USUAL.get(kind))
        self._state[kind, name] = state
        if before == state:
            return False
        self.events.append(Event(second, kind, name, state))
        return True

    def _felt(self, second: float, felt: Felt) -> None:
        vmid = felt.vmid
        if felt.quiet is not None:
            self._signs[vmid] = self.clock.monotonic() - felt.quiet
        if felt.alive:
            if self._note(second, GUEST, str(vmid), "there"):
                for gap in self.gaps:
                    if gap.vmid == vmid and gap.until is None:
                        gap.until = second
        elif self.state(GUEST, str(vmid)) != "gone":
            # what has a file has been gone since it wrote last, however late that is noticed
            quiet = 0.0 if felt.quiet is None else felt.quiet * self.scale
            since = max(second - quiet, min(0.0, second))
            self._note(since, GUEST, str(vmid), "gone")
            self.gaps.append(Gap(vmid, since))


@dataclass(frozen=True)
class Times:
    """Seconds since the fault; None: it did not happen."""

    detection: float | None = None
    fence: float | None = None
    recovery: float | None = None
    service: float | None = None

    def describe(self) -> dict[str, float | None]:
        """As plain data."""
        return {
            name: None if value is None else round(value, 1)
            for name, value in (
                ("detection", self.detection),
                ("fence", self.fence),
                ("recovery", self.recovery),
                ("service", self.service),
            )
        }


def times(watch: Watch, lost: Collection[str], affected: Collection[str], mended: float = inf) -> Times:
    """What the samples say. ``lost``: nodes that went away; ``affected``: the services that have to start elsewhere.

    ``mended``: the second in which everything was put back; what is gone for a moment after that is on its way home.
    """
    vmids = {sid.partition(":")[2] for sid in affected}
    gaps = [gap for gap in watch.gaps if (str(gap.vmid) in vmids or not affected) and gap.since < mended]
    back = [gap.until for gap in gaps if gap.until is not None]
    recovered = [_recovered(watch, sid, lost) for sid in affected]
    whole = [second for second in recovered if second is not None]
    recovery = max(whole, default=None) if len(whole) == len(recovered) else None
    # who was never seen gone was there by the time it had started
    service = max(back, default=recovery) if len(back) == len(gaps) else None
    nodes = [event for event in watch.changes(NODE) if not lost or event.name in lost]
    others = [] if lost else watch.changes(LINK, STORAGE, CEPH, WITNESS)
    noticed = [event for event in nodes if event.state in ("unknown", "fence")]
    noticed += [event for event in others if event.state != USUAL[event.kind]]
    return Times(
        min((event.second for event in noticed), default=None),
        min((event.second for event in nodes if event.state == "fence"), default=None),
        recovery,
        service,
    )


def _recovered(watch: Watch, sid: str, lost: Collection[str]) -> float | None:
    """When the manager first had it started on another node."""
    for event in watch.changes(SERVICE):
        if event.name == sid:
            state, _on, node = event.state.partition(" on ")
            if state == "started" and node not in lost:
                return event.second
    return None
