# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told: a notification and its severity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["info", "notice", "warning", "error", "unknown"]


@dataclass(frozen=True)
class Notification:
    """`fields` are what matchers look at (`type`, `hostname`, `job-id`, `datastore`); `time`: wall-clock seconds."""

    severity: Severity
    title: str
    text: str
    time: float
    fields: Mapping[str, str] = field(default_factory=dict)
