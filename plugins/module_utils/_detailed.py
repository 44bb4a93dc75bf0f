# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of which the list does not show all settings. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ._collection import Collection
from ._parallel import all_or_error, side_by_side
from ._plan import Wanted
from ._spec import PRESENT, Item, Key


class DetailedCollection(Collection):
    """Reads one by one, side by side, those of which settings are given."""

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The list, and more of those that are wanted."""
        found = self.by_key(self.api.client.get(self.spec.path))
        keys = [key for want in wanted if want.state == PRESENT and (key := self.spec.key(want.item)) in found]
        return {**found, **self._details(found[key] for key in keys)}

    def everything(self) -> dict[Key, Item]:
        """Each object's own answer."""
        return self._details(super().everything().values())

    def _details(self, items: Iterable[Item]) -> dict[Key, Item]:
        return self.by_key(all_or_error(side_by_side(self._read, items)))

    def _read(self, item: Item) -> dict[str, Any]:
        answer = self.api.client.get(self.spec.fill(self.spec.item_path, item))
        return {**answer, **{self.spec.field(name).api_name: item[name] for name in self.spec.keys}}
