# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Package repositories of nodes, by the handles that the server has for its own (facts §18). Private."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._errors import InputError
from ._node_sets import NodeSet
from ._plan import Change
from ._spec import Field, Item, Spec
from ._values import BOOLEAN

PATH = "/nodes/{node}/apt/repositories"

REPOSITORIES = Spec(
    kind="repository",
    option="repositories",
    keys=("node", "handle"),
    label_format="{handle} on {node}",
    path=PATH,
    item_path=PATH,
    states=(),
    fields=(
        Field("node", required=True, sent=False),
        Field("handle", required=True),
        Field("enabled", BOOLEAN, initial=True),
    ),
)

# handle -> end of the URI, names of the component
OWN = {
    "enterprise": ("debian/pve", ("pve-enterprise",)),
    "no-subscription": ("debian/pve", ("pve-no-subscription",)),
    "test": ("debian/pve", ("pvetest", "pve-test")),
}


class NodeRepositories(NodeSet):
    """Standard repositories, switched on and off."""

    spec = REPOSITORIES

    def read(self, node: str) -> list[Item]:
        answer = self.api.client.get(PATH.format(node=node))
        for problem in answer.get("errors") or ():
            self.api.warn(f"{node}: {problem.get('path')}: {problem.get('error')}")
        return [
            {"node": node, "handle": str(each["handle"]), "enabled": bool(int(each.get("status") or 0))}
            for each in answer["standard-repos"]
        ]

    def create(self, change: Change) -> None:
        """A handle that the server does not know."""
        raise InputError(f"{change.key[0]} knows no repository {change.key[1]}", where=change.where)

    def update(self, change: Change) -> None:
        """Add or enable it; or disable every line that is it."""
        path = PATH.format(node=change.key[0])
        answer = self.api.client.get(path)
        if change.set["enabled"]:
            self.api.client.put(path, {"handle": change.key[1], "digest": answer["digest"]})
            return
        for file, index in list(entries_of(answer, str(change.key[1]))):
            digest = self.api.client.get(path)["digest"]
            self.api.client.post(path, {"path": file, "index": index, "enabled": 0, "digest": digest})


def entries_of(answer: Mapping[str, Any], handle: str) -> Iterator[tuple[str, int]]:
    """File and index of the enabled entries that are the repository of a handle."""
    ceph = re.fullmatch(r"ceph-(\w+)-(enterprise|no-subscription|test)", handle)
    end, components = (f"debian/ceph-{ceph[1]}", (ceph[2],)) if ceph else OWN.get(handle, ("", ()))
    for file in answer["files"]:
        for index, entry in enumerate(file["repositories"]):
            uris = [str(uri).rstrip("/") for uri in entry["URIs"]]
            named = set(components) & set(entry.get("Components") or ())
            if int(entry.get("Enabled") or 0) and named and any(uri.endswith(end) for uri in uris):
                yield str(file["path"]), index
