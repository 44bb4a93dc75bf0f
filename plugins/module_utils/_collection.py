# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, plan, apply, verify: how every module that manages a set of objects works. Private to this collection.

Check mode ends after the plan. A kind of object that is out of the ordinary overrides one of the steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import _run
from ._api import Api, Result
from ._dialect import PVE, Dialect
from ._errors import NO_QUORUM, ApiError, ApplyError, QuorateError, StateError, TaskError, VerifyError, WaitError
from ._limits import limit_purge
from ._parallel import side_by_side
from ._plan import CREATE, DELETE, Change, Wanted, plan_changes, raise_all, read_wanted
from ._spec import IGNORE, Item, Key, Spec

# Errors of one object, after which the others can still be dealt with
_OF_ONE_OBJECT = (ApiError, TaskError, StateError, WaitError)


class Collection:
    """All objects of one kind on one cluster."""

    spec: Spec
    dialect: Dialect = PVE
    #: whether the server lets several of these change at once (no cluster-wide lock)
    parallel = False
    #: what the server says when a change does not go with an object that a later change would put right
    order_matters: re.Pattern[str] | None = None

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api = api
        self.params = params
        self._digest: str | None = None

    @classmethod
    def run(cls, params: Mapping[str, Any], check_mode: bool) -> Result:
        """The whole module."""
        with Api.open(params, check_mode, cls.dialect) as api:
            return cls(api, params).manage()

    def manage(self) -> Result:
        """Bring the objects to what is wanted, or say what that would take."""
        wanted = self.prepare(read_wanted(self.spec, self.params[self.spec.option]))
        actual = self.observe(wanted)
        changes = self.plan(wanted, actual)
        existing = len(actual.keys() - self.spec.kept)
        if self.params.get("purge"):
            limit_purge(self.spec.kind, changes, existing, str(self.params.get("purge_limit") or "100%"))
        self.check(changes)
        _run.current.counts.objects += len(actual)
        self.api.approve(changes, existing=existing, kind=self.spec.kind)
        if changes and not self.api.check_mode:
            self.apply(changes)
            self.verify(wanted, changes)
        return self.api.result(changes, **self.facts(changes))

    # the steps

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Look at the elements before anything is read."""
        return wanted

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """Read all objects with one call."""
        return self.by_key(self.api.client.get(self.spec.path))

    def everything(self) -> dict[Key, Item]:
        """All objects with all settings that the server shows, but for what it brought along: what an export writes."""
        return {key: item for key, item in self.observe([]).items() if key not in self.spec.kept}

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Compare; when not the ``whole``, only what is named, and without secrets."""
        return plan_changes(
            self.spec,
            wanted,
            actual,
            purge=whole and bool(self.params.get("purge")),
            update_secrets=whole and bool(self.params.get("update_secrets")),
        )

    def check(self, changes: Sequence[Change]) -> None:
        """What the changes refer to must be there."""
        errors: list[QuorateError] = []
        for change in changes:
            for name in change.set:
                field = self.spec.field(name)
                if field.refers and change.action != DELETE:
                    value = change.set[name]
                    for each in value if isinstance(value, (list, dict)) else [value]:
                        try:
                            self.api.check_reference(field.refers, each, f"{change.where}: {name}")
                        except StateError as error:
                            errors.append(error)
        raise_all(errors)

    def apply(self, changes: Sequence[Change]) -> None:
        """Carry the plan out. One object's failure does not keep the others from being dealt with."""
        done: list[Change] = []
        errors: list[QuorateError] = []
        if self.parallel:
            results = side_by_side(self.change_one, changes)
            done = [change for change, result in zip(changes, results, strict=True) if result is None]
            errors = [result for result in results if result is not None]
        else:
            rest: Sequence[Change] = changes
            while rest:
                made, failed = self._one_by_one(rest)
                done += made
                errors = list(failed.values())
                rest = (
                    [change for change in rest if change.key in failed] if made and self._worth_another(errors) else []
                )
        if errors:
            not_done = [change for change in changes if change not in done]
            raise ApplyError(errors, [c.describe() for c in done], [c.describe() for c in not_done])

    def _one_by_one(self, changes: Sequence[Change]) -> tuple[list[Change], dict[Key, QuorateError]]:
        done: list[Change] = []
        failed: dict[Key, QuorateError] = {}
        for change in changes:
            try:
                self.change_one(change)
            except QuorateError as error:
                failed[change.key] = error
                if not isinstance(error, _OF_ONE_OBJECT) or (isinstance(error, ApiError) and error.says(NO_QUORUM)):
                    break
            else:
                done.append(change)
        return done, failed

    def _worth_another(self, errors: Sequence[QuorateError]) -> bool:
        pattern = self.order_matters
        return pattern is not None and any(isinstance(error, ApiError) and error.says(pattern) for error in errors)

    def verify(self, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
        """Read back what was written. Raises :class:`VerifyError` for what the server changed or dropped."""
        touched = {change.key for change in changes}
        rest = [want for want in wanted if self.spec.key(want.item) in touched and want.state != IGNORE]
        named = {self.spec.key(want.item) for want in rest}
        purged = any(change.key not in named for change in changes)
        there = self.observe(wanted if purged else rest)
        left = self.plan(rest, there, whole=False)
        # what a purge removed is no element that could be compared
        left += [
            replace(change, where=change.where or change.object)
            for change in changes
            if change.action == DELETE and change.key in there and change.key not in named
        ]
        errors: list[QuorateError] = []
        for change in left:
            if change.action == CREATE:
                text = f"the server said yes, and there is no {change.object}"
            elif change.action == DELETE:
                text = f"the server said yes, and {change.object} is still there"
            else:
                pairs = [
                    f"{n} is {change.before.get(n)!r} instead of {change.after.get(n)!r}"
                    for n in change.describe()["fields"]
                ]
                text = f"the server said yes, and {', '.join(pairs)}"
            errors.append(VerifyError(text, where=change.where))
        raise_all(errors)

    def facts(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Keys of the result beyond the usual ones."""
        return {}

    # one object

    def change_one(self, change: Change) -> None:
        """Make one change, with the parameter's path in what goes wrong."""
        work = {CREATE: self.create, DELETE: self.delete}.get(change.action, self.update)
        try:
            work(change)
        except QuorateError as error:
            raise error.at(change.where or change.object) from error
        # our own change is one, too: from here on the digest that was read is of no use
        self._digest = None

    def create(self, change: Change) -> None:
        """POST all settings."""
        self.finish(self.api.client.post(self.spec.path, self.spec.payload(change.item)), change)

    def update(self, change: Change) -> None:
        """PUT the settings that differ, and ``delete`` those to be unset."""
        payload = self.spec.payload({name: change.actual.get(name) for name in self.spec.on_update})
        payload |= self.spec.payload(change.set)
        payload |= self.held(change)
        if change.unset:
            payload["delete"] = ",".join(self.spec.field(name).api_name for name in change.unset)
        self.finish(self.api.client.put(self.spec.fill(self.spec.item_path, change.actual), payload), change)

    def held(self, change: Change) -> dict[str, str]:
        """The ``digest`` with which the server refuses a change to what is no longer as it was read.

        It is that of a whole file, so that a list's is good for the first change of a run. Raises :class:`StateError`.
        """
        if self.spec.item_digest:
            return self._look_again(change)
        return {"digest": self._digest} if self._digest else {}

    def _look_again(self, change: Change) -> dict[str, str]:
        answer = self.api.client.get(self.spec.fill(self.spec.item_path, change.actual))
        now = self.spec.seen(self.plain(answer, change.actual))
        different = [
            field.name
            for field in self.spec.fields
            if field.listed
            and not field.secret
            and field.name not in self.spec.keys
            and now.get(field.name) != change.actual.get(field.name)
        ]
        if different:
            raise StateError(
                f"somebody else changed {change.object} in the meantime: {', '.join(different)}", hint="Run again."
            )
        # a backup server says it beside the object
        digest = answer.get("digest") or self.api.client.digests.get(self.spec.fill(self.spec.item_path, change.actual))
        return {"digest": str(digest)} if digest else {}

    def plain(self, answer: Mapping[str, Any], actual: Item) -> Mapping[str, Any]:
        """One object's own answer in the form that the list has."""
        return answer

    def delete(self, change: Change) -> None:
        """DELETE."""
        self.finish(self.api.client.delete(self.spec.fill(self.spec.item_path, change.actual)), change)

    def finish(self, answer: Any, change: Change) -> None:
        """Wait for the task, if the answer is one."""
        self.api.finish_task(answer, float(self.params.get("timeout") or 300), change.where)

    def by_key(self, answers: Sequence[Mapping[str, Any]]) -> dict[Key, Item]:
        """The server's list, normalised."""
        if self.spec.digest:
            # of one file, so that all of them are the same; a backup server says it once, beside the list
            self._digest = next((str(answer["digest"]) for answer in answers if answer.get("digest")), None)
            self._digest = self._digest or self.api.client.digests.get(self.spec.path)
        items = [self.spec.seen(answer) for answer in answers]
        return {self.spec.key(item): item for item in items}
