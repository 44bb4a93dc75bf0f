# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's CRUSH hierarchy and rules: compared with the map that the API shows, changed over SSH.

Private to this collection.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._api import Api, Result
from ._ceph import HERE, read
from ._ceph_shell import on_a_node
from ._errors import ApplyError, InputError, QuorateError, StateError, VerifyError
from ._plan import CREATE, DELETE, UPDATE, Change, raise_all
from ._pure.crush_map import TYPES, CrushMap, Rule, parse, rule_lines
from ._shell import Shell
from ._spec import ABSENT, IGNORE

BUCKET, RULE = "CRUSH bucket", "CRUSH rule"
NO_REBALANCE = "norebalance"

BUCKET_ELEMENT: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "required": True, "choices": [name for name in TYPES if name != "osd"]},
    "location": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "absent", "ignore"], "default": "present"},
}
RULE_ELEMENT: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "root": {"type": "str", "default": "default"},
    "failure_domain": {"type": "str", "default": "host", "choices": [name for name in TYPES if name != "root"]},
    "device_class": {"type": "str"},
    "across": {"type": "str", "choices": [name for name in TYPES if name not in ("osd", "root")]},
    "copies_in_each": {"type": "int"},
    "state": {"type": "str", "choices": ["present", "absent", "ignore"], "default": "present"},
}


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        return Crush(api, params).manage()


def crush_map(api: Api, where: str) -> CrushMap | None:
    """The map of the cluster; None in check mode where Ceph is not there yet."""
    text = read(api, f"{HERE}/crush", where)
    return None if text is None else parse(str(text))


class Crush:
    """Buckets and rules of one cluster."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        self.api = api
        self.params = params

    def manage(self) -> Result:
        """Bring the hierarchy and the rules to what is wanted, or say what that would take."""
        self._check_elements()
        found = crush_map(self.api, "buckets")
        # in check mode before Ceph is there, what every new cluster has is all that is known
        present = found if found is not None else parse(_EMPTY)
        changes = [*self._bucket_changes(present), *self._rule_changes(present)]
        moves = [change for change in changes if change.item.get("moves")]
        if moves and not self.params["allow_data_movement"] and self._has_data():
            raise StateError(
                f"{', '.join(change.object for change in moves)}: putting OSDs in another place moves the data on them",
                where="buckets",
                hint="Say allow_data_movement: true if Ceph may do that now. Nothing was changed.",
            )
        self.api.approve(changes)
        if changes and not self.api.check_mode:
            self._apply(changes, hold=len(moves) > 1)
            self._verify()
        return self.api.result(changes)

    def _check_elements(self) -> None:
        errors: list[QuorateError] = []
        for where, element in self._wanted("buckets"):
            for kind in element["location"]:
                if TYPES.get(kind, 0) <= TYPES[element["type"]]:
                    text = f"a {element['type']} cannot stand in a {kind}"
                    errors.append(InputError(text, where=where, hint=f"Types, from below: {', '.join(TYPES)}."))
        for where, element in self._wanted("rules"):
            across = element.get("across")
            if bool(across) != bool(element.get("copies_in_each")):
                errors.append(InputError("across and copies_in_each go together", where=where))
            elif across and TYPES[across] <= TYPES[element["failure_domain"]]:
                text = f"copies in each {across} cannot be on different {element['failure_domain']}s"
                errors.append(InputError(text, where=where))
        raise_all(errors)

    def _wanted(self, option: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for index, element in enumerate(self.params[option] or ()):
            if element["state"] != IGNORE:
                yield f"{option}[{index}] ({element['name']})", element

    # --- plan -----------------------------------------------------------------------------------------------------

    def _bucket_changes(self, present: CrushMap) -> list[Change]:
        changes: list[Change] = []
        for where, element in self._wanted("buckets"):
            name, kind, location = str(element["name"]), str(element["type"]), dict(element["location"])
            there = present.buckets.get(name)
            if element["state"] == ABSENT:
                if there is not None:
                    self._check_empty(present, name, where)
                    changes.append(Change(DELETE, BUCKET, name, (name,), {"level": TYPES[kind]}, where=where))
                continue
            item = {"level": TYPES[kind], "location": location}
            if there is None:
                after = {"type": kind, **location}
                changes.append(Change(CREATE, BUCKET, name, (name,), {**item, "type": kind}, after=after, where=where))
                continue
            if there.type != kind:
                raise StateError(f"{name} is a {there.type}, not a {kind}", where=where, hint="Give it another name.")
            before = _elsewhere(present, name, location)
            if before is not None:
                loaded = any(each in present.devices for each in present.below(name))
                item["moves"] = loaded
                changes.append(Change(UPDATE, BUCKET, name, (name,), item, before=before, after=location, where=where))
        order = (CREATE, UPDATE, DELETE)
        return sorted(changes, key=lambda change: (order.index(change.action), -change.item["level"]))

    def _check_empty(self, present: CrushMap, name: str, where: str) -> None:
        leaving = {
            str(element["name"])
            for _where, element in self._wanted("buckets")
            if element["state"] == ABSENT or (element["location"] and name not in element["location"].values())
        }
        kept = [each for each in present.buckets[name].items if each not in leaving]
        if kept:
            raise StateError(
                f"{name} holds {', '.join(sorted(kept))}", where=where, hint="Move or remove what is in it first."
            )

    def _rule_changes(self, present: CrushMap) -> list[Change]:
        changes: list[Change] = []
        for where, element in self._wanted("rules"):
            wanted = _rule(element)
            there = present.rules.get(wanted.name)
            if element["state"] == ABSENT:
                if there is not None:
                    self._check_unused(wanted.name, where)
                    changes.append(Change(DELETE, RULE, wanted.name, (wanted.name,), where=where))
            elif there is None:
                after = {name: element[name] for name in RULE_ELEMENT if name not in ("name", "state")}
                after = {name: value for name, value in after.items() if value is not None}
                changes.append(
                    Change(CREATE, RULE, wanted.name, (wanted.name,), {"rule": wanted}, after=after, where=where)
                )
            elif (there.root, there.device_class, _normal(there)) != (
                wanted.root,
                wanted.device_class,
                _normal(wanted),
            ):
                raise StateError(
                    f"rule {wanted.name} is there and says something else: {' / '.join(_said(there))}",
                    where=where,
                    hint="Rules are not changed under their pools: make one of another name and give it to the pools.",
                )
        return changes

    def _check_unused(self, rule: str, where: str) -> None:
        users = [pool["pool_name"] for pool in self._pools() if pool.get("crush_rule_name") == rule]
        if users:
            raise StateError(
                f"rule {rule} places the data of {', '.join(users)}", where=where, hint="Give them another rule first."
            )

    def _pools(self) -> list[Mapping[str, Any]]:
        return read(self.api, f"{HERE}/pool", "pools") or []

    def _has_data(self) -> bool:
        return any(int(pool.get("bytes_used") or 0) for pool in self._pools())

    # --- apply ----------------------------------------------------------------------------------------------------

    def _apply(self, changes: Sequence[Change], *, hold: bool) -> None:
        """One shell for all. With several moves, data is held until the last one: it moves once, to its last place."""
        done: list[Change] = []
        flag = f"/cluster/ceph/flags/{NO_REBALANCE}"
        hold = hold and not int(self.api.client.get(flag) or 0)
        if hold:
            self.api.client.put(flag, {"value": 1})
        try:
            with on_a_node(self.api, self.params) as shell:
                for change in changes:
                    self._carry_out(shell, change)
                    done.append(change)
        except QuorateError as error:
            not_done = [change.describe() for change in changes if change not in done]
            raise ApplyError([error], [change.describe() for change in done], not_done) from error
        finally:
            if hold:
                self.api.client.put(flag, {"value": 0})

    def _carry_out(self, shell: Shell, change: Change) -> None:
        crush = ["ceph", "osd", "crush"]
        location = [f"{kind}={name}" for kind, name in change.item.get("location", {}).items()]
        name = str(change.key[0])
        if change.kind == BUCKET and change.action == CREATE:
            shell.run([*crush, "add-bucket", name, change.item["type"], *location])
        elif change.kind == BUCKET and change.action == UPDATE:
            shell.run([*crush, "move", name, *location])
        elif change.kind == BUCKET:
            shell.run([*crush, "rm", name])
        elif change.action == DELETE:
            shell.run([*crush, "rule", "rm", name])
        else:
            self._create_rule(shell, change.item["rule"])

    def _create_rule(self, shell: Shell, rule: Rule) -> None:
        if len(rule.steps) == 1:
            more = [rule.device_class] if rule.device_class else []
            words = ["create-replicated", rule.name, rule.root, rule.steps[0][2], *more]
            shell.run(["ceph", "osd", "crush", "rule", *words])
            return
        # there is no command for a rule of two steps: the map goes out as text and comes back (docs.ceph.com)
        files = [f"/root/.quorate-crush-{secrets.token_hex(4)}.{suffix}" for suffix in ("old", "txt", "new")]
        old, text, new = files
        try:
            shell.run(["ceph", "osd", "getcrushmap", "-o", old])
            present = shell.run(["crushtool", "-d", old])
            rule.id = max((each.id for each in parse(present).rules.values()), default=-1) + 1
            body, mark, _rest = present.partition("# end crush map")
            if not mark:
                raise StateError("crushtool's text does not end as a CRUSH map does")
            shell.write(text, "\n".join([body.rstrip(), *rule_lines(rule), "", mark, ""]))
            shell.run(["crushtool", "-c", text, "-o", new])
            shell.run(["ceph", "osd", "setcrushmap", "-i", new])
        finally:
            for file in files:
                shell.remove(file)

    def _verify(self) -> None:
        present = crush_map(self.api, "buckets")
        if present is None:
            raise StateError("Ceph does not show its CRUSH map any more", where="buckets")
        left = [*self._bucket_changes(present), *self._rule_changes(present)]
        if left:
            names = ", ".join(change.object for change in left)
            raise VerifyError(f"the commands said yes, and the map is not so: {names}")


def _elsewhere(present: CrushMap, name: str, location: Mapping[str, str]) -> dict[str, Any] | None:
    """Where a bucket stands if that is not the place that is wanted: right below the lowest of its buckets."""
    if not location:
        return None
    above = present.location(name)
    parent = present.parent(name)
    lowest = min(location, key=lambda kind: TYPES[kind])
    if {kind: above.get(kind) for kind in location} == location and parent is not None and parent.type == lowest:
        return None
    return dict(above)


def _rule(element: Mapping[str, Any]) -> Rule:
    domain = str(element["failure_domain"])
    steps = [("choose" if domain == "osd" else "chooseleaf", int(element.get("copies_in_each") or 0), domain)]
    if element.get("across"):
        steps.insert(0, ("choose", 0, str(element["across"])))
    return Rule(str(element["name"]), root=str(element["root"]), device_class=element.get("device_class"), steps=steps)


def _normal(rule: Rule) -> list[tuple[str, int, str]]:
    """The steps; choosing OSDs themselves is the same as choosing them as leaves."""
    return [("chooseleaf" if kind == "osd" else op, count, kind) for op, count, kind in rule.steps]


def _said(rule: Rule) -> list[str]:
    return [line.strip() for line in rule_lines(rule) if "step" in line]


_EMPTY = "\n".join([*(f"type {number} {name}" for name, number in TYPES.items()), "root default {", "}"])
