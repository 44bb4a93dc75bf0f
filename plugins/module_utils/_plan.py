# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between what is wanted and what is there, as an ordered list of changes.

Pure. Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._errors import InputError, QuorateError, StateError
from ._spec import ABSENT, IGNORE, PRESENT, Item, Key, Spec

MASK = "********"
CREATE, UPDATE, DELETE = "create", "update", "delete"
ORDER = (DELETE, UPDATE, CREATE)


@dataclass(frozen=True)
class Wanted:
    """One element of the module's list: the settings it gives, and where it stands."""

    item: Item
    where: str
    state: str = PRESENT
    element: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One thing to do. ``before`` and ``after`` hold the settings that differ, with secrets masked."""

    action: str
    kind: str
    label: str
    key: Key = ()
    item: Item = field(default_factory=dict)
    actual: Item = field(default_factory=dict)
    set: Item = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    before: Item = field(default_factory=dict)
    after: Item = field(default_factory=dict)
    where: str = ""
    element: Mapping[str, Any] = field(default_factory=dict)

    @property
    def object(self) -> str:
        """What it is about, in words."""
        return f"{self.kind} {self.label}"

    def describe(self) -> dict[str, Any]:
        """This change as an entry of the module's result."""
        names = sorted({*self.before, *self.after})
        fields = {name: {"before": self.before.get(name), "after": self.after.get(name)} for name in names}
        return {"action": self.action, "object": self.object, "fields": fields}


def simple_change(
    action: str, kind: str, label: str, after: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> Change:
    """A change of something that there is one of."""
    return Change(
        action, kind, label, before=dict(before or {}), after={k: v for k, v in after.items() if v is not None}
    )


def diff_of(changes: Iterable[Change]) -> dict[str, Any]:
    """The diff of a plan, by object."""
    changes = list(changes)
    return {
        "before": {change.object: change.before for change in changes if change.action != CREATE},
        "after": {change.object: change.after for change in changes if change.action != DELETE},
    }


def read_wanted(spec: Spec, elements: Sequence[Mapping[str, Any]]) -> list[Wanted]:
    """Normalise the elements of a module's list. Raises :class:`InputError` naming every bad or doubled one."""
    wanted: list[Wanted] = []
    seen: dict[Key, str] = {}
    errors: list[QuorateError] = []
    for index, element in enumerate(elements):
        where = spec.where(index, element)
        try:
            item = spec.given(element, where)
        except InputError as error:
            errors.append(error)
            continue
        key = spec.key(item)
        if key in seen:
            errors.append(InputError(f"the same {spec.kind} is given at {seen[key]}", where=where))
        seen[key] = where
        wanted.append(Wanted(item, where, element.get("state") or PRESENT, element))
    raise_all(errors)
    return wanted


def raise_all(errors: Sequence[QuorateError]) -> None:
    """Raise one error that says all of them."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    if len(texts) == 1:
        raise errors[0]
    if errors:
        # a server's refusal is made of more than a text
        kind = type(errors[0]) if type(errors[0]).__init__ is QuorateError.__init__ else StateError
        raise kind("\n".join(["several things are wrong:", *(f"- {text}" for text in texts)]))


def plan_changes(
    spec: Spec,
    wanted: Sequence[Wanted],
    actual: Mapping[Key, Item],
    *,
    purge: bool = False,
    update_secrets: bool = False,
) -> list[Change]:
    """What has to be done, deletions first. Raises :class:`StateError` if a fixed setting would have to change."""
    changes: list[Change] = []
    errors: list[QuorateError] = []
    for want in wanted:
        key = spec.key(want.item)
        there = actual.get(key)
        if want.state == IGNORE:
            continue
        if want.state == ABSENT:
            if there is not None:
                changes.append(deletion(spec, key, there, want))
            continue
        try:
            change = creation(spec, key, want) if there is None else update(spec, key, want, there, update_secrets)
        except (InputError, StateError) as error:
            errors.append(error)
            continue
        if change:
            changes.append(change)
    raise_all(errors)
    if purge:
        named = {spec.key(want.item) for want in wanted} | spec.kept
        # servers list in any order; a plan says the same thing twice
        rest = sorted((spec.label(there), key) for key, there in actual.items() if key not in named)
        changes += [deletion(spec, key, actual[key]) for _label, key in rest]
    return sorted(changes, key=lambda change: ORDER.index(change.action))


def creation(spec: Spec, key: Key, want: Wanted) -> Change:
    """Everything that is given, as a new object."""
    item = {name: value for name, value in want.item.items() if value is not None}
    missing = [field_.name for field_ in spec.fields if field_.is_needed(item) and field_.name not in item]
    if missing:
        raise InputError(f"{', '.join(missing)} must be given to create the {spec.kind}", where=want.where)
    return Change(
        CREATE, spec.kind, spec.label(item), key, item, {}, item, (), {}, _shown(spec, item), want.where, want.element
    )


def deletion(spec: Spec, key: Key, there: Item, want: Wanted | None = None) -> Change:
    """An object that goes."""
    where, element = (want.where, want.element) if want else ("", {})
    return Change(
        DELETE, spec.kind, spec.label(there), key, dict(there), there, {}, (), _shown(spec, there), {}, where, element
    )


def update(spec: Spec, key: Key, want: Wanted, there: Item, update_secrets: bool = False) -> Change | None:
    """What differs, or None."""
    to_set: Item = {}
    to_unset: list[str] = []
    for name, value in want.item.items():
        field_ = spec.field(name)
        if name in spec.keys or not (field_.listed or field_.secret):
            continue
        if field_.secret and not field_.told:
            if update_secrets and value is not None:
                to_set[name] = value
            continue
        has = there.get(name)
        if (field_.default if value is None else value) == (field_.default if has is None else has):
            continue
        if field_.is_fixed(there):
            raise StateError(
                f"{name} is {has!r} and cannot be changed to {value!r}: it is fixed when the {spec.kind} is created",
                where=want.where,
                hint=f"Take over {name}: {has!r}, or remove the {spec.kind} yourself and let it be created anew.",
            )
        if value is None:
            to_unset.append(name)
        else:
            to_set[name] = value
    if not to_set and not to_unset:
        return None
    names = [*to_set, *to_unset]
    return Change(
        UPDATE,
        spec.kind,
        spec.label(there),
        key,
        want.item,
        there,
        to_set,
        tuple(to_unset),
        _shown(spec, {name: there.get(name) for name in names}),
        _shown(spec, to_set),
        want.where,
        want.element,
    )


def _shown(spec: Spec, item: Item) -> Item:
    secrets = {field_.name for field_ in spec.fields if field_.secret}
    return {name: MASK if name in secrets else value for name, value in item.items() if value is not None}
