# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup server has: datastores, how full they are, the newest backup of each group.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._api import Api, Result
from ._client import Client
from ._dialect import PBS
from ._errors import ApiError, StateError


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    api = Api.open(params, check_mode, PBS)
    try:
        return _info(api, params)
    finally:
        api.client.close()


def _info(api: Api, params: Mapping[str, Any]) -> Result:
    visible = [str(row["store"]) for row in api.client.get("/admin/datastore")]
    missing = [store for store in params["datastores"] if store not in visible]
    if missing:
        raise StateError(
            f"{api.client.host} has no datastore {', '.join(missing)}, or this login may not see it",
            where="datastores",
            hint=f"It shows: {', '.join(visible) or 'none'}.",
        )
    stores = [_store(api.client, store, with_groups=params["groups"]) for store in params["datastores"] or visible]
    newest = [group["newest"] for store in stores for group in store["groups"] if group["newest"]]
    return {
        "changed": False,
        "version": str(api.client.get("/version")["version"]),
        "datastores": stores,
        "newest": max(newest, default=None),
        "privileges": _privileges(api.client),
        "calls": len(api.client.calls),
    }


def _privileges(client: Client) -> dict[str, list[str]]:
    """What this login may do, by path."""
    held = client.get("/access/permissions")
    return {str(path): sorted(held[path]) for path in sorted(held)}


def _store(client: Client, store: str, *, with_groups: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"store": store, "total": None, "used": None, "avail": None, "error": None, "groups": []}
    try:
        status = client.get(f"/admin/datastore/{store}/status")
        found |= {name: int(status[name]) for name in ("total", "used", "avail")}
    except ApiError as error:
        # a login for one namespace only, or a datastore out of service
        found["error"] = error.text
    if with_groups:
        try:
            found["groups"] = read_groups(client, store)
        except ApiError as error:
            found["error"] = error.text
    return found


def read_groups(client: Client, store: str, ns: str | None = None) -> list[dict[str, Any]]:
    """The groups in a namespace and below: ns, type, id, newest (epoch seconds), count, owner of each."""
    namespaces = client.get(f"/admin/datastore/{store}/namespace", parent=ns or None)
    rows: list[dict[str, Any]] = []
    for name in sorted(str(each["ns"]) for each in namespaces):
        groups = client.get(f"/admin/datastore/{store}/groups", ns=name or None)
        rows += [
            {
                "ns": name,
                "type": str(group["backup-type"]),
                "id": str(group["backup-id"]),
                "newest": int(group.get("last-backup") or 0),
                "count": int(group.get("backup-count") or 0),
                "owner": group.get("owner"),
            }
            for group in groups
        ]
    return sorted(rows, key=lambda row: (row["ns"], row["type"], row["id"]))
