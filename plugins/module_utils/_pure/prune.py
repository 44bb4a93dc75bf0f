# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups a retention keeps: ``keep-last`` … ``keep-yearly`` as Proxmox VE and Proxmox Backup Server count them.

The rules work one after another, from ``keep-last`` to ``keep-yearly``. Each walks from the newest backup to the
oldest and keeps the newest one of every period until it has kept its number; periods in which an earlier rule kept
something are passed over without counting. Periods are those of local time; weeks are ISO weeks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, tzinfo
from typing import Literal

from .property_string import Schema, parse_property_string
from .time_zone import time_zone

Mark = Literal["keep", "keep-partial", "protected", "remove"]

_RULES = ("keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly")

#: property string schema of ``prune-backups``
PRUNE_SCHEMA: Schema = {
    "keep-all": {"type": "boolean", "optional": True},
    **{rule: {"type": "integer", "minimum": 0, "optional": True} for rule in _RULES},
}


def _iso_week(time: datetime) -> tuple[int, ...]:
    return time.isocalendar()[:2]


_PERIODS: Mapping[str, Callable[[datetime], tuple[int, ...]]] = {
    "keep_hourly": lambda time: (time.year, time.month, time.day, time.hour),
    "keep_daily": lambda time: (time.year, time.month, time.day),
    "keep_weekly": _iso_week,
    "keep_monthly": lambda time: (time.year, time.month),
    "keep_yearly": lambda time: (time.year,),
}


@dataclass(frozen=True)
class PruneOptions:
    """A retention. ``None`` = not set; the numbers are counts of backups."""

    keep_all: bool = False
    keep_last: int | None = None
    keep_hourly: int | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    keep_yearly: int | None = None

    @property
    def keeps_everything(self) -> bool:
        """Whether nothing is ever removed: ``keep-all``, or no rule at all."""
        return self.keep_all or all(count is None for count in self._counts)

    @property
    def _counts(self) -> list[int | None]:
        return [getattr(self, rule.replace("-", "_")) for rule in _RULES]

    @classmethod
    def from_mapping(cls, options: Mapping[str, object]) -> PruneOptions:
        """Make a retention from ``{"keep-daily": 7, ...}``; numbers may be text, ``keep-all`` any boolean form.

        Keys that are ``None`` count as not set. Raises ``ValueError`` for unknown keys, numbers below 0, and
        ``keep-all`` beside other rules.
        """
        given = {key: int(value) if isinstance(value, bool) else value for key, value in options.items()}
        text = ",".join(f"{key}={value}" for key, value in given.items() if value is not None)
        parsed = parse_property_string(text, PRUNE_SCHEMA)
        keep_all = bool(parsed.pop("keep-all", False))
        counts = {key.replace("-", "_"): int(value) for key, value in parsed.items()}
        if keep_all and any(counts.values()):
            raise ValueError("keep-all cannot be set together with other options.")
        return cls(True) if keep_all else cls(False, **counts)

    @classmethod
    def from_property_string(cls, text: str) -> PruneOptions:
        """Parse a ``prune-backups`` value, ``keep-last=3,keep-daily=7``.

        Empty, or all numbers zero, is ``keep-all=1`` (facts §2, format ``prune-backups``). Raises ``ValueError``.
        """
        options = cls.from_mapping(parse_property_string(text, PRUNE_SCHEMA))
        return options if any(options._counts) else cls(keep_all=True)

    def to_mapping(self) -> dict[str, int]:
        """Give the options that are set, ``{"keep-daily": 7}``, in the order in which the rules work."""
        values = {entry.name.replace("_", "-"): getattr(self, entry.name) for entry in fields(self)}
        return {key: int(value) for key, value in values.items() if value is not None and value is not False}

    def to_property_string(self) -> str:
        """Write as ``prune-backups`` value, keys sorted as in storage.cfg (observed: ``keep-daily=7,keep-last=3``)."""
        return ",".join(f"{key}={value}" for key, value in sorted(self.to_mapping().items()))


@dataclass(frozen=True)
class Backup:
    """What pruning has to know of a backup: ``time`` in Unix seconds; ``partial`` = unfinished."""

    time: int
    protected: bool = False
    partial: bool = False


def mark_backups(backups: Sequence[Backup], options: PruneOptions, tz: str | tzinfo) -> list[Mark]:
    """Decide on the backups of *one group* (one guest); the marks come in the order of ``backups``.

    ``protected`` ones stay and count for no rule. Of unfinished ones only the newest stays (``keep-partial``), and only
    if nothing finished is newer. A retention that keeps everything keeps everything; one whose numbers are all zero
    removes everything. ``tz`` is the host's time zone (IANA name or ``tzinfo``); an unknown name raises ``ValueError``.
    """
    zone = time_zone(tz)
    if options.keeps_everything:
        return ["protected" if backup.protected else "keep" for backup in backups]
    newest_first = sorted(range(len(backups)), key=lambda index: backups[index].time, reverse=True)
    marks: dict[int, Mark] = {}
    for position, index in enumerate(newest_first):
        if backups[index].protected:
            marks[index] = "protected"
        elif backups[index].partial:
            marks[index] = "remove" if position else "keep-partial"
    local = {index: datetime.fromtimestamp(backups[index].time, zone) for index in newest_first}
    _apply_rule(newest_first, marks, options.keep_last, {index: (index,) for index in newest_first})
    for name, period in _PERIODS.items():
        _apply_rule(
            newest_first, marks, getattr(options, name), {index: period(local[index]) for index in newest_first}
        )
    return [marks.get(index, "remove") for index in range(len(backups))]


def _apply_rule(
    newest_first: Sequence[int], marks: dict[int, Mark], keep: int | None, periods: Mapping[int, tuple[int, ...]]
) -> None:
    covered = {periods[index] for index, mark in marks.items() if mark == "keep"}
    kept: set[tuple[int, ...]] = set()
    for index in newest_first:
        period = periods[index]
        if index in marks or period in covered:
            continue
        if period in kept:
            # settled: a later rule must not bring it back
            marks[index] = "remove"
        elif len(kept) >= (keep or 0):
            break
        else:
            kept.add(period)
            marks[index] = "keep"
