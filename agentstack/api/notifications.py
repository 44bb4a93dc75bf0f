# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API of notifications, the same below /cluster/notifications (PVE) and /config/notifications (PBS; facts §15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from agentstack._shared.property_string import parse_property_string
from agentstack.api.endpoint import Call, Json, Registry
from agentstack.errors import AgentError
from agentstack.notifications.config import BOOLEANS, ENDPOINTS, MATCHER, SECRETS, Configuration, Key, Values
from agentstack.notifications.endpoints import named_values
from agentstack.notifications.matchers import check_matcher

_CONTROL = frozenset({"delete", "digest", "name", "node", "origin"})
DIGEST = "detected modified configuration - file changed by other user? Try again."


class Store(Protocol):
    """Where a product keeps its notifications."""

    def load(self, call: Call) -> Configuration:
        """What is configured."""

    def changing(self, call: Call) -> AbstractAsyncContextManager[Configuration]:
        """What is configured, to be changed; it is written at the end, unless something was refused."""

    def test(self, call: Call, name: str) -> Awaitable[None]:
        """Send a test to a target."""

    def field_values(self, call: Call) -> list[dict[str, str]]:
        """The values that fields are known to take: `field`, `value` and perhaps `comment`."""


def shown(key: Key, values: Mapping[str, Any], origin: str) -> Values:
    """An entry as the API gives it: without its secrets, of which a webhook tells the names."""
    hidden = SECRETS.get(key[0], ())
    row = {"name": key[1], **{name: value for name, value in values.items() if name not in hidden}}
    if key[0] == "webhook" and "secret" in values:
        row["secret"] = [f"name={name}" for name in named_values(values["secret"])]
    return {**row, "origin": origin}


def _settings(call: Call, kind: str, old: Mapping[str, Any]) -> Values:
    values = {name: value for name, value in call.params.items() if name not in _CONTROL}
    values |= {name: bool(values[name]) for name in BOOLEANS & values.keys()}
    if kind == "webhook" and "secret" in values:
        values["secret"] = _merged(values["secret"], old.get("secret", []))
    return values


def _merged(given: list[str], old: list[str]) -> list[str]:
    """Secrets named without a value keep the one they have."""
    form: Mapping[str, Mapping[str, Any]] = {
        "name": {"type": "string"},
        "value": {"type": "string", "optional": True},
    }
    known = {str(parse_property_string(text, form)["name"]): text for text in old}
    return [text if "value" in (p := parse_property_string(text, form)) else known[str(p["name"])] for text in given]


def _check(kind: str, values: Values) -> None:
    try:
        if kind == MATCHER:
            check_matcher(values)
        elif kind == "webhook":
            named_values(values.get("secret", []))
            named_values(values.get("header", []))
        elif kind in ("smtp", "sendmail") and not (values.get("mailto") or values.get("mailto-user")):
            raise ValueError("must at least provide one recipient, either in mailto or in mailto-user")
    except (ValueError, KeyError) as error:
        raise AgentError(str(error), status=400) from error


def register(
    registry: Registry,
    base: str,
    store: Store,
    on_digest: Callable[[Call, Values, str], Values],
    events: tuple[str, ...],
) -> None:
    """Answer everything below `base`. `on_digest` puts the digest where the product's clients look for it; `events` are
    the values of the field `type`."""
    for kind in (*ENDPOINTS, MATCHER):
        path = f"{base}/matchers" if kind == MATCHER else f"{base}/endpoints/{kind}"
        _register_kind(registry, path, kind, store, on_digest)

    @registry("GET", f"{base}/targets")
    async def list_targets(call: Call) -> Json:
        found = store.load(call)
        return [
            {"name": name, "type": kind, "origin": found.origin((kind, name))}
            | {key: values[key] for key in ("comment", "disable") if key in values}
            for kind, name, values in found.of(*ENDPOINTS)
        ]

    @registry("POST", f"{base}/targets/{{name}}/test")
    async def test_target(call: Call) -> Json:
        await store.test(call, call["name"])

    @registry("GET", f"{base}/matcher-fields")
    async def fields(call: Call) -> Json:
        return [{"name": name} for name in dict.fromkeys(row["field"] for row in _field_values(call))]

    @registry("GET", f"{base}/matcher-field-values")
    async def values_of_fields(call: Call) -> Json:
        return _field_values(call)

    def _field_values(call: Call) -> list[dict[str, str]]:
        return [*({"field": "type", "value": event} for event in events), *store.field_values(call)]


def _register_kind(
    registry: Registry, path: str, kind: str, store: Store, on_digest: Callable[[Call, Values, str], Values]
) -> None:
    @registry("GET", path)
    async def list_entries(call: Call) -> Json:
        found = store.load(call)
        return [shown((kind, name), values, found.origin((kind, name))) for _, name, values in found.of(kind)]

    @registry("POST", path)
    async def create(call: Call) -> Json:
        values = _settings(call, kind, {})
        _check(kind, values)
        async with store.changing(call) as found:
            found.create((kind, call["name"]), values)

    @registry("GET", f"{path}/{{name}}")
    async def read(call: Call) -> Json:
        found, key = store.load(call), (kind, call["name"])
        return on_digest(call, shown(key, found.require(key), found.origin(key)), found.digest)

    @registry("PUT", f"{path}/{{name}}")
    async def update(call: Call) -> Json:
        key = (kind, call["name"])
        async with store.changing(call) as found:
            if call.get("digest") not in (None, found.digest):
                raise AgentError(DIGEST, status=400)
            old = found.require(key)
            kept = {name: value for name, value in old.items() if name not in call.get("delete", [])}
            values = {**kept, **_settings(call, kind, old)}
            _check(kind, values)
            found.put(key, values)

    @registry("DELETE", f"{path}/{{name}}")
    async def delete(call: Call) -> Json:
        async with store.changing(call) as found:
            found.remove((kind, call["name"]))
