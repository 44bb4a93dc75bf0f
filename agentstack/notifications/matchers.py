# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which targets a notification goes to: matchers (Proxmox documentation, "Notification Matchers"; facts §15)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from agentstack.daily_duration import DailyDuration
from agentstack.notifications.message import Notification

SEVERITIES = ("info", "notice", "warning", "error", "unknown")
_FIELD = re.compile(r"(exact|regex):([A-Za-z0-9_][A-Za-z0-9._-]*)=(.*)", re.DOTALL)


def check_matcher(values: Mapping[str, Any]) -> None:
    """Raise ValueError, with what is wrong, for a matcher whose rules cannot be read."""
    for rule in values.get("match-field", []):
        _field_rule(rule)
    for rule in values.get("match-severity", []):
        for name in rule.split(","):
            if name.strip() not in SEVERITIES:
                raise ValueError(f"invalid severity '{name.strip()}'")
    for rule in values.get("match-calendar", []):
        DailyDuration.parse(rule)


def targets(matchers: Iterable[Mapping[str, Any]], notification: Notification, tz: str) -> list[str]:
    """The names of the targets of all matchers that fit, each once; `tz` is what calendars are meant in."""
    found: dict[str, None] = {}
    for values in matchers:
        if not values.get("disable") and fits(values, notification, tz):
            found.update(dict.fromkeys(values.get("target", [])))
    return list(found)


def fits(values: Mapping[str, Any], notification: Notification, tz: str) -> bool:
    """Whether a matcher fits; one without rules always does."""
    hits = list(_hits(values, notification, tz))
    matched = (any(hits) if values.get("mode") == "any" else all(hits)) if hits else True
    return matched != bool(values.get("invert-match"))


def _hits(values: Mapping[str, Any], notification: Notification, tz: str) -> Iterator[bool]:
    for rule in values.get("match-field", []):
        exact, name, pattern = _field_rule(rule)
        value = notification.fields.get(name)
        yield value is not None and (value in exact if pattern is None else pattern.search(value) is not None)
    for rule in values.get("match-severity", []):
        yield notification.severity in (name.strip() for name in rule.split(","))
    for rule in values.get("match-calendar", []):
        yield DailyDuration.parse(rule).contains(datetime.fromtimestamp(notification.time, ZoneInfo(tz)))


def _field_rule(rule: str) -> tuple[list[str], str, re.Pattern[str] | None]:
    found = _FIELD.fullmatch(rule)
    if found is None:
        raise ValueError(f"invalid match-field statement: {rule}")
    if found[1] == "exact":
        return [value.strip() for value in found[3].split(",")], found[2], None
    try:
        return [], found[2], re.compile(found[3])
    except re.error as error:
        raise ValueError(f"could not deserialize regex: {error}") from error
