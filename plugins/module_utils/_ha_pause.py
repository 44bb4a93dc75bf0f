# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""High availability set aside while the cluster's network is changed, so that no node fences itself.

From Proxmox VE 9.1 on HA is disarmed; before, the local resource managers are stopped, then the cluster's (facts §7.7).
A file in /etc/pve says that it was us: a run that was cut off leaves it to the next one, which puts HA back. What
somebody else has disarmed stays so. Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ._api import Api
from ._errors import QuorateError
from ._hosts import Hosts
from ._parallel import all_or_error
from ._plan import UPDATE, Change, simple_change
from ._wait import PASSING, wait_until

MARK = "/etc/pve/quorate-ha-paused"
LOCAL, CLUSTER = "pve-ha-lrm", "pve-ha-crm"
ARMED, STANDBY, DISARMING, DISARMED = "armed", "standby", "disarming", "disarmed"
DEAD = "old timestamp"


@dataclass(frozen=True)
class Ha:
    """What GET /cluster/ha/status/current says (facts §7.2): ``armed`` is None before Proxmox VE 9.1."""

    armed: str | None
    in_use: bool
    dead: list[str] = field(default_factory=list)

    @property
    def may_be_paused(self) -> bool:
        """Whether it looks as a run that was cut off would have left it."""
        return self.armed in (DISARMING, DISARMED) if self.armed is not None else bool(self.in_use and self.dead)


def read_ha(api: Api) -> Ha:
    """Ask the HA manager."""
    armed, in_use, dead = None, False, []
    for entry in api.client.get("/cluster/ha/status/current"):
        kind, status = str(entry["type"]), str(entry.get("status") or "")
        if kind == "fencing":
            armed = str(entry["armed-state"])
        elif kind in ("master", "service"):
            in_use = True
        elif kind == "lrm" and DEAD in status:
            dead.append(str(entry["node"]))
    return Ha(armed, in_use, dead)


class HaPause:
    """HA of one cluster. ``editor``: the member over which files of /etc/pve are read and written."""

    def __init__(self, api: Api, hosts: Hosts, editor: str, timeout: float) -> None:
        self.api = api
        self.hosts = hosts
        self.editor = editor
        self.timeout = timeout

    def forgotten(self) -> bool:
        """Whether an earlier run set HA aside and never put it back."""
        return read_ha(self.api).may_be_paused and self._marked()

    def describe(self) -> Change:
        """Putting back what an earlier run left, as a change of the plan."""
        return simple_change(UPDATE, "HA", "of the cluster", {"state": ARMED}, {"state": DISARMED})

    def set_aside(self) -> bool:
        """Set HA aside until :meth:`put_back`, in this run or another; False if it is not ours to do."""
        ours = self._claim()
        if ours:
            self._set_aside()
        return ours

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Set HA aside, and put it back whatever happens in between."""
        ours = self._claim()
        try:
            if ours:
                self._set_aside()
            yield
        except QuorateError as error:
            if ours:
                self._put_back_after(error)
            raise
        except BaseException:
            # the user's break-off counts, not what else might go wrong
            if ours:
                self.put_back()
            raise
        if ours:
            self.put_back()

    def _put_back_after(self, error: QuorateError) -> None:
        try:
            self.put_back()
        except QuorateError as second:
            error.message = f"{error.message.rstrip('.')}. HA is still set aside: {second}. Run again to put it back"

    def _claim(self) -> bool:
        """Whether HA is ours to be set aside, and put back afterwards; from then on the file says so."""
        ha = read_ha(self.api)
        if ha.may_be_paused and self._marked():
            return True
        if ha.armed in (DISARMING, DISARMED):
            self.api.warn("HA was disarmed by somebody else and stays so")
            return False
        if ha.armed == STANDBY or not ha.in_use:
            return False
        self.hosts.do(self.editor, lambda shell: shell.write(MARK, "set aside while the links are changed\n"))
        return True

    def _set_aside(self) -> None:
        ha = read_ha(self.api)
        if ha.armed is None:
            for service in (LOCAL, CLUSTER):
                self._everywhere("stop", service)
            return
        if ha.armed not in (DISARMING, DISARMED):
            self.api.client.post("/cluster/ha/status/disarm-ha", {"resource-mode": "freeze"})
        self._wait_for("HA's being disarmed", (DISARMED,))

    def put_back(self) -> None:
        """Arm it again, or start the managers, and wait until that is seen."""
        if read_ha(self.api).armed is not None:
            # commands are queued: one that disarms may not have been looked at yet
            self.api.client.post("/cluster/ha/status/arm-ha")
            self._wait_for("HA's being armed again", (ARMED, STANDBY))
        else:
            for service in (CLUSTER, LOCAL):
                self._everywhere("start", service)
        self.hosts.do(self.editor, lambda shell: shell.remove(MARK))

    def _everywhere(self, verb: str, service: str) -> None:
        all_or_error(self.hosts.on_all(lambda shell: shell.run(["systemctl", verb, service])).values())

    def _marked(self) -> bool:
        return self.hosts.do(self.editor, lambda shell: shell.read(MARK)) is not None

    def _wait_for(self, what: str, states: tuple[str, ...]) -> None:
        seen: list[Any] = []

        def look() -> bool | None:
            seen[:] = [read_ha(self.api).armed]
            return True if seen[0] in states else None

        wait_until(
            look,
            timeout=self.timeout,
            what=what,
            clock=self.api.client.clock,
            passing=PASSING,
            describe=lambda: f"it is {seen[0]}" if seen else "",
            hint="It waits for services that are being moved or recovered (ha-manager status).",
        )
