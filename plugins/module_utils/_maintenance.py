# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node maintenance of the HA manager: a command over SSH, and waiting for what comes of it (facts §7.7).

Private to this collection.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ._api import Api, Result
from ._ceph import HERE, absent, osds_of
from ._errors import ApiError, ApplyError, QuorateError, ShellError, StateError
from ._guest_migration import Move
from ._ha import CALM_ROUNDS, read_status
from ._login_rights import ALL_GUESTS, require
from ._maintenance_guests import Deed, Others
from ._plan import UPDATE, Change, simple_change
from ._shell import Login, Shell
from ._wait import wait_until

MANAGER_STATUS = "/cluster/ha/status/manager_status"

# Service states of what runs, or is on its way; the others stay where they are
ALIVE = frozenset({"request_start", "request_start_balance", "started", "migrate", "relocate", "freeze"})

ON_THE_WAY = frozenset({"migrate", "relocate"})

NOOUT = "noout"

PUT_BACK, STAY = "put_back", "stay"
ON_FAILURE = (PUT_BACK, STAY)


@dataclass(frozen=True)
class Seen:
    """What the manager says of one node: whether maintenance was asked for, its state, and what is in the way.

    ``here``: what is on it, ``leaving``: what of that is about to go, ``coming``: what is on its way there; ``away``:
    where that is now which was moved away from it.
    """

    asked_for: bool
    state: str
    here: tuple[str, ...]
    away: Mapping[str, str]
    leaving: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    moving: bool = False
    round: int = 0

    def unfinished(self, enabled: bool) -> list[str]:
        """What has not come about yet, in words."""
        texts = []
        if self.asked_for != enabled:
            texts.append("the manager has not taken up the request")
        if (self.state == "maintenance") != enabled:
            texts.append(f"the node's state is {self.state}")
        rest = self.here if enabled else (*self.leaving, *self.coming, *self.away)
        return texts + [f"{sid} is {'still here' if enabled else 'not back yet'}" for sid in rest]


def look(api: Api, node: str) -> Seen:
    """Ask the manager."""
    status = api.client.get(MANAGER_STATUS).get("manager_status") or {}
    services = {
        sid: each for sid, each in sorted((status.get("service_status") or {}).items()) if each.get("state") in ALIVE
    }
    on_the_way = {sid: each for sid, each in services.items() if each["state"] in ON_THE_WAY}
    return Seen(
        bool(int(((status.get("node_request") or {}).get(node) or {}).get("maintenance") or 0)),
        str((status.get("node_status") or {}).get(node) or "unknown"),
        tuple(sid for sid, each in services.items() if node == each.get("node")),
        {sid: str(each["node"]) for sid, each in services.items() if node == each.get("maintenance_node")},
        tuple(sid for sid, each in on_the_way.items() if node == each.get("node")),
        # with its order to return the manager forgets where a service came from
        tuple(sid for sid, each in on_the_way.items() if node == each.get("target")),
        any(each.get("state") != "started" for each in services.values()),
        int(status.get("timestamp") or 0),
    )


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        node, enabled = str(params["node"]), params["state"] == "enabled"
        api.check_reference("node", node, "node")
        if node not in api.nodes:
            return api.result([], state="unknown", guests_left=[])
        run = _Maintenance(api, params)
        return run.begin() if enabled else run.end()


class _Maintenance:
    """One node: what HA looks after, what it does not, and the node's OSDs."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api, self.params = api, params
        self.node = str(params["node"])
        self.others = Others(api, params, self.node)
        self.done: list[Change] = []
        self.told = False
        """Whether the manager was asked by this run."""

    def begin(self) -> Result:
        """Empty the node: Ceph is told first, so that nothing is copied when the node goes."""
        api, node = self.api, self.node
        flag = self._flag(True)
        seen = look(api, node)
        stops = self.others.plan_stops(seen.here)
        changes = [*flag, *(deed.describe(node, back=False) for deed in stops), *self._request(seen, True)]
        off = {deed.sid for deed in stops}
        self._check_releases(() if seen.asked_for else [sid for sid in seen.here if sid not in off])
        deeds = self.others.plan_away() if api.online(node) else []
        changes += [deed.describe(node, back=False) for deed in deeds]
        if not api.check_mode:
            if not seen.asked_for:
                _check(api, node)
            require(api, [ALL_GUESTS, *(deed.right for deed in (*stops, *deeds))])
            api.approve(changes)
            mine = not (seen.asked_for or self.others.note.begun)
            try:
                now = self._do(changes, lambda: self._begin(seen, flag, stops, deeds))
            except QuorateError as error:
                self._put_back(error, flag if mine and self.params["on_failure"] == PUT_BACK else None)
                raise
            return api.result(changes, state=now.state, guests_left=self._left())
        return api.result(changes, state=seen.state, guests_left=self._left())

    def _check_releases(self, sids: Sequence[str]) -> None:
        """The manager knows nothing of releases: while there are older nodes, nothing may leave this one."""
        releases = self.others.releases
        older = releases.older_than(self.node) if sids else []
        if older:
            there = ", ".join(f"{name} ({releases.versions[name]})" for name in older)
            raise StateError(
                f"{', '.join(sids)} would leave {self.node} ({releases.versions[self.node]}) and may come to {there}:"
                " a guest that runs never goes to an older release",
                where="node",
                hint="Upgrade the others first (playbooks/upgrade.yml).",
            )

    def _begin(self, seen: Seen, flag: list[Change], stops: list[Deed], deeds: list[Deed]) -> Seen:
        self.others.note.begin()
        if flag:
            self._set_flag(True)
            self.done += flag
        self._send_away(stops)
        if not seen.asked_for:
            _tell(self.params, self.node, True)
            self.told = True
            self.done += self._request(seen, True)
        self._send_away(deeds)
        return _wait(self.api, self.params, self.node, True) if self.params["wait"] else seen

    def _send_away(self, deeds: list[Deed]) -> None:
        for deed in self.others.send_away(deeds):
            self.done.append(deed.describe(self.node, back=False))

    def _put_back(self, error: QuorateError, flag: list[Change] | None) -> None:
        """Undo what this run did before it failed with ``error``, whose hint says how that went.

        ``flag``: the change of Ceph's flag as it was planned; None leaves everything as it is.
        """
        stays = f"{self.node} stays in maintenance as far as it came: run again to go on, or end it to bring all back."
        if flag is None:
            error.hint = f"{error.hint} {stays}".strip()
            return
        try:
            self.api.forget_guests()
            seen = look(self.api, self.node)
            request = self._request(replace(seen, asked_for=self.told or seen.asked_for), False)
            self._check_way_back(seen, request)
            self._return(seen, request, self.others.plan_back(), flag, hasty=self.told)
        except QuorateError as second:
            error.hint = f"{error.hint} Not everything could be put back ({second}). {stays}".strip()
        else:
            error.hint = f"{error.hint} What was done was put back.".strip()

    def end(self) -> Result:
        """Put everything back; Ceph is told last, when the node's OSDs are there again."""
        api, node = self.api, self.node
        flag = self._flag(False)
        seen = look(api, node)
        request = self._request(seen, False)
        self._check_way_back(seen, request)
        deeds = self.others.plan_back()
        changes = [*request, *(deed.describe(node, back=True) for deed in deeds), *flag]
        if not api.check_mode:
            noted = [ALL_GUESTS] if self.others.note.deeds else []
            require(api, [*noted, *(deed.right for deed in deeds)])
        api.approve(changes)
        if not api.check_mode:
            seen = self._do(changes, lambda: self._return(seen, request, deeds, flag))
        return api.result(changes, state=seen.state, guests_left=[])

    def _check_way_back(self, seen: Seen, request: Sequence[Change]) -> None:
        for place in sorted(set(seen.away.values())) if request else ():
            away = [sid for sid, there in seen.away.items() if there == place]
            self.others.releases.refuse_back(away, place, self.node)

    def _return(
        self,
        seen: Seen,
        request: Sequence[Change],
        deeds: list[Deed],
        flag: Sequence[Change],
        *,
        hasty: bool = False,
    ) -> Seen:
        """Bring everything back; the changes as planned. ``hasty``: the manager may not know of the maintenance yet."""
        api, node = self.api, self.node
        if request:
            _tell(self.params, node, False)
            self.done += request
        if self.params["wait"]:
            seen = _wait(api, self.params, node, False, hasty=hasty)
            api.forget_guests()
            if self.params["recall"]:
                self._recall(seen)
                seen = look(api, node)
            if seen.away:
                api.warn(f"{', '.join(seen.away)} did not return to {node}: rules or room keep them where they are")
        for deed in self.others.bring_back(deeds):
            self.done.append(deed.describe(node, back=True))
        if flag:
            self._set_flag(False)
        self.others.note.end()
        return seen

    def _recall(self, seen: Seen) -> None:
        """Ask the manager for those that only stay away because failback is off (facts §7.7)."""
        for sid in seen.away:
            wanted = {"guest": int(sid.partition(":")[2]), "target": self.node, "relocate": False}
            more = {"with_local_disks": True, "target_storage": None, "timeout": self.params["timeout"]}
            try:
                Move(self.api, {**wanted, **more}, approved=True).go()
            except StateError as error:
                self.api.warn(f"{sid} cannot return to {self.node}: {error}")

    def _request(self, seen: Seen, enabled: bool) -> list[Change]:
        if seen.asked_for == enabled:
            return []
        wanted, present = {"enabled": enabled}, {"enabled": not enabled}
        return [simple_change(UPDATE, "maintenance", f"of {self.node}", wanted, present)]

    def _do(self, changes: list[Change], work: Callable[[], Seen]) -> Seen:
        """What was done before a failure is told with it."""
        try:
            return work()
        except QuorateError as error:
            done = [change.describe() for change in self.done]
            not_done = [told for change in changes if (told := change.describe()) not in done]
            raise ApplyError([error], done, not_done) from error

    # Ceph

    def _flag(self, wanted: bool) -> list[Change]:
        """The change of the flag that keeps Ceph from copying what this node's OSDs hold; none without OSDs here."""
        if not self.params["ceph_noout"]:
            return []
        try:
            tree = self.api.client.get(f"{HERE}/osd")
        except ApiError as error:
            if absent(error):
                return []
            raise
        if not list(osds_of(tree.get("root") or {}, self.node)):
            return []
        dump = json.loads(_on_any(self.params, ["ceph", "osd", "dump", "--format", "json"]))
        has = NOOUT in (dump.get("crush_node_flags") or {}).get(self.node, ())
        if has == wanted:
            return []
        return [simple_change(UPDATE, "flag", f"noout of {self.node}", {"set": wanted}, {"set": has})]

    def _set_flag(self, wanted: bool) -> None:
        _on_any(self.params, ["ceph", "osd", "set-group" if wanted else "unset-group", NOOUT, self.node])

    def _left(self) -> list[int]:
        """Running guests that neither the manager nor this run moves: they stay."""
        if self.api.check_mode and not self.api.online(self.node):
            return []
        left = [vmid for vmid in self.others.running() if not self.api.check_mode or self.others.stays(vmid)]
        if left:
            self.api.warn(f"{', '.join(map(str, left))} run on {self.node} and are not under HA: they stay there")
        return left


def _check(api: Api, node: str) -> None:
    if not api.online(node):
        raise StateError(
            f"{node} is offline: the manager takes only nodes that are online into maintenance", where="node"
        )
    armed = read_status(api.client).fencing
    if armed in ("disarming", "disarmed"):
        raise StateError(
            f"HA is {armed}, and the manager ignores maintenance while it is",
            where="node",
            hint="Arm it again first (ha-manager crm-command arm-ha).",
        )


def _tell(params: Mapping[str, Any], node: str, enabled: bool) -> None:
    """There is no HTTP path for it."""
    _on_any(params, ["ha-manager", "crm-command", "node-maintenance", "enable" if enabled else "disable", node])


def _on_any(params: Mapping[str, Any], words: list[str]) -> str:
    """Run a command on the first host that can be reached; what it printed."""
    login = Login.from_params(params)
    hosts = [(each["address"], each.get("host_key")) for each in params["nodes"]]
    hosts = hosts or [(address, None) for address in params["api_hosts"]]
    errors: list[QuorateError] = []
    for address, key in hosts:
        try:
            with Shell(address, login, key) as shell:
                return shell.run(words)
        except ShellError as error:
            errors.append(error)
    raise errors[0]


def _wait(api: Api, params: Mapping[str, Any], node: str, enabled: bool, *, hasty: bool = False) -> Seen:
    seen = look(api, node)
    calm: set[int] = set()

    def probe() -> Seen | None:
        nonlocal seen
        seen = look(api, node)
        if seen.asked_for or seen.moving or seen.state == "maintenance":
            calm.clear()
        calm.add(seen.round)
        # rules may keep what was moved away where it is now: then the manager makes its rounds and moves nothing
        settled = not enabled and len(calm) > CALM_ROUNDS
        return None if (hasty or seen.unfinished(enabled)) and not settled else seen

    seen = wait_until(
        probe,
        timeout=float(params["timeout"]),
        what=f"maintenance of {node} being {params['state']}",
        clock=api.client.clock,
        describe=lambda: "; ".join(seen.unfinished(enabled)[:5]),
        hint="A strict rule, or too little room, may keep resources where they are." if enabled else "",
    )
    return seen
