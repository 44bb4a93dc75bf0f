# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's part about drills, from their records. Pure. Private to this collection.

docs/report.md describes what is read of a record; everything else in it is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._report_raw import Raw, Row, Wishes
from ._report_words import ERROR, GOOD, INFO, WARNING, finding, moment, span

_STEPS = {
    "detection": "the loss is noticed",
    "fence": "the node is fenced",
    "recovery": "its guests are given to other nodes",
    "service": "the last guest is back",
    "rest": "everything is where it belongs",
}


_NAMED = frozenset({"manager", "link", "storage", "ceph", "witness"})
_TOLD = _NAMED | {"node", "service", "drill"}
"""The kinds of a record's events that are worth a mark on the time line; of some the kind is told as well."""


def read_record(record: Row) -> Row:
    """A record of ``playbooks/drill.yml`` (docs/drill.md) as the report draws it; one that is so already stays."""
    if "times" not in record:
        return record
    ages = {int(each["vmid"]): each.get("age") for each in record.get("data") or () if each.get("replicated")}
    gone: dict[int, float] = {}
    for gap in record.get("gaps") or ():
        if gap.get("until") is not None:
            gone[int(gap["vmid"])] = gone.get(int(gap["vmid"]), 0.0) + _number(gap["until"]) - _number(gap["since"])
    guests = []
    for sid in record.get("affected") or ():
        vmid = int(str(sid).partition(":")[2])
        lost = f"what was written in {span(_number(ages[vmid]))}" if ages.get(vmid) else ""
        guests.append({"sid": sid, "gone": gone.get(vmid), "lost": lost})
    return {
        **{name: record.get(name) for name in ("cluster", "scenario", "started", "passed", "aborted")},
        "target": ", ".join(map(str, record.get("lost") or record.get("faults") or ())),
        "seconds": record["times"],
        "promised": record.get("promises"),
        "events": [
            {"at": event.get("second"), "text": _told(event)}
            for event in record.get("events") or ()
            if event.get("kind") in _TOLD and _number(event.get("second")) >= 0
        ],
        "guests": guests,
        "text": "; ".join(map(str, record.get("failures") or ())),
    }


def _told(event: Row) -> str:
    words = [event.get("kind") if event.get("kind") in _NAMED else "", event.get("name"), event.get("state")]
    return " ".join(str(word) for word in words if word)


def drills_of(raw: Raw, wishes: Wishes) -> list[dict[str, Any]]:
    """The drills of this cluster, the newest first."""
    records = [each for each in map(read_record, raw.drills) if "started" in each]
    mine = [each for each in records if each.get("cluster") in (None, "", raw.membership.cluster)]
    return [_drill(each, wishes) for each in sorted(mine, key=lambda each: -_number(each.get("started")))]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _drill(record: Row, wishes: Wishes) -> dict[str, Any]:
    promised = {"recovery": wishes.recovery_promised, "service": wishes.service_promised}
    promised |= {name: _number(value) for name, value in (record.get("promised") or {}).items() if name in promised}
    seconds = {
        name: _number(value)
        for name, value in (record.get("seconds") or {}).items()
        if name in _STEPS and value is not None
    }
    events = [
        {"at": at, "text": _STEPS[name], "severity": ERROR if at > promised.get(name, at) else GOOD}
        for name, at in seconds.items()
    ]
    events += [
        {"at": _number(event.get("at")), "text": str(event.get("text") or ""), "severity": INFO}
        for event in record.get("events") or ()
    ]
    events.sort(key=lambda event: _number(event["at"]))
    late = any(at > promised.get(name, at) for name, at in seconds.items())
    started = _number(record.get("started"))
    guests = [
        {"sid": str(each.get("sid") or ""), "gone": each.get("gone"), "lost": str(each.get("lost") or "")}
        for each in record.get("guests") or ()
    ]
    shown = [{"at": 0, "text": "the fault", "severity": WARNING}, *events]
    return {
        "title": f"{record.get('scenario') or 'drill'} {record.get('target') or ''}".strip(),
        "started": started,
        "when": f"{moment(started)} UTC" if started else "",
        "passed": bool(record.get("passed", not late)),
        "aborted": bool(record.get("aborted")),
        "length": max([_number(event["at"]) for event in shown] + [float(value) for value in promised.values()]) * 1.02,
        "events": shown,
        "promises": [{"at": at, "text": f"promised {name}"} for name, at in promised.items()],
        "guests": guests,
        "notes": [
            *(
                f"{each['sid']} was gone for {span(_number(each['gone']))}"
                + (f", lost: {each['lost']}" if each["lost"] else "")
                for each in guests
                if each["gone"] is not None
            ),
            *([str(record["text"])] if record.get("text") else []),
        ],
    }


def drilled_of(drills: Sequence[Mapping[str, Any]], now: int) -> dict[str, dict[str, Any]]:
    """By resource, the last drill that it took part in, and how long it was gone."""
    found: dict[str, dict[str, Any]] = {}
    for drill in drills:
        for each in drill["guests"]:
            if each["gone"] is not None and each["sid"] not in found:
                ago = f" {span(now - drill['started'])} ago" if drill["started"] else ""
                text = f"{span(_number(each['gone']))}{ago}"
                found[each["sid"]] = {"gone": _number(each["gone"]), "when": drill["when"], "text": text}
    return found


def drill_findings(drills: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The last drill of each kind, if it failed. One that was aborted tells nothing."""
    seen: set[str] = set()
    for drill in drills:
        if drill["aborted"]:
            continue
        if drill["title"] not in seen and not drill["passed"]:
            text = f"the last drill {drill['title']} failed ({drill['when']})"
            yield finding(WARNING, "drills", drill["title"], text, "Look at its time line below, and drill again.")
        seen.add(drill["title"])
