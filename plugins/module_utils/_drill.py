# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover drill: look, break, watch, put back, wait for rest, judge. Private to this collection."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import _run
from ._api import Api, Result
from ._client import Client, Connection
from ._drill_checks import Before, look_before
from ._drill_eyes import available, ceph_eye, link_eye, storage_eye, witness_eye
from ._drill_faults import LINK, Faults
from ._drill_guard import AbortError, guarded, terminable
from ._drill_judge import against_expectation, against_promises, data_of, misplaced
from ._drill_plan import Plan, plan
from ._drill_record import Outcome, record_of, write
from ._drill_watch import MANAGER, Eye, Watch, times
from ._errors import QuorateError, StateError
from ._guest_migration import Move
from ._ha import read_status
from ._login_rights import ALL_GUESTS, require
from ._membership import witness_votes
from ._plan import UPDATE, Change, simple_change
from ._probe import Probe
from ._replication_rows import replication_rows
from ._rest import in_words, look, wait_for_rest
from ._shell import Login

FLAPS, FLAP = 3, 20.0
"""How often a flapping node goes away, and for how many seconds: less than its watchdog bears."""
REST = ("nodes", "ha", "ceph")
ATTEMPTS = 3
"""How often it is tried to bring a guest back."""
REPLICATION = 30.0
"""Real seconds in which replication that is to run at once has run."""
EVERY = 5
"""Samples between two looks whether all is at rest."""


class CutOffError(StateError):
    """A drill that did not come to its end. ``result``: what the module returns beside the message."""

    def __init__(self, message: str, result: Result, hint: str) -> None:
        super().__init__(message, where="drill", hint=hint)
        self.result = result

    def facts(self) -> dict[str, Any]:
        return self.result


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module ``drill``."""
    with Api.open(params, check_mode) as api:
        faults = _faults(params)
        if params["restore"]:
            return _restore(api, faults, params)
        wanted = plan(params)
        for fault in wanted.faults:
            faults.check(fault, again=wanted.scenario == "flapping")
        faults.refuse_if_left()
        before = look_before(api, wanted, params)
        in_the_way = [each for each in before.conditions if not each.overridden]
        facts: dict[str, Any] = {
            "conditions": [each.describe() for each in before.conditions],
            "forecast": before.loss.describe() if before.loss else None,
        }
        change = simple_change(UPDATE, "drill", str(wanted), {"broken": True}, {"broken": False})
        if check_mode:
            return {**api.result([change] if not in_the_way else [], **facts), **_told(wanted, before, in_the_way)}
        if in_the_way:
            raise StateError(
                f"no drill now: {_reasons(in_the_way)}",
                where="drill",
                hint="Put that right, or override a check by its name (drill_override). Nothing was broken.",
            )
        if not params["confirm"]:
            raise StateError(
                f"the drill {wanted.scenario} breaks {', '.join(map(str, wanted.faults))}",
                where="drill_confirm",
                hint="Set drill_confirm: true if that is meant. Nothing was broken.",
            )
        require(api, _rights(wanted, before, params), "Nothing was broken.")
        api.approve([change])
        return _Drill(api, params, wanted, before, faults).go(change, facts)


def _rights(wanted: Plan, before: Before, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What it takes until all is back where it was."""
    yield ALL_GUESTS
    if wanted.expected.moves and params["recall"]:
        yield "/", "Sys.Console"
        for each in before.picture.tenants:
            if each.requested == "started" and (each.node in wanted.lost or not wanted.lost):
                yield f"/vms/{each.sid.partition(':')[2]}", "VM.Migrate"
    for row in before.replication:
        if not row["disabled"]:
            yield f"/vms/{row['guest']}", "VM.Replicate"


def _reasons(in_the_way: list[Any]) -> str:
    return "; ".join(f"{each.text} [{each.check}]" for each in in_the_way)


def _told(wanted: Plan, before: Before, in_the_way: list[Any]) -> Result:
    """What a drill would do, in words."""
    texts = [f"would break {', '.join(map(str, wanted.faults))}"]
    if before.loss is not None:
        texts.append(before.loss.text())
        texts += [f"stays away: {', '.join(before.loss.down)}"] if before.loss.down else []
    texts += [f"overridden: {each.text} [{each.check}]" for each in before.conditions if each.overridden]
    texts += [f"in the way: {each.text} [{each.check}]" for each in in_the_way]
    return {"ready": not in_the_way, "would": texts}


def _faults(params: Mapping[str, Any]) -> Faults:
    nodes = {str(each["node"]): each for each in params["nodes"]}
    return Faults(
        params["faults"],
        nodes,
        Login.from_params(params),
        Path(params["directory"]).expanduser() / f"running-{params['cluster']}.json",
        deadman=float(params["deadman"]),
        timeout=float(params["command_timeout"]),
        scale=float(params["scale"]),
    )


def _restore(api: Api, faults: Faults, params: Mapping[str, Any]) -> Result:
    left = faults.left()
    changes: list[Change] = []
    if left:
        named = ", ".join(map(str, left))
        changes = [simple_change(UPDATE, "drill", named, {"broken": False}, {"broken": True})]
        # who is still at it has the lock
        api.approve(changes)
    if left and not api.check_mode:
        if failed := faults.mend_all(left):
            raise StateError("; ".join(failed), where="drill")
        wait_for_rest(api, REST, float(params["timeout"]), tolerate=params["tolerate"])
    return {**api.result(changes), "restored": [str(fault) for fault in left]}


class _Drill:
    """One drill, from the fault on."""

    def __init__(self, api: Api, params: Mapping[str, Any], wanted: Plan, before: Before, faults: Faults) -> None:
        self.api, self.params, self.wanted, self.before, self.faults = api, params, wanted, before, faults
        self.scale = float(params["scale"])
        self.timeout = float(params["timeout"])
        self.clock = api.client.clock
        self.tenants = {each.sid: each for each in before.picture.tenants}
        self.promises = {name: float(params[f"promise_{name}"]) for name in ("recovery", "service")}
        self.usual = {(node, name) for node, name in available(api.client) if node not in wanted.touched}

    def go(self, change: Change, facts: Mapping[str, Any]) -> Result:
        """Break, watch, put back, judge."""
        affected = [
            sid
            for sid, each in self.tenants.items()
            if each.node in self.wanted.lost and each.requested == "started" and each.running
        ]
        outcome = Outcome(self._watch(affected), sorted(affected))
        watch = outcome.watch
        watch.start()
        watch.sample()
        # what was seen until now lies before the fault, also if it never comes to that
        watch.start()
        aborted, failed = "", []
        mend_all = self.faults.mend_all
        with terminable():
            self.faults.begin(self.wanted.faults)
            patience = float(self.params["command_timeout"])
            process = _run.current.process
            with guarded(lambda: mend_all(self.wanted.faults), process, patience) as keep:
                self.faults.keep = (keep,)
                try:
                    self._break(outcome)
                    self._hold(outcome)
                except (AbortError, QuorateError) as error:
                    aborted = str(error)
                finally:
                    failed = mend_all(self.wanted.faults)
                    outcome.mended = watch.second
                    watch.step("put back" if not failed else f"not put back: {'; '.join(failed)}")
        if failed or aborted:
            outcome.failures += [text for text in (aborted, *failed) if text]
            outcome.times = times(watch, self.wanted.lost, outcome.affected, outcome.mended)
            result = self._result(outcome, change, facts, aborted)
            hint = "Run again with -e drill_restore=true." if failed else "What was broken has been put back."
            raise CutOffError("; ".join(outcome.failures), result, hint)
        try:
            self._rest(outcome, REST)
            if self.params["recall"]:
                self._recall(outcome)
            if failing := self._failing():
                self._replicate(outcome, failing)
                self._rest(outcome, (*REST, "replication"))
            self._judge(outcome)
        except QuorateError as error:
            # what was measured is worth its record
            outcome.failures.append(str(error))
        return self._result(outcome, change, facts, "")

    def _watch(self, affected: list[str]) -> Watch:
        """Ask those that the fault leaves alone, and do not wait long for any of them."""
        connection = Connection.from_params(self.params)
        spared = [
            str(each["address"])
            for each in self.params["nodes"]
            if each["node"] not in self.wanted.touched and each["address"] in connection.hosts
        ]
        client = Client(replace(connection, hosts=tuple(spared) or connection.hosts, timeout=5))
        probes = [Probe.of(each) for each in self.params["guests"]]
        if not probes:
            affected = [sid for sid, each in self.tenants.items() if each.running and each.recovered]
        known = {probe.vmid for probe in probes}
        others = [vmid for sid in affected if (vmid := int(sid.partition(":")[2])) not in known]
        probes += [Probe(vmid) for vmid in others[: int(self.params["max_guests"])]]
        timeout, age = float(self.params["probe_timeout"]), float(self.params["record_age"])
        return Watch(client, probes, self.scale, self.clock, timeout, age, self._eyes(client))

    def _eyes(self, client: Client) -> list[Eye]:
        eyes = [storage_eye(client, self.usual)]
        eyes += [ceph_eye(client, self.params["tolerate"])] if self.before.ceph else []
        eyes += [witness_eye(client)] if self.before.witness else []
        links = [fault for fault in self.wanted.faults if fault.kind == LINK]
        return eyes + [link_eye(self.before.links, int(fault.what), fault.node) for fault in links]

    def _break(self, outcome: Outcome) -> None:
        """Break everything at once. Seconds begin when the command has ended, or with the last that a guest wrote."""
        watch = outcome.watch
        begin = self.clock.monotonic()
        self.faults.cause_all(self.wanted.faults)
        end = self.clock.monotonic()
        watch.sample()
        sign = watch.last_sign([int(sid.partition(":")[2]) for sid in outcome.affected])
        # starting a command can take long on a busy machine, and is no part of the outage
        watch.start(end if sign is None else min(max(begin, sign), end))
        outcome.started = time.time() - watch.second / self.scale
        for fault in self.wanted.faults:
            watch.step(f"broken: {fault}", 0.0)

    def _hold(self, outcome: Outcome) -> None:
        """Until what has to come of it has come, or for as long as was asked."""
        watch, hold, lost = outcome.watch, float(self.params["hold"]), self.wanted.lost
        limit = self.clock.monotonic() + self.timeout
        if self.wanted.scenario == "flapping":
            self._flap(outcome)
            return
        while self.clock.monotonic() < limit:
            watch.sample()
            if self.wanted.expected.failover and outcome.affected:
                found = times(watch, lost, outcome.affected)
                if found.recovery is not None and not watch.gone():
                    break
                # back by themselves, and nobody is missing: nothing will be started elsewhere any more
                if watch.second >= self.promises["service"] and not watch.gone() and not watch.away(lost):
                    break
            elif watch.second >= hold:
                break
        outcome.where = {sid: node for sid, (_state, node) in watch.services().items()}

    def _flap(self, outcome: Outcome) -> None:
        watch = outcome.watch
        (fault,) = self.wanted.faults
        for turn in range(FLAPS):
            if turn:
                self.faults.cause(fault)
                watch.step(f"broken: {fault}")
            self._watch_for(watch, FLAP)
            self.faults.mend(fault)
            watch.step(f"whole: {fault}")
            self._watch_for(watch, FLAP)

    def _watch_for(self, watch: Watch, seconds: float) -> None:
        end = watch.second + seconds
        while watch.second < end:
            watch.sample()

    def _rest(self, outcome: Outcome, areas: Collection[str]) -> None:
        """Watch until nothing moves any more, and everything is as it was."""
        watch = outcome.watch
        limit = self.clock.monotonic() + self.timeout
        texts = ["nothing was looked at"]
        while texts and self.clock.monotonic() < limit:
            for _second in range(EVERY):
                watch.sample()
            texts = [f"guest {vmid} is gone" for vmid in watch.gone()] or self._restless(areas)
        if texts:
            outcome.failures.append(f"no rest: {'; '.join(texts)}")
        else:
            watch.step("at rest")

    def _restless(self, areas: Collection[str]) -> list[str]:
        """What is not as it was."""
        try:
            texts = in_words(look(self.api, areas, tolerate=self.params["tolerate"]))
            texts += [f"{name} is not available on {node}" for node, name in self.usual - available(self.api.client)]
            if self.before.witness:
                _votes, connected = witness_votes(self.api.client.get("/cluster/config/qdevice") or {}, 1)
                texts += [] if connected else ["the witness gives no vote"]
            return texts or self.before.links.broken() or misplaced(self.api.client, self.before)
        except QuorateError as error:
            return [str(error)]

    def _recall(self, outcome: Outcome) -> None:
        """Ask for those back that stay away because failback is off."""
        refused: dict[str, str] = {}
        for _attempt in range(ATTEMPTS):
            services = read_status(self.api.client).services
            away = {
                sid: each.node
                for sid, each in self.tenants.items()
                if each.requested == "started" and sid in services and services[sid].node != each.node
            }
            if not away:
                return
            # a replicated guest only goes to where its job leads, which turns round with its first run over there
            guests = {int(sid.partition(":")[2]) for sid in away}
            self._replicate(outcome, [row for row in replication_rows(self.api, guests) if not row["disabled"]])
            refused = {sid: text for sid, node in away.items() if (text := self._bring_back(outcome, sid, node))}
            self._rest(outcome, REST)
        for sid, text in refused.items():
            self.api.warn(f"{sid} was not brought back: {text}")

    def _bring_back(self, outcome: Outcome, sid: str, node: str) -> str:
        """Move one guest; why it could not be, if so."""
        wanted = {"guest": int(sid.partition(":")[2]), "target": node, "relocate": False}
        more = {"with_local_disks": True, "target_storage": None, "timeout": self.params["timeout"]}
        # what was known of guests is where they were before
        self.api.forget_guests()
        try:
            Move(self.api, {**wanted, **more}, approved=True).go()
        except QuorateError as error:
            return str(error)
        outcome.watch.step(f"{sid} brought back to {node}")
        return ""

    def _replicate(self, outcome: Outcome, rows: Sequence[Mapping[str, Any]]) -> None:
        """Have jobs run at once: otherwise replicas get older for as long as the server hesitates."""
        before = {row["id"]: row["last_sync"] for row in rows}
        for row in rows:
            try:
                self.api.client.post(f"/nodes/{row['source']}/replication/{row['id']}/schedule_now")
            except QuorateError as error:
                self.api.warn(f"replication {row['id']} cannot be run now: {error}")
        limit = self.clock.monotonic() + REPLICATION
        due = list(rows)
        while due and self.clock.monotonic() < limit:
            for _second in range(EVERY):
                outcome.watch.sample()
            now = [row for row in replication_rows(self.api) if row["id"] in before]
            due = [row for row in now if row["fail_count"] or row["last_sync"] == before[row["id"]]]
        if rows:
            outcome.watch.step(f"replicated: {', '.join(str(row['id']) for row in rows)}")

    def _failing(self) -> list[dict[str, Any]]:
        return [row for row in replication_rows(self.api) if row["fail_count"] and not row["disabled"]]

    def _judge(self, outcome: Outcome) -> None:
        watch, wanted = outcome.watch, self.wanted
        outcome.times = times(watch, wanted.lost, outcome.affected, outcome.mended)
        if wanted.expected.failover and outcome.affected:
            manager = watch.before(MANAGER)
            lost_manager = manager if manager in wanted.lost else ""
            returned = watch.returned(wanted.lost, outcome.mended)
            outcome.failures += against_promises(outcome.times, self.promises, lost_manager, returned)
        outcome.failures += against_expectation(watch, wanted, self.before, self.promises, outcome.mended)
        outcome.data = data_of(outcome.affected, outcome.where, self.before, outcome.started)
        outcome.failures += misplaced(self.api.client, self.before)

    def _result(self, outcome: Outcome, change: Change, facts: Mapping[str, Any], aborted: str) -> Result:
        watch = outcome.watch
        watch.client.close()
        self.before.links.close()
        record = record_of(self.params, self.wanted, outcome, facts, aborted=bool(aborted))
        told = ("passed", "failures", "times", "data", "gaps", "conditions", "forecast")
        return {
            **self.api.result([change]),
            "record": str(write(record, self.faults.journal.parent)),
            "timeline": [str(self.wanted), *map(str, watch.in_order())],
            **{key: record[key] for key in told},
        }
