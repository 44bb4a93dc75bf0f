# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph on the members of a cluster: what is there, and calls that know why nothing may be there yet.

Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._api import Api
from ._errors import ApiError, StateError
from ._pure.lists import natural_sorted

# Texts of facts §11.1
NOT_INSTALLED = re.compile(r"binary not installed")
NOT_CONFIGURED = re.compile(r"pveceph configuration not initialized|ceph not fully configured")
UNREACHABLE = re.compile(r"got timeout|rados_connect failed|Could not connect to ceph cluster")

# The member that answers carries out what concerns the whole cluster (facts §1.4)
HERE = "/nodes/localhost/ceph"


def absent(error: ApiError) -> bool:
    """Whether an answer says that Ceph is not there (yet): not installed, not configured, no monitor that answers."""
    return any(error.says(pattern) for pattern in (NOT_INSTALLED, NOT_CONFIGURED, UNREACHABLE))


def read(api: Api, path: str, where: str, **params: Any) -> Any:
    """GET; None in check mode where Ceph would only be made by an earlier step. Raises ApiError, StateError."""
    try:
        return api.client.get(path, **params)
    except ApiError as error:
        if not absent(error):
            raise
        if api.check_mode:
            api.unknown.append(f"{where}: Ceph does not answer yet ({error.text})")
            return None
        raise StateError(
            f"Ceph does not answer: {error.text}",
            where=where,
            hint="Install and configure it first (ceph_install, ceph_config, ceph_monitors).",
        ) from error


def group_states(status: Mapping[str, Any]) -> dict[str, int]:
    """State -> how many placement groups are in it, of an answer of ``/cluster/ceph/status``."""
    states = (status.get("pgmap") or {}).get("pgs_by_state") or ()
    return {str(each["state_name"]): int(each["count"]) for each in states}


def inactive_groups(status: Mapping[str, Any]) -> dict[str, int]:
    """Those of :func:`group_states` in which data cannot be reached."""
    return {state: count for state, count in group_states(status).items() if "active" not in state.split("+")}


def check_nodes(api: Api, nodes: Mapping[str, str]) -> None:
    """Every node (by name, with the place that names it) must be an online member; in check mode it may come later."""
    for node, where in nodes.items():
        api.check_reference("node", node, where)
        if node in api.nodes and not api.online(node):
            raise StateError(f"{node} is offline", where=where, hint="Bring it back, or leave it out.")


def members(api: Api) -> list[str]:
    """The members that are online."""
    return natural_sorted(node for node in api.nodes if api.online(node))


def osds_of(tree: Mapping[str, Any], node: str) -> Iterator[str]:
    """The OSDs (``osd.3``) under a node in the tree of GET .../ceph/osd."""
    if tree.get("type") == "host" and tree.get("name") == node:
        yield from (str(each.get("name")) for each in tree.get("children") or [])
        return
    for child in tree.get("children") or []:
        yield from osds_of(child, node)
