# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Section files of /etc/pve as the API sees them: typed properties, fixed and required ones, `delete` and `digest`.

One table a file says which properties a section type has; reading, writing and the server's refusals follow from it
(facts §2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from agentstack._shared.lists import split_list
from agentstack._shared.section_config import (
    Section,
    SectionConfigError,
    config_digest,
    decode_text,
    encode_text,
    format_section_config,
    parse_section_config,
)
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "digest": "detected modified configuration - file changed by other user? Try again.",
    "unexpected": "unexpected property '{name}'",
    "required": "missing value for required option '{name}'",
    "fixed": "can't change value of fixed parameter '{name}'",
    "delete_unknown": "no such option '{name}'",
    "delete_required": "unable to delete required option '{name}'",
    "delete_fixed": "unable to delete fixed option '{name}'",
    "set_and_delete": "cannot set and delete property '{name}' at the same time!",
}

Kind = Literal["text", "comment", "boolean", "integer", "number"]


@dataclass(frozen=True)
class SectionType:
    """One type of section: its required properties, those that cannot change, all that it may have."""

    required: tuple[str, ...] = ()
    fixed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        return self.optional | self.fixed | frozenset(self.required)


@dataclass
class Entry:
    """A parsed section: `values` typed as the API answers them."""

    id: str
    type: str
    values: dict[str, Any] = field(default_factory=dict)


class SectionFile:
    """A section file in the cluster's store.

    `kinds` gives the properties that are no plain text. `key` is what the id is called in the API. `joined`: the id of
    a section is `TYPE:ID`, as in ha/resources.cfg, instead of ID.
    """

    def __init__(
        self,
        path: str,
        lock: str,
        types: Mapping[str, SectionType],
        kinds: Mapping[str, Kind],
        *,
        joined: bool = False,
    ) -> None:
        self.path = path
        self.lock = lock
        self.types = types
        self.kinds = {"comment": "comment", "disable": "boolean"} | dict(kinds)
        self.joined = joined
        self._required = {name: kind.required for name, kind in types.items()}
        self._parsed: tuple[bytes, dict[str, Entry]] = (b"", {})

    def read(self, host: Host) -> tuple[dict[str, Entry], str]:
        """The entries in the order of the file, and the digest of the file."""
        data = host.files.read(self.path) if host.files.exists(self.path) else b""
        if data != self._parsed[0]:
            self._parsed = data, self._parse(data)
        # callers change what they get
        entries = {name: Entry(name, entry.type, dict(entry.values)) for name, entry in self._parsed[1].items()}
        return entries, config_digest(data)

    def _parse(self, data: bytes) -> dict[str, Entry]:
        try:
            found = parse_section_config(data.decode("utf-8", "replace"))
        except SectionConfigError as error:
            # only a file that was written by hand
            raise AgentError(f"unable to parse '/etc/pve/{self.path}' - {error}") from error
        entries = {}
        for ident, section in found.items():
            name = f"{section.type}:{ident}" if self.joined else ident
            values = {key: self._decode(key, value) for key, value in section.properties.items()}
            entries[name] = Entry(name, section.type, values)
        return entries

    async def write(self, host: Host, entries: Iterable[Entry]) -> None:
        """Replace the file; to be called under its lock."""
        sections = {}
        for entry in entries:
            ident = entry.id.partition(":")[2] if self.joined else entry.id
            values = {key: self._encode(key, value) for key, value in entry.values.items()}
            sections[ident] = Section(entry.type, values)
        try:
            text = format_section_config(sections, self._required)
        except SectionConfigError as error:
            raise AgentError(str(error)) from error
        await host.files.write(self.path, text)

    def _decode(self, key: str, value: str) -> Any:
        match self.kinds.get(key, "text"):
            case "boolean":
                return int(value not in ("0", "no", "off", "false"))
            case "integer":
                return int(value)
            case "number":
                number = float(value)
                return int(number) if number.is_integer() else number
            case "comment":
                return decode_text(value)
        return value

    def _encode(self, key: str, value: Any) -> str:
        if key == "disable" and value:
            return ""
        if isinstance(value, bool):
            return str(int(value))
        return encode_text(str(value)) if self.kinds.get(key) == "comment" else str(value)

    @asynccontextmanager
    async def locked(self, host: Host, prefix: str = "") -> AsyncIterator[None]:
        """Hold the file's lock; every refusal meanwhile, and that of the lock itself, gets `prefix` in front."""
        try:
            async with host.files.lock(self.lock):
                yield
        except AgentError as error:
            error.message = prefix + error.message
            error.args = (error.message,)
            raise

    def check_create(self, kind: str, values: Mapping[str, Any]) -> None:
        """Raise AgentError for a property that the type does not have, or a required one that is missing."""
        known = self.types[kind]
        for name in values:
            if name not in known.all:
                raise AgentError(TEXTS["unexpected"].format(name=name))
        for name in known.required:
            if values.get(name) is None:
                raise AgentError(TEXTS["required"].format(name=name))

    def check_update(self, kind: str, values: Mapping[str, Any]) -> None:
        """Raise AgentError for a property that the type does not have or that is fixed."""
        known = self.types[kind]
        for name in values:
            if name not in known.all:
                raise AgentError(TEXTS["unexpected"].format(name=name))
            if name in known.fixed:
                raise AgentError(TEXTS["fixed"].format(name=name))

    def apply(self, entry: Entry, values: Mapping[str, Any], delete: str | None) -> None:
        """Delete, then set properties of an entry. Raises AgentError for what cannot be deleted."""
        known = self.types[entry.type]
        for name in split_list(delete):
            if name not in known.all:
                raise AgentError(TEXTS["delete_unknown"].format(name=name))
            if name in known.required:
                raise AgentError(TEXTS["delete_required"].format(name=name))
            if name in known.fixed:
                raise AgentError(TEXTS["delete_fixed"].format(name=name))
            if name in values:
                raise AgentError(TEXTS["set_and_delete"].format(name=name))
            entry.values.pop(name, None)
        entry.values |= values
        if entry.values.get("disable") == 0:
            del entry.values["disable"]


def check_digest(current: str, given: str | None) -> None:
    """Raise AgentError when a client's view of a file is not the present one."""
    if given and given != current:
        raise AgentError(TEXTS["digest"])
