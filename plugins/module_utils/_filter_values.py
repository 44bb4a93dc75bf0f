# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters make of times, retentions, property strings and corosync.conf. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from ._pure import corosync_conf
from ._pure.calendar_event import parse
from ._pure.prune import Backup, PruneOptions, mark_backups
from ._pure.time_zone import time_zone
from ._values import join_properties, split_properties


def next_times(event: str, count: int = 1, after: str | float | None = None, timezone: str = "UTC") -> list[str]:
    """The next times of a calendar event, ISO 8601 with the zone's offset. Raises ``ValueError``."""
    if not 1 <= count <= 1000:
        raise ValueError(f"count is {count}: 1 to 1000 are possible")
    zone = time_zone(timezone)
    start = int(datetime.now(zone).timestamp() if after is None else _seconds(after, timezone))
    return [
        datetime.fromtimestamp(each, zone).isoformat()
        for each in islice(parse(str(event)).occurrences(start, zone), count)
    ]


def simulate_prune(
    backups: Sequence[Any], keep: Mapping[str, Any] | str, timezone: str = "UTC"
) -> list[dict[str, Any]]:
    """What a retention does with the backups of one guest, newest first.

    Each is a time (Unix seconds or ISO 8601), or a mapping with ``time`` or the API's ``ctime`` or ``backup-time``, and
    ``protected``. The retention is ``{"keep_last": 3}`` or ``keep-last=3,…``. Raises ``ValueError``.
    """
    options = (
        PruneOptions.from_property_string(keep)
        if isinstance(keep, str)
        else PruneOptions.from_mapping(
            {name.replace("_", "-") if "keep" in name else f"keep-{name}": value for name, value in keep.items()}
        )
    )
    known = [_backup(each, timezone) for each in backups]
    zone = time_zone(timezone)
    marked = zip(known, mark_backups(known, options, timezone), strict=True)
    return [
        {"time": datetime.fromtimestamp(backup.time, zone).isoformat(), "epoch": backup.time, "mark": mark}
        for backup, mark in sorted(marked, key=lambda pair: -pair[0].time)
    ]


def _backup(given: Any, timezone: str) -> Backup:
    if not isinstance(given, Mapping):
        return Backup(_seconds(given, timezone))
    time = next((given[name] for name in ("time", "ctime", "backup-time") if name in given), None)
    if time is None:
        raise ValueError("a backup has neither time, ctime nor backup-time")
    return Backup(_seconds(time, timezone), protected=bool(int(given.get("protected") or 0)))


def _seconds(given: Any, timezone: str) -> int:
    """Unix seconds of a number or an ISO 8601 text, which without an offset is in the zone."""
    if isinstance(given, (int, float)):
        return int(given)
    text = str(given)
    if text.isdecimal():
        return int(text)
    time = datetime.fromisoformat(text)
    return int((time if time.tzinfo else time.replace(tzinfo=time_zone(timezone))).timestamp())


def properties(text: str, default_key: str = "") -> dict[str, str]:
    """``virtio=BC:24:11:00:00:01,bridge=vmbr0`` as data; a part without ``=`` belongs to ``default_key``."""
    found = split_properties(str(text), default_key)
    if "" in found:
        raise ValueError(f"'{found['']}' in '{text}' has no key: say which by default_key")
    return found


def to_properties(values: Mapping[str, Any], default_key: str = "") -> str:
    """The way back; the default key's value stands bare and first."""
    bare = {"" if default_key and key == default_key else str(key): value for key, value in values.items()}
    for key, value in bare.items():
        if "," in str(value) or "=" in key or "," in key:
            raise ValueError(f"'{key}={value}' cannot be written into a property string")
    return join_properties(bare)


def from_corosync_conf(text: str) -> dict[str, Any]:
    """A corosync.conf as data; the whole of it is the ``tree``. Raises ``ValueError``."""
    conf = corosync_conf.parse(text)
    return {
        "cluster": conf.totem.cluster_name,
        "config_version": conf.totem.config_version,
        "nodes": [
            {
                "name": node.name,
                "nodeid": node.nodeid,
                "votes": node.quorum_votes,
                "addresses": {number: node.addresses[number] for number in sorted(node.addresses)},
            }
            for node in conf.nodes
        ],
        "links": list(conf.links),
        "votes": {"expected": conf.expected_votes, "quorum": conf.quorum},
        "device": {"host": conf.device.host, "algorithm": conf.device.algorithm} if conf.device else None,
        "tree": corosync_conf.parse_tree(text),
    }


def to_corosync_conf(data: Mapping[str, Any]) -> str:
    """The text of a corosync.conf from the ``tree`` of :func:`from_corosync_conf`, or from all it gives."""
    tree = data.get("tree", data)
    text = corosync_conf.format_tree(_texts(tree))
    corosync_conf.parse(text)
    return text


def _texts(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(key): _texts(value) for key, value in tree.items()}
    return [_texts(each) for each in tree] if isinstance(tree, (list, tuple)) else str(tree)
