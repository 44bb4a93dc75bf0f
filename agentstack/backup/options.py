# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of one backup run, from the parameters of a call or the properties of a job (facts §13)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstack._shared.lists import split_list
from agentstack._shared.property_string import PropertyStringError, parse_property_string
from agentstack._shared.prune import PruneOptions
from agentstack.api.formats import PROPERTY_STRINGS
from agentstack.backup.exclude import STANDARD
from agentstack.errors import ParameterError

DEFAULT_STORAGE = "local"
_SHOWN = (
    "all",
    "exclude",
    "pool",
    "storage",
    "mode",
    "compress",
    "node",
    "notes-template",
    "prune-backups",
    "protected",
    "bwlimit",
    "ionice",
    "fleecing",
    "performance",
    "zstd",
    "pigz",
    "stdexcludes",
    "exclude-path",
)
"""What the first line of a log repeats."""
NO_STORAGE = "'storage' is needed for fleecing"


@dataclass(frozen=True)
class Options:
    """One run. `vmids` empty: chosen otherwise; `stopwait` in minutes; `prune` None: as the storage says."""

    vmids: tuple[int, ...] = ()
    storage: str = DEFAULT_STORAGE
    mode: str = "snapshot"
    compress: str = "0"
    stopwait: int = 10
    lockwait: int = 180
    remove: bool = True
    protected: bool = False
    notes_template: str | None = None
    prune: PruneOptions | None = None
    bwlimit: int = 0
    """KiB a second of the disks that are read; 0: no limit."""
    ionice: int = 7
    exclude_paths: tuple[str, ...] = STANDARD
    """Patterns of a container's files that are left out."""
    fleecing: str | None = None
    """The storage of fleecing images."""
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Options:
        """From parameters or properties in the words of the API. Raises ParameterError."""
        prune = values.get("prune-backups")
        paths = values.get("exclude-path", ())
        standard = STANDARD if values.get("stdexcludes", 1) else ()
        return cls(
            vmids=tuple(sorted(int(word) for word in split_list(values.get("vmid")))),
            storage=values.get("storage", DEFAULT_STORAGE),
            mode=values.get("mode", "snapshot"),
            compress=str(values.get("compress", "0")),
            stopwait=values.get("stopwait", 10),
            lockwait=values.get("lockwait", 180),
            remove=bool(values.get("remove", 1)),
            protected=bool(values.get("protected", 0)),
            notes_template=values.get("notes-template"),
            prune=PruneOptions.from_property_string(prune) if prune else None,
            bwlimit=int(values.get("bwlimit", 0)),
            ionice=int(values.get("ionice", 7)),
            exclude_paths=(*standard, *(split_list(paths) if isinstance(paths, str) else paths)),
            fleecing=_fleecing(values.get("fleecing")),
            given=values,
        )

    def command_line(self) -> str:
        """The run as a command, as logs begin."""
        words = ["vzdump", *map(str, self.vmids)]
        for name in _SHOWN:
            values = self.given.get(name, ())
            for value in values if isinstance(values, list | tuple) else [values]:
                words += [f"--{name}", f"'{value}'" if re.search(r"[ {*?]", str(value)) else str(value)]
        return " ".join(words)

    def notes(self, words: Mapping[str, str]) -> str | None:
        """The notes of a backup: the template with `{{guestname}}` and the like filled in."""
        if self.notes_template is None:
            return None
        escapes = {"\\n": "\n", "\\\\": "\\"}
        text = re.sub(r"\\[n\\]", lambda found: escapes[found[0]], self.notes_template)
        return re.sub(r"\{\{([a-z]+)\}\}", lambda found: words.get(found[1], found[0]), text)


def _fleecing(text: str | None) -> str | None:
    try:
        found = parse_property_string(text, PROPERTY_STRINGS["backup-fleecing"]) if text else {}
    except PropertyStringError as error:
        raise ParameterError({"fleecing": f"invalid format - {error}\n"}) from error
    if not found.get("enabled"):
        return None
    if "storage" not in found:
        raise ParameterError({"fleecing": NO_STORAGE})
    return str(found["storage"])
