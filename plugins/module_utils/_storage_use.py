# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who would miss a storage: guests with disks on it, backup jobs that write to it. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._api import Api
from ._errors import ApiError
from ._parallel import all_or_error, side_by_side

# What of a storage's content belongs to guests that would not start without it
_DISKS = frozenset({"images", "rootdir"})
# How many users are named
_NAMED = 5


def users_of(api: Api, storages: Sequence[str]) -> dict[str, str]:
    """By storage that is in use, by whom, in words."""
    jobs = api.client.get("/cluster/backup")
    nodes = sorted(node for node in api.nodes if api.online(node))
    guests = set(api.guests)
    found = side_by_side(lambda storage: sorted(_owners(api, storage, nodes) & guests), storages)
    users = {
        storage: [f"guest {vmid}" for vmid in vmids]
        for storage, vmids in zip(storages, all_or_error(found), strict=True)
    }
    for job in jobs:
        if job.get("storage") in users:
            users[str(job["storage"])].append(f"backup job {job['id']}")
    return {storage: _words(found) for storage, found in users.items() if found}


def _owners(api: Api, storage: str, nodes: Sequence[str]) -> set[int]:
    """The numbers of the guests whose disks are on a storage, as far as these nodes see."""
    found: set[int] = set()
    for node in nodes:
        try:
            volumes: Sequence[Mapping[str, Any]] = api.client.get(f"/nodes/{node}/storage/{storage}/content")
        except ApiError:
            # not for this node, or not active there: another one answers for what is shared
            continue
        found |= {int(one["vmid"]) for one in volumes if one.get("content") in _DISKS and one.get("vmid")}
    return found


def _words(users: Sequence[str]) -> str:
    rest = len(users) - _NAMED
    return ", ".join(users[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
