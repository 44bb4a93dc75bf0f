# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets whose elements belong to nodes: ``*`` is every node, and nodes are dealt with side by side.

Private to this collection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from ._collection import Collection
from ._errors import ApplyError, QuorateError, StateError
from ._parallel import all_or_error, side_by_side
from ._plan import Change, Wanted, raise_all
from ._pure.lists import natural_sorted
from ._spec import IGNORE, Item, Key

EVERY = "*"


class NodeSet(Collection, ABC):
    """A collection whose first key is ``node``. What is said of one node wins over what is said of every node."""

    @abstractmethod
    def read(self, node: str) -> list[Item]:
        """The objects of one node, normalised."""

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """``*`` becomes every member that is online."""
        named = {self.spec.key(want.item) for want in wanted if want.item["node"] != EVERY}
        prepared: list[Wanted] = []
        errors: list[QuorateError] = []
        for want in wanted:
            if want.state == IGNORE:
                continue
            try:
                nodes = [str(want.item["node"])] if want.item["node"] != EVERY else self._online(want.where)
                for node in nodes:
                    each = replace(want, item={**want.item, "node": node})
                    if want.item["node"] != EVERY:
                        self._check_node(node, want.where)
                    elif self.spec.key(each.item) in named:
                        continue
                    prepared.append(each)
            except QuorateError as error:
                errors.append(error)
        raise_all(errors)
        return prepared

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The nodes that are named, side by side."""
        names = natural_sorted({str(want.item["node"]) for want in wanted} & set(self.api.nodes))
        names = [name for name in names if self.api.online(name)]
        found = all_or_error(side_by_side(self.read, names))
        return {self.spec.key(item): item for items in found for item in items}

    def apply(self, changes: Sequence[Change]) -> None:
        """Node by node side by side, the changes of one node one after another."""
        by_node: dict[str, list[Change]] = {}
        for change in changes:
            by_node.setdefault(str(change.key[0]), []).append(change)
        results = all_or_error(side_by_side(self.change_node, by_node.values()))
        done = [change for made, _error in results for change in made]
        errors = [error for _made, error in results if error is not None]
        if errors:
            not_done = [change for change in changes if change not in done]
            raise ApplyError(errors, [c.describe() for c in done], [c.describe() for c in not_done])

    def change_node(self, changes: Sequence[Change]) -> tuple[list[Change], QuorateError | None]:
        """All changes of one node: those that were made, and what went wrong then."""
        done: list[Change] = []
        for change in changes:
            try:
                self.change_one(change)
            except QuorateError as error:
                return done, error
            done.append(change)
        return done, None

    def _online(self, where: str) -> list[str]:
        nodes = self.api.nodes
        for node in natural_sorted(node for node in nodes if not self.api.online(node)):
            self.api.warn(f"{where}: {node} is offline and left out")
        if self.api.check_mode and len(nodes) == 1:
            self.api.unknown.append(f"{where}: nodes that join the cluster later are not known yet")
        return natural_sorted(node for node in nodes if self.api.online(node))

    def _check_node(self, node: str, where: str) -> None:
        self.api.check_reference("node", node, where)
        if node in self.api.nodes and not self.api.online(node):
            raise StateError(f"{node} is offline", where=where, hint="Bring it back, or leave it out.")
