# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of one backup run, from the parameters of a call or the properties of a job (facts §13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstack._shared.lists import split_list
from agentstack._shared.prune import PruneOptions

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
)
"""What the first line of a log repeats."""


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
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Options:
        """From parameters or properties in the words of the API."""
        prune = values.get("prune-backups")
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
            given=values,
        )

    def command_line(self) -> str:
        """The run as a command, as logs begin."""
        words = ["vzdump", *map(str, self.vmids)]
        for name in _SHOWN:
            if name in self.given:
                value = self.given[name]
                words += [f"--{name}", f"'{value}'" if " " in str(value) or "{" in str(value) else str(value)]
        return " ".join(words)

    def notes(self, words: Mapping[str, str]) -> str | None:
        """The notes of a backup: the template with `{{guestname}}` and the like filled in."""
        if self.notes_template is None:
            return None
        text = self.notes_template.replace("\\n", "\n").replace("\\\\", "\\")
        for name, value in words.items():
            text = text.replace(f"{{{{{name}}}}}", value)
        return text
