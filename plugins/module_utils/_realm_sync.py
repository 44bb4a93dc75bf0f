# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that take users and groups over from a realm's directory (facts §17). Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._collection import Collection
from ._errors import InputError, QuorateError
from ._plan import CREATE, Change, raise_all
from ._spec import Field, Spec
from ._values import BOOLEAN, Form

DIRECTORIES = ("ad", "ldap")
PARTS = ("acl", "entry", "properties")


def _parts(value: Any) -> list[str] | None:
    """What goes of what is gone; ``none`` is nothing."""
    given = str(value).split(";") if isinstance(value, str) else [str(each) for each in value]
    found = sorted({each.strip() for each in given} - {"", "none"})
    if wrong := set(found) - set(PARTS):
        raise ValueError(f"{', '.join(sorted(wrong))} is none of {', '.join(PARTS)}")
    return found or None


JOBS = Spec(
    kind="realm synchronisation job",
    option="jobs",
    keys=("id",),
    path="/cluster/jobs/realm-sync",
    item_path="/cluster/jobs/realm-sync/{id}",
    on_update=("schedule",),
    fields=(
        Field("id", required=True, sent=False),
        Field("realm", fixed=True, needed=True),
        Field("schedule", needed=True),
        Field("scope", choices=("users", "groups", "both")),
        Field("remove_vanished", Form(_parts, ";".join, "list", "str"), api="remove-vanished"),
        Field("enable_new", BOOLEAN, api="enable-new", default=True),
        Field("enabled", BOOLEAN, default=True),
        Field("comment"),
        Field("initial_sync", BOOLEAN, initial=False, listed=False, sent=False),
    ),
)
SYNC = "/access/domains/{realm}/sync"
_OF_A_SYNC = ("scope", "remove-vanished", "enable-new")


class RealmSyncJobs(Collection):
    """The jobs; their ids are chosen by whoever makes them."""

    spec = JOBS

    def check(self, changes: Sequence[Change]) -> None:
        """A job needs a realm that has a directory."""
        super().check(changes)
        wanted = [change for change in changes if change.action == CREATE]
        if not wanted:
            return
        realms = {str(each["realm"]): each for each in self.api.client.get("/access/domains")}
        errors: list[QuorateError] = []
        for change in wanted:
            realm = str(change.item["realm"])
            found: Mapping[str, Any] | None = realms.get(realm)
            if found is None and self.api.check_mode:
                self.api.unknown.append(f"{change.where}: realm: there is no realm {realm} yet")
            elif found is None or found.get("type") not in DIRECTORIES:
                there = ", ".join(sorted(name for name in realms if realms[name].get("type") in DIRECTORIES)) or "none"
                text = f"realm: {realm} is no realm with a directory"
                errors.append(InputError(text, where=change.where, hint=f"There are: {there}."))
        raise_all(errors)

    def create(self, change: Change) -> None:
        """The id is part of the path. What comes later may need users and groups that the job would bring."""
        payload = JOBS.payload(change.item)
        self.api.client.post(JOBS.fill(JOBS.item_path, change.item), payload)
        if change.item.get("initial_sync"):
            given = {name: payload[name] for name in _OF_A_SYNC if name in payload}
            self.finish(self.api.client.post(SYNC.format(realm=change.item["realm"]), given), change)
