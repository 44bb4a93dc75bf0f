# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a drill, and the record of it (docs/drill.md). Private to this collection."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._drill_plan import Plan
from ._drill_watch import Times, Watch

VERSION = 1


@dataclass
class Outcome:
    """What came of it. ``mended``: the second in which everything was put back; ``where``: who started where."""

    watch: Watch
    affected: list[str] = field(default_factory=list)
    times: Times = field(default_factory=Times)
    failures: list[str] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    mended: float = 0.0
    where: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.time)


def record_of(
    params: Mapping[str, Any], wanted: Plan, outcome: Outcome, facts: Mapping[str, Any], *, aborted: bool
) -> dict[str, Any]:
    """As plain data. ``facts``: what was known before."""
    watch = outcome.watch
    return {
        "version": VERSION,
        "cluster": params["cluster"],
        "scenario": wanted.scenario,
        "faults": [str(fault) for fault in wanted.faults],
        "lost": list(wanted.lost),
        "started": round(outcome.started, 3),
        "scale": watch.scale,
        "samples": watch.samples,
        "passed": not outcome.failures,
        "aborted": aborted,
        "failures": outcome.failures,
        "promises": {name: int(params[f"promise_{name}"]) for name in ("recovery", "service")},
        "times": outcome.times.describe(),
        "affected": outcome.affected,
        "data": outcome.data,
        "gaps": [
            {"vmid": gap.vmid, "since": round(gap.since, 1), "until": gap.until and round(gap.until, 1)}
            for gap in watch.gaps
        ],
        "events": [event.describe() for event in watch.in_order()],
        **facts,
    }


def write(record: Mapping[str, Any], directory: Path) -> Path:
    """Keep it, whole or not at all."""
    moment = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(record["started"]))
    path = directory / f"{record['cluster']}-{moment}-{record['scenario']}.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)
    return path
