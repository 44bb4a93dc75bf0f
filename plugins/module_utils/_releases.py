# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release nodes have, while a cluster is between two of them. Private to this collection.

A guest that runs may go to a node of the same or of a newer major release, never to an older one: what a newer QEMU
hands over an older one does not understand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

from ._api import Api
from ._errors import StateError
from ._parallel import all_or_error, side_by_side


def major_of(version: str) -> int:
    """The major release: 9 of ``9.2.11``."""
    return int(version.partition(".")[0])


class Releases:
    """The versions of the nodes that are online (``only`` those of them), asked for when they are first needed."""

    def __init__(self, api: Api, only: Collection[str] | None = None) -> None:
        self.api, self.only = api, only

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """Node -> version."""
        nodes = [name for name in self.api.nodes if self.api.online(name) and (self.only is None or name in self.only)]
        answers = side_by_side(lambda name: str(self.api.client.get(f"/nodes/{name}/version")["version"]), nodes)
        return dict(zip(nodes, all_or_error(answers), strict=True))

    def older_than(self, node: str) -> list[str]:
        """The nodes that no guest may go to from here."""
        there = self.versions
        return [name for name in there if node in there and major_of(there[name]) < major_of(there[node])]

    def refuse_back(self, what: Iterable[str], source: str, target: str, *, where: str = "node") -> None:
        """Raise :class:`StateError` if the guests ``what`` would go from a newer node to an older one."""
        names = ", ".join(sorted(what))
        if names and target in self.older_than(source):
            raise StateError(
                f"{names} would go from {source} ({self.versions[source]}) to {target} ({self.versions[target]}):"
                " a guest that runs never goes to an older release",
                where=where,
                hint=f"Upgrade {target} first (playbooks/upgrade.yml).",
            )
