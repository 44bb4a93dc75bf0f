# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""notifications.cfg and the file of its secrets: sections of endpoints and matchers, names unique over all of them.

A key with several values stands on several lines. Built-in entries are not in the file until they are changed
(facts §15: `origin`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstack.errors import AgentError

ENDPOINTS = ("sendmail", "smtp", "gotify", "webhook")
MATCHER = "matcher"

SECRETS: Mapping[str, tuple[str, ...]] = {"smtp": ("password",), "gotify": ("token",), "webhook": ("secret",)}
"""What is kept in the other file and never given back (of a webhook's secrets the names are)."""

LISTS = frozenset(
    {"mailto", "mailto-user", "header", "secret", "target", "match-field", "match-severity", "match-calendar"}
)
BOOLEANS = frozenset({"disable", "invert-match"})
INTEGERS = frozenset({"port"})

BUILTIN: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("sendmail", "mail-to-root"): {"mailto-user": ["root@pam"], "comment": "Send mails to root@pam's email address"},
    (MATCHER, "default-matcher"): {"target": ["mail-to-root"], "comment": "Route all notifications to mail-to-root"},
}

Values = dict[str, Any]
Key = tuple[str, str]


def _decode(key: str, text: str) -> Any:
    if key in BOOLEANS:
        return text in ("1", "true")
    return int(text) if key in INTEGERS else text


def _parse(text: str) -> dict[Key, Values]:
    found: dict[Key, Values] = {}
    values: Values = {}
    for line in text.splitlines():
        if line.startswith("\t"):
            key, _, value = line.strip().partition(" ")
            if key in LISTS:
                values.setdefault(key, []).append(value)
            else:
                values[key] = _decode(key, value)
        elif line.strip():
            kind, _, name = line.partition(":")
            values = found.setdefault((kind.strip(), name.strip()), {})
    return found


def _format(entries: Mapping[Key, Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for (kind, name), values in entries.items():
        lines.append(f"{kind}: {name}")
        for key, value in values.items():
            for item in value if isinstance(value, list) else [value]:
                lines.append(f"\t{key} {str(item).lower() if isinstance(item, bool) else item}")
        lines.append("")
    return "".join(f"{line}\n" for line in lines)


@dataclass
class Configuration:
    """Both files together. `entries`: what was configured, secrets included, by (kind, name)."""

    entries: dict[Key, Values] = field(default_factory=dict)
    digest: str = hashlib.sha256(b"").hexdigest()

    @classmethod
    def parse(cls, public: str, private: str) -> Configuration:
        """Read the two files' texts."""
        entries = _parse(public)
        for key, secrets in _parse(private).items():
            if key in entries:
                entries[key] |= secrets
        return cls(entries, hashlib.sha256(public.encode()).hexdigest())

    def format(self) -> tuple[str, str]:
        """The texts of the two files."""
        public, private = dict[Key, Values](), dict[Key, Values]()
        for key, values in self.entries.items():
            hidden = SECRETS.get(key[0], ())
            public[key] = {name: value for name, value in values.items() if name not in hidden}
            if secrets := {name: value for name, value in values.items() if name in hidden}:
                private[key] = secrets
        return _format(public), _format(private)

    def all(self) -> dict[Key, Values]:
        """Everything there is, built-in entries included."""
        return {**{key: dict(values) for key, values in BUILTIN.items()}, **self.entries}

    def of(self, *kinds: str) -> Iterator[tuple[str, str, Values]]:
        """Kind, name and values of every entry of some kinds."""
        for (kind, name), values in self.all().items():
            if kind in kinds:
                yield kind, name, values

    def origin(self, key: Key) -> str:
        """Where an entry comes from, in the API's words."""
        if key not in BUILTIN:
            return "user-created"
        return "modified-builtin" if key in self.entries else "builtin"

    def endpoint(self, name: str) -> tuple[str, Values]:
        """Kind and values of the endpoint of a name; raises 404."""
        for kind, other, values in self.of(*ENDPOINTS):
            if other == name:
                return kind, values
        raise AgentError(f"endpoint '{name}' does not exist", status=404)

    def require(self, key: Key) -> Values:
        """The values of an entry, which may be changed once it is put back; raises 404."""
        values = self.all().get(key)
        if values is None:
            kind, name = key
            text = f"matcher '{name}' not found" if kind == MATCHER else f"endpoint '{name}' does not exist"
            raise AgentError(text, status=404)
        return values

    def create(self, key: Key, values: Values) -> None:
        """Add an entry; raises 400 if its name is taken by one of any kind."""
        if any(name == key[1] for _, name in self.all()):
            raise AgentError(f"Cannot create '{key[1]}', an entity with the same name already exists", status=400)
        self._check_targets(values)
        self.entries[key] = values

    def put(self, key: Key, values: Values) -> None:
        """Replace the values of an entry that is there."""
        self._check_targets(values)
        self.entries[key] = values

    def remove(self, key: Key) -> None:
        """Remove an entry, or reset a built-in one; raises 404, or 400 while a matcher needs it."""
        self.require(key)
        if key[0] != MATCHER and key not in BUILTIN:
            users = [name for _, name, values in self.of(MATCHER) if key[1] in values.get("target", [])]
            if users:
                raise AgentError(f"cannot delete '{key[1]}', referenced by: {', '.join(sorted(users))}", status=400)
        self.entries.pop(key, None)

    def _check_targets(self, values: Values) -> None:
        for name in values.get("target", []):
            self.endpoint(name)
