# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of webhooks: `{{ title }}`, `{{ url-encode message }}` (Proxmox documentation, "Webhook").

Names are `title`, `message`, `severity`, `timestamp`, `fields.NAME`, `secrets.NAME`; helpers are `url-encode`, `escape`
(for use inside a JSON text) and `json` (a whole JSON value). What does not exist is empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from agentstack.notifications.message import Notification

_PLACE = re.compile(r"\{\{(?P<raw>\{)?\s*(?:(?P<helper>url-encode|escape|json)\s+)?(?P<path>[\w.-]+)\s*\}\}(?(raw)\})")


def variables(notification: Notification, secrets: Mapping[str, str]) -> dict[str, Any]:
    """What a template can name."""
    return {
        "title": notification.title,
        "message": notification.text,
        "severity": notification.severity,
        "timestamp": int(notification.time),
        "fields": dict(notification.fields),
        "secrets": dict(secrets),
    }


def render(template: str, known: Mapping[str, Any]) -> str:
    """A template with its places filled in."""

    def fill(place: re.Match[str]) -> str:
        value = _value(place["path"], known)
        match place["helper"]:
            case "json":
                return json.dumps(value)
            case "escape":
                return json.dumps(_text(value))[1:-1]
            case "url-encode":
                return quote(_text(value), safe="")
            case _:
                return _text(value)

    return _PLACE.sub(fill, template)


def _value(path: str, known: Mapping[str, Any]) -> Any:
    first, _, rest = path.partition(".")
    value = known.get(first)
    return value.get(rest) if rest and isinstance(value, dict) else value


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
