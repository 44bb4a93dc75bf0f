# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access rules of nodes and of backup servers: who has which role on which path. Private to this collection."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ._collection import Collection
from ._errors import InputError, QuorateError
from ._plan import CREATE, Change, Wanted, raise_all
from ._spec import Field, Item, Key
from ._values import BOOLEAN, TEXT, Form


def _path(value: Any) -> str:
    return "/" + str(value).strip("/")


def rule_fields(auth_id: Form = TEXT, *, roles: str = "") -> tuple[Field, ...]:
    """The settings of a rule. ``roles``: what roles are known as where there is a list of them."""
    return (
        Field("path", Form(_path, str, "str"), required=True),
        Field("auth_id", auth_id, "auth-id", required=True),
        Field("role", required=True, refers=roles),
        Field("propagate", BOOLEAN, default=True),
    )


RULE_KEYS = ("path", "auth_id", "role")
RULE_LABEL = "{path} {auth_id} {role}"


class RuleCollection(Collection):
    """The access control list, whose entries are all set and dropped by the same call."""

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The list has other names for the same things."""
        answers = self.api.client.get(self.spec.path)
        return self.by_key([{**answer, "auth-id": answer["ugid"], "role": answer["roleid"]} for answer in answers])

    @abstractmethod
    def subjects(self) -> dict[str, set[str]]:
        """Who can be given something, by what they are."""

    def check(self, changes: Sequence[Change]) -> None:
        """Who is given something must be there."""
        super().check(changes)
        given = [change for change in changes if change.action == CREATE]
        if not given:
            return
        by_kind = self.subjects()
        known = sorted(set().union(*by_kind.values()))
        errors: list[QuorateError] = []
        for change in given:
            who = str(change.item["auth_id"])
            if who in known:
                continue
            if self.api.check_mode:
                self.api.unknown.append(f"{change.where}: there is no {who} yet")
            else:
                what = f"there is no {' or '.join(by_kind)} {who}"
                errors.append(InputError(what, where=change.where, hint=f"There are: {', '.join(known)}."))
        raise_all(errors)

    def rule(self, item: Item) -> dict[str, Any]:
        """A rule in the API's names."""
        return self.spec.payload(item)

    def create(self, change: Change) -> None:
        """PUT."""
        self.api.client.put(self.spec.path, self.rule(change.item))

    def update(self, change: Change) -> None:
        """PUT, which replaces."""
        self.create(change)

    def delete(self, change: Change) -> None:
        """PUT, with ``delete`` as a switch."""
        rule = self.rule({name: change.actual[name] for name in self.spec.keys})
        self.api.client.put(self.spec.path, {**rule, "delete": True})
