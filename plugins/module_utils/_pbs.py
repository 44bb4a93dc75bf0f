# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of Proxmox Backup Server share. Private to this collection."""

from __future__ import annotations

from typing import Any

from ._collection import Collection
from ._dialect import PBS
from ._module import CONNECTION
from ._plan import Change
from ._pure.units import format_bytes, parse_bytes
from ._trust import normalise_fingerprint
from ._values import Form


def pbs_arguments(**options: Any) -> dict[str, Any]:
    """A module's argument spec: its options with those of the connection, which have a backup server's defaults."""
    connection = {name: dict(option) for name, option in CONNECTION.items()}
    for option in connection.values():
        if "fallback" in option:
            function, names = option["fallback"]
            option["fallback"] = (function, [name.replace("PVE_", f"{PBS.environment}_") for name in names])
    connection["api_port"]["default"] = PBS.port
    return {**connection, **options}


class PbsCollection(Collection):
    """All objects of one kind on one backup server."""

    dialect = PBS

    def update(self, change: Change) -> None:
        """PUT the settings that differ; ``delete`` is a list here (facts §20.1)."""
        payload = {**self.spec.payload(change.set), **self.held(change)}
        if change.unset:
            payload["delete"] = [self.spec.field(name).api_name for name in change.unset]
        self.finish(self.api.client.put(self.spec.fill(self.spec.item_path, change.actual), payload), change)

    def delete(self, change: Change) -> None:
        """DELETE, which takes the digest here."""
        path = self.spec.fill(self.spec.item_path, change.actual)
        self.finish(self.api.client.delete(path, self.held(change)), change)


def _namespace(value: Any) -> str | None:
    return str(value).strip("/") or None


def _repeated(value: Any) -> list[str] | None:
    return [str(each) for each in value] or None


def _byte_count(value: object) -> str | None:
    """As the server writes it, if that is exact."""
    if not value:
        return None
    size = parse_bytes(str(value))
    for text in (format_bytes(size), format_bytes(size, decimal=True)):
        if parse_bytes(text) == size:
            return text
    return f"{size} B"


BYTE_COUNT = Form(_byte_count, str, "str")
# a number of which zero means that it is not set: the server takes none below one
COUNT = Form(lambda value: int(value) or None, int, "int")
NAMESPACE = Form(_namespace, str, "str")
# a parameter that is given once for each of its values (facts §20.1)
REPEATED = Form(_repeated, list, "list", "str")
# the server keeps what it was given, and has small letters itself
FINGERPRINT = Form(lambda value: normalise_fingerprint(value).lower() if value else None, str, "str")
