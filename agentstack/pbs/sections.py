# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section files of /etc/proxmox-backup: `datastore: NAME`, then a tab, a key and a value a line.

A key with several values stands on several lines. The types of the values are those of the parameters that make a
section, so the files agree with the API by construction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentstack.api.tables import load
from agentstack.durable import write_durably
from agentstack.errors import AgentError

if TYPE_CHECKING:
    from agentstack.host import Host

CONFIG = "etc/proxmox-backup"
DIGEST = "detected modified configuration - file changed by other user? Try again."

Values = dict[str, Any]


@dataclass
class Sections:
    """What a file holds: the values of every section, by type and id, in the file's order; `digest` as clients see."""

    found: dict[str, dict[str, Values]]
    digest: str

    def of(self, kind: str) -> dict[str, Values]:
        """The sections of one type."""
        return self.found.setdefault(kind, {})


@dataclass(frozen=True)
class SectionFile:
    """One file. `declared` names for every type of section the path whose POST makes one."""

    name: str
    declared: Mapping[str, str]
    _types: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        types = {
            name: param.get("type", "string")
            for path in self.declared.values()
            for name, param in load("pbs4")[path]["POST"].params.items()
        }
        object.__setattr__(self, "_types", types)

    def read(self, host: Host) -> Sections:
        """The file's sections; a missing file is empty."""
        path = host.root / CONFIG / self.name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        found: dict[str, dict[str, Values]] = {kind: {} for kind in self.declared}
        values: Values = {}
        for line in text.splitlines():
            if line.startswith("\t"):
                key, _, value = line.strip().partition(" ")
                self._add(values, key, value)
            elif line:
                kind, _, ident = line.partition(": ")
                values = found.setdefault(kind, {}).setdefault(ident, {})
        return Sections(found, hashlib.sha256(text.encode()).hexdigest())

    def write(self, host: Host, sections: Sections) -> None:
        """Replace the file; it is on disk when this returns."""
        lines: list[str] = []
        for kind, entries in sections.found.items():
            for ident, values in entries.items():
                lines += [f"{kind}: {ident}", *self._lines(values), ""]
        text = "".join(f"{line}\n" for line in lines)
        write_durably(host.root / CONFIG / self.name, text.encode())
        sections.digest = hashlib.sha256(text.encode()).hexdigest()

    def _add(self, values: Values, key: str, text: str) -> None:
        match self._types.get(key, "string"):
            case "array":
                values.setdefault(key, []).append(text)
            case "boolean":
                values[key] = text == "true"
            case "integer":
                values[key] = int(text)
            case _:
                values[key] = text

    def _lines(self, values: Values) -> Iterator[str]:
        for key, value in values.items():
            for item in value if isinstance(value, list) else [value]:
                yield f"\t{key} {str(item).lower() if isinstance(item, bool) else item}"


def check_digest(sections: Sections, given: str | None) -> None:
    """Raise AgentError when a client's view of a file is not the present one (facts §20.1)."""
    if given is not None and given != sections.digest:
        raise AgentError(DIGEST)


DATASTORES = SectionFile("datastore.cfg", {"datastore": "/config/datastore"})
REMOTES = SectionFile("remote.cfg", {"remote": "/config/remote"})
SYNC_JOBS = SectionFile("sync.cfg", {"sync": "/config/sync"})
VERIFY_JOBS = SectionFile("verification.cfg", {"verification": "/config/verify"})
PRUNE_JOBS = SectionFile("prune.cfg", {"prune": "/config/prune"})
TRAFFIC = SectionFile("traffic-control.cfg", {"rule": "/config/traffic-control"})
USERS = SectionFile("user.cfg", {"user": "/access/users", "token": "/access/users/{userid}/token/{token-name}"})
METRICS = SectionFile(
    "metricserver.cfg",
    {kind: f"/config/metrics/{kind}" for kind in ("influxdb-http", "influxdb-udp")},
)
REALMS = SectionFile("domains.cfg", {kind: f"/config/access/{kind}" for kind in ("ad", "ldap", "openid")})
