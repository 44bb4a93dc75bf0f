# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's part about restores that were tried, from their records. Pure. Private to this collection.

Lines of ``restore_test_results`` (docs/backup.md), and what other tools write (docs/report.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._report_raw import Raw, Row
from ._report_words import ERROR, GOOD, INFO, finding, listed, moment, size, span


def restores_of(raw: Raw) -> list[dict[str, Any]]:
    """The last test of each guest that is there, failed ones first, then those that lie farthest back."""
    tests: dict[int, list[dict[str, Any]]] = {}
    for record in raw.restores:
        test = _test(record)
        if record.get("cluster") in (None, "", raw.membership.cluster) and test and test["guest"] in raw.facts.guests:
            tests.setdefault(test["guest"], []).append(test)
    rows = []
    for vmid, mine in tests.items():
        mine.sort(key=lambda test: test["time"])
        last = mine[-1]
        good = [test["time"] for test in mine if test["ok"]]
        rows.append(
            {
                **last,
                "name": str(raw.facts.guests[vmid].get("name") or ""),
                "when": moment(last["time"]),
                "ago": f"{span(raw.now - last['time'])} ago",
                "tests": len(mine),
                "last_good": good[-1] if good else None,
                "severity": GOOD if last["ok"] else ERROR,
                "text": _words(last),
            }
        )
    return sorted(rows, key=lambda row: (row["ok"], row["time"], row["guest"]))


def _test(record: Row) -> dict[str, Any] | None:
    """One record in the report's own terms; None for what names no guest or no time."""
    number = str(record.get("guest") or record.get("vmid") or "").rpartition(":")[2]
    stamp = _number(record.get("finished") or record.get("time"))
    if not number.isdigit() or not stamp:
        return None
    return {
        "guest": int(number),
        "time": stamp,
        "ok": bool(record.get("ok", record.get("passed"))),
        "node": str(record.get("node") or ""),
        "backup": str(record.get("backup") or ""),
        "seconds": record.get("seconds"),
        "boot_seconds": record.get("boot_seconds"),
        "bytes": record.get("bytes"),
        "agent": record.get("agent"),
        "error": str(record.get("error") or ""),
    }


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _words(test: Mapping[str, Any]) -> str:
    if not test["ok"]:
        return f"failed: {test['error'] or 'nobody wrote down why'}"
    parts = []
    if test["seconds"] is not None:
        much = f"{size(_number(test['bytes']))} " if test["bytes"] else ""
        parts.append(f"{much}restored in {span(_number(test['seconds']))}")
    if test["boot_seconds"] is not None:
        parts.append(f"started {span(_number(test['boot_seconds']))} later")
    if test["agent"]:
        parts.append("its agent answered")
    return ", ".join(parts) or "restored"


def restored_of(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """By guest, when a restore of it was last tried with success (epoch seconds)."""
    return {row["guest"]: row["last_good"] for row in rows if row["last_good"]}


def restore_findings(
    rows: Sequence[Mapping[str, Any]], guests: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, str]]:
    """Guests whose last test failed; those that have backups and were never tested."""
    for row in rows:
        if not row["ok"]:
            text = f"guest {row['guest']}: the last restore test ({row['when']}) {row['text']}"
            fix = f"Back it up anew, and test again: playbooks/restore_test.yml -e restore_guest={row['guest']}"
            yield finding(ERROR, "backups", str(row["guest"]), text, fix)
    tested = {row["guest"] for row in rows}
    never = [str(each["vmid"]) for each in guests if each["newest"] and each["vmid"] not in tested]
    if never:
        whom = f"guest {never[0]}'s backups were" if len(never) == 1 else f"backups of {len(never)} guests were"
        text = f"{whom} never restored to see that they can be ({listed(never)})"
        yield finding(INFO, "backups", never[0], text, "Let playbooks/restore_test.yml go round, by a timer.")
