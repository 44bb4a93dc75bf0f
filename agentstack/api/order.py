# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collections that the real server answers in the order of a hash: none (facts §22, trap 30)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def shuffled(items: Iterable[T]) -> list[T]:
    """The items in an order that no client may rely on."""
    found = list(items)
    random.shuffle(found)
    return found
