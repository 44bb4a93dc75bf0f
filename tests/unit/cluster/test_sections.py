# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files of sections, as somebody may have left them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agentstack.errors import AgentError
from agentstack.sections import SectionFile, SectionType

FILE = SectionFile("ha/resources.cfg", "ha", {"vm": SectionType()}, {"max_restart": "integer"})


def host_with(text: str) -> Any:
    return SimpleNamespace(files=SimpleNamespace(exists=lambda path: True, read=lambda path: text.encode()))


def test_what_is_written_twice_by_hand_is_told() -> None:
    text = "vm: 101\n\tmax_restart 2\n\n"
    entries, _ = FILE.read(host_with(text))
    assert entries["101"].values == {"max_restart": 2}
    with pytest.raises(AgentError, match=r"'/etc/pve/ha/resources\.cfg' - line 4: section '101' is already defined"):
        FILE.read(host_with(text * 2))
