# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a backup may be. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import InputError
from ._pure.time_span import parse_time_span


def max_age_of(params: Mapping[str, Any]) -> float | None:
    """The option ``max_age`` in seconds, None if it is not given. Raises :class:`InputError`."""
    text = params.get("max_age")
    if text is None:
        return None
    try:
        return parse_time_span(str(text))
    except ValueError as error:
        raise InputError(str(error), where="max_age", hint="It is like 90min, 24h or 1d 12h.") from error
