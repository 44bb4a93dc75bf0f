# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of guests that are backed up alike, and the backup jobs that they come to.

A class has ``name``, ``schedule``, ``storage``, and selects by ``guests`` (numbers), ``pool``, ``tags`` (any of them)
or ``all`` (those that no other class selects). ``job`` holds further settings of the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SELECTIONS = ("guests", "pool", "tags", "all")

_TAG_SEPARATORS = re.compile(r"[;,\s]+")


def tags_of(guest: Mapping[str, Any]) -> set[str]:
    """A guest's tags, from the list of an inventory or the text of /cluster/resources."""
    tags = guest.get("tags") or []
    return set(filter(None, _TAG_SEPARATORS.split(tags))) if isinstance(tags, str) else {str(tag) for tag in tags}


def members(one: Mapping[str, Any], guests: Iterable[Mapping[str, Any]]) -> list[int]:
    """The numbers of the guests that a class names; of ``all``, none."""
    if one.get("guests"):
        return sorted({int(vmid) for vmid in one["guests"]})
    if one.get("pool"):
        return sorted(int(guest["vmid"]) for guest in guests if guest.get("pool") == one["pool"])
    wanted = {str(tag) for tag in one.get("tags") or []}
    return sorted(int(guest["vmid"]) for guest in guests if wanted & tags_of(guest))


def jobs_of(classes: Sequence[Mapping[str, Any]], guests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The jobs as the module backup_jobs takes them, one a class and called like it.

    A pool stays a pool, so that guests that come into it later are taken at once; tags become numbers, as jobs know
    none. A class that selects nobody has no job.
    """
    named = {str(one["name"]): members(one, guests) for one in classes if not one.get("all")}
    others = sorted({vmid for vmids in named.values() for vmid in vmids})
    jobs: list[dict[str, Any]] = []
    for one in classes:
        name = str(one["name"])
        if one.get("all"):
            selection: dict[str, Any] = {"all": True, "exclude": others}
        elif one.get("pool"):
            selection = {"pool": one["pool"]}
        elif named[name]:
            selection = {"guests": named[name]}
        else:
            jobs.append({"id": name, "state": "absent"})
            continue
        job = {key: value for key, value in (one.get("job") or {}).items() if value is not None}
        jobs.append({"id": name, "schedule": one["schedule"], "storage": one["storage"], **job, **selection})
    return jobs
