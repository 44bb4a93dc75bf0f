# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values without what Ansible has wrapped them in. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value in containers of Python's own.

    Ansible hands out containers whose templates are filled in when they are looked at; a copy of such a container
    copies its template engine, which does not survive it.
    """
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in value}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def bare(value: Any) -> Any:
    """Plain all the way down, for what is looked at and not handed on: texts and numbers without Ansible's marks, too.

    The marks say where a value comes from and whether it may be templated; copying them takes six times as long.
    """
    if isinstance(value, Mapping):
        return {bare(key): bare(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [bare(each) for each in value]
    kind = next((kind for kind in (bool, str, int, float) if isinstance(value, kind)), None)
    return value if kind in (None, bool) else kind(value)
