# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets of notifications and the matchers that lead to them (facts §15). Private to this collection."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from ._collection import Collection
from ._plan import DELETE, UPDATE, Change, Wanted
from ._spec import ABSENT, PRESENT, Field, Item, Key, Spec
from ._values import BOOLEAN, INTEGER, TEXT, Form, split_properties

NOTIFICATIONS, PBS_NOTIFICATIONS = "/cluster/notifications", "/config/notifications"
BUILTIN, MODIFIED = "builtin", "modified-builtin"


def encoded(text: str) -> str:
    """A text as the server wants the parts of webhooks."""
    return base64.b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    """A text of the server; what is no base64 is taken as it is."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return text


def _named_values(value: Mapping[str, Any]) -> dict[str, str] | None:
    return {str(name): str(value[name]) for name in sorted(value)} or None


def _send_named(values: Mapping[str, str]) -> list[str]:
    return [f"name={name},value={encoded(value)}" for name, value in values.items()]


def _read_named(properties: Sequence[str]) -> dict[str, str]:
    pairs = [split_properties(each) for each in properties]
    return {pair["name"]: decoded(pair.get("value", "")) for pair in pairs}


def _several(value: Any) -> list[str] | None:
    return sorted({str(each) for each in value}) or None


def _severities(value: Any) -> list[str] | None:
    """Each of the texts is a list of its own, in any order."""
    return _several(",".join(sorted(part.strip() for part in str(each).split(","))) for each in value)


# a parameter that is given once for each of its values, in any order
SEVERAL = Form(_several, list, "list", "str")
SEVERITIES = Form(_severities, list, "list", "str")
NAMED_VALUES = Form(_named_values, _send_named, "dict")
BODY = Form(TEXT.normalise, encoded, "str")


_NEEDED = {
    "smtp": ("server", "from_address"),
    "gotify": ("server", "token"),
    "webhook": ("url", "method"),
}


def _needed(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda item: name in _NEEDED.get(str(item.get("type")), ())


def endpoint_spec(place: str) -> Spec:
    """Targets below `place` of the API."""
    return Spec(
        kind="notification endpoint",
        option="endpoints",
        keys=("name",),
        path=f"{place}/endpoints",
        item_path=f"{place}/endpoints/{{type}}/{{name}}",
        item_digest=True,
        fields=(
            Field("name", required=True),
            Field("type", fixed=True, needed=True, sent=False, choices=("sendmail", "smtp", "gotify", "webhook")),
            Field("comment"),
            Field("disable", BOOLEAN, default=False),
            Field("mailto", SEVERAL),
            Field("mailto_user", SEVERAL, "mailto-user"),
            Field("from_address", api="from-address", needed=_needed("from_address")),
            Field("author"),
            Field("server", needed=_needed("server")),
            Field("port", INTEGER),
            Field("mode", default="tls", choices=("insecure", "starttls", "tls")),
            Field("username"),
            Field("password", secret=True),
            Field("token", secret=True, needed=_needed("token")),
            Field("url", needed=_needed("url")),
            Field("method", needed=_needed("method"), choices=("post", "put", "get")),
            Field("headers", NAMED_VALUES, "header"),
            Field("body", BODY),
            Field("secrets", NAMED_VALUES, "secret", secret=True),
        ),
    )


def matcher_spec(place: str, target: str) -> Spec:
    """Matchers below `place` of the API; ``target`` names what their targets are."""
    return Spec(
        kind="notification matcher",
        option="matchers",
        keys=("name",),
        path=f"{place}/matchers",
        item_path=f"{place}/matchers/{{name}}",
        item_digest=True,
        fields=(
            Field("name", required=True),
            Field("targets", SEVERAL, "target", refers=target),
            Field("match_severity", SEVERITIES, "match-severity"),
            Field("match_field", SEVERAL, "match-field"),
            Field("match_calendar", SEVERAL, "match-calendar"),
            Field("mode", default="all", choices=("all", "any")),
            Field("invert_match", BOOLEAN, "invert-match", default=False),
            Field("comment"),
            Field("disable", BOOLEAN, default=False),
        ),
    )


class NotificationCollection(Collection):
    """What stands in notifications.cfg. The server brings some of it along, and takes no removal but as a reset."""

    def by_key(self, answers: Sequence[Mapping[str, Any]]) -> dict[Key, Item]:
        """With a note of what the server brought along."""
        found = super().by_key(answers)
        self._origins = {(str(answer["name"]),): answer.get("origin") for answer in answers}
        return found

    def everything(self) -> dict[Key, Item]:
        """Without what is as the server brought it along."""
        found = super().everything()
        return {key: item for key, item in found.items() if self._origins.get(key) != BUILTIN}

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """What the server brought along is there no more, once it is as it was; a purge spares it."""
        reset = {key for key, origin in self._origins.items() if origin == BUILTIN}
        gone = {self.spec.key(want.item) for want in wanted if want.state == ABSENT} & reset
        changes = super().plan(wanted, {key: item for key, item in actual.items() if key not in gone}, whole=whole)
        brought = reset | {key for key, origin in self._origins.items() if origin == MODIFIED}
        return [change for change in changes if change.action != DELETE or change.where or change.key not in brought]

    def update(self, change: Change) -> None:
        """PUT; ``delete`` is a list here (facts §15)."""
        payload = {**self.spec.payload(change.set), **self.held(change)}
        if change.unset:
            payload["delete"] = [self.spec.field(name).api_name for name in change.unset]
        self.api.client.put(self.spec.fill(self.spec.item_path, change.actual), payload)


class Endpoints(NotificationCollection):
    """Targets of every kind, each of which has a list of its own."""

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The names of all of them, and the settings of the kinds that are wanted."""
        targets = self._targets()
        return self.by_key(
            self._with_settings(targets, {want.item["name"] for want in wanted if want.state == PRESENT})
        )

    def everything(self) -> dict[Key, Item]:
        """Those that somebody made, with the settings in the lists of their kinds."""
        targets = [target for target in self._targets() if target.get("origin") != BUILTIN]
        names = {str(target["name"]) for target in targets}
        return self.by_key([each for each in self._with_settings(targets, names) if each["name"] in names])

    def _targets(self) -> list[Mapping[str, Any]]:
        """The names and kinds of all of them."""
        return list(self.api.client.get(f"{self.spec.path.removesuffix('endpoints')}targets"))

    def _with_settings(self, targets: Sequence[Mapping[str, Any]], names: AbstractSet[str]) -> list[Mapping[str, Any]]:
        """The targets; those of the kinds of ``names`` with their settings."""
        answers = {str(target["name"]): target for target in targets}
        self._secrets: dict[Key, list[str]] = {}
        for kind in sorted({str(target["type"]) for target in targets if target["name"] in names}):
            for answer in self.api.client.get(f"{self.spec.path}/{kind}"):
                answers[str(answer["name"])] = self._plain(kind, answer)
        return list(answers.values())

    def _plain(self, kind: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        plain = {**answer, "type": kind}
        if kind == "webhook":
            self._secrets[(str(answer["name"]),)] = sorted(_read_named(answer.get("secret") or []))
            plain |= {"header": _read_named(answer.get("header") or []), "body": decoded(answer.get("body") or "")}
        return plain

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """The server shows which secrets a webhook has, if not what they are."""
        changes = super().plan(wanted, actual, whole=whole)
        for want in wanted:
            key = self.spec.key(want.item)
            given, there = want.element.get("secrets"), self._secrets.get(key)
            if want.state != PRESENT or given is None or there is None or sorted(given) == there:
                continue
            change = next((each for each in changes if each.key == key), None)
            if change is None:
                change = Change(UPDATE, self.spec.kind, self.spec.label(want.item), key, want.item, actual[key])
                change = replace(change, where=want.where, element=want.element)
                changes.append(change)
            changes[changes.index(change)] = replace(
                change,
                set={**change.set, "secrets": want.item["secrets"]} if given else change.set,
                unset=change.unset if given else (*change.unset, "secrets"),
                before={**change.before, "secrets": there},
                after={**change.after, "secrets": sorted(given)},
            )
        return changes

    def plain(self, answer: Mapping[str, Any], actual: Item) -> Mapping[str, Any]:
        """As in the list of its kind."""
        return self._plain(str(actual["type"]), answer)

    def create(self, change: Change) -> None:
        """POST where the kind belongs."""
        self.api.client.post(f"{self.spec.path}/{change.item['type']}", self.spec.payload(change.item))
