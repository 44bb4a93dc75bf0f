# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans in files: what one run found out that it would change, for another to do exactly that.

Pure but for reading and writing. Private to this collection.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ._errors import InputError, StateError
from ._plan import Change
from ._run import private_directory
from ._whole_files import replace_file

FORMAT = 1
SHOWN = 10


@dataclass(frozen=True)
class Entry:
    """One planned change: the module that makes it, what it does, and every setting before and after."""

    module: str
    action: str
    object: str
    fields: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, module: str, described: Mapping[str, Any]) -> Entry:
        """From an entry of a module's ``plan``, in the form that it has in a file."""
        plain = json.loads(json.dumps(described, default=str))
        return cls(module, plain["action"], plain["object"], plain.get("fields") or {})

    @property
    def name(self) -> tuple[str, str, str]:
        """What makes it the same change, whatever its settings are."""
        return self.module, self.action, self.object

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {"module": self.module, "action": self.action, "object": self.object, "fields": self.fields}

    def __str__(self) -> str:
        return f"{self.action} {self.object}"


def differences(planned: Sequence[Entry], found: Sequence[Entry], *, missing: bool = True) -> list[str]:
    """Why what is found is not what was planned, in words; with ``missing`` also what was planned and is not found."""
    left: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in planned:
        left.setdefault(entry.name, []).append(entry)
    texts = []
    for entry in found:
        same = left.get(entry.name) or []
        if not same:
            texts.append(f"{entry} is not in the plan")
            continue
        if entry in same:
            same.remove(entry)
            continue
        texts += [f"{entry}: {text}" for text in _field_differences(same.pop(0), entry)]
    if missing:
        texts += [
            f"{entry} is in the plan, and there is nothing to be done" for each in left.values() for entry in each
        ]
    return texts


def _field_differences(planned: Entry, found: Entry) -> list[str]:
    texts = []
    for name in sorted({*planned.fields, *found.fields}):
        before, now = planned.fields.get(name), found.fields.get(name)
        if before != now:
            texts.append(f"{name} {_arrow(now)} instead of {_arrow(before)}")
    return texts


def _arrow(change: Mapping[str, Any] | None) -> str:
    return f"{change.get('before')!r} → {change.get('after')!r}" if change else "unchanged"


@dataclass(frozen=True)
class PlanFile:
    """A plan: ``targets`` are clusters and backup servers, each with its ``entries`` and numbers."""

    content: Mapping[str, Any]
    path: str = ""

    @classmethod
    def make(cls, targets: Mapping[str, Any], **about: Any) -> PlanFile:
        """A plan of what was found; the hash is over what would be done and nothing else."""
        return cls({"format": FORMAT, "hash": plan_hash(targets), **about, "targets": targets})

    @classmethod
    def read(cls, path: str) -> PlanFile:
        """Read a file. Raises :class:`InputError` if it is not a plan, or was changed by hand."""
        try:
            content = json.loads(Path(path).expanduser().read_text("utf-8"))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", where="plan") from error
        except ValueError as error:
            raise InputError(f"{path} is no plan: {error}", where="plan") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path} is no plan of this version", where="plan", hint="Make a new one: plan.yml.")
        if content.get("hash") != plan_hash(content["targets"]):
            raise InputError(f"{path} was changed after it was made", where="plan", hint="Make a new one: plan.yml.")
        return cls(content, path)

    def write(self, path: str) -> None:
        """Write it for its owner alone: it shows how the site is built."""
        target = Path(path).expanduser()
        private_directory(target.parent)
        replace_file(target, json.dumps(self.content, indent=1, ensure_ascii=False) + "\n")

    @property
    def hash(self) -> str:
        """Of what it would do."""
        return str(self.content["hash"])

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """The changes by target."""
        return {
            str(name): [Entry(**entry) for entry in target["entries"]]
            for name, target in self.content["targets"].items()
        }

    def allow(self, target: str, module: str, changes: Sequence[Change]) -> None:
        """A module may make these changes. Raises :class:`StateError` with what is not as planned."""
        planned = [entry for entry in self.entries.get(target, []) if entry.module == module]
        found = [Entry.of(module, change.describe()) for change in changes]
        refuse(self.path, target, differences(planned, found, missing=False))

    def compare(self, found: Mapping[str, Sequence[Entry]]) -> None:
        """All of what was found is all that was planned. Raises :class:`StateError`."""
        texts = []
        for target in sorted({*self.entries, *found}):
            wrong = differences(self.entries.get(target, []), found.get(target, []))
            texts += [f"{target}: {text}" for text in wrong]
        refuse(self.path, "", texts)


def refuse(path: str, target: str, texts: Sequence[str]) -> None:
    """Raise an error that names the differences, if there are any."""
    if not texts:
        return
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    of = f" for {target}" if target else ""
    raise StateError(
        f"this is not what the plan{of} says: {'; '.join(texts[:SHOWN])}{more}",
        where=path,
        hint="Somebody or something changed since it was made. Make a new one (plan.yml) and look at it. This "
        "task has changed nothing.",
    )


def plan_hash(targets: Mapping[str, Any]) -> str:
    """SHA-256 of the changes of all targets."""
    changes = {name: target["entries"] for name, target in targets.items() if target["entries"]}
    return hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()
