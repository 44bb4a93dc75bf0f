# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a network number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentstack import ports, stackfile
from agentstack.reader import StackError

from ...stacks import free_net


def test_who_holds_a_number_is_told_however_often_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder accepts no connection: the queue of those who have asked is full some time."""
    monkeypatch.setattr(ports, "QUESTIONS", 1)
    stack = stackfile.loads("hosts: {any: {}}", net=free_net())
    _, claim = ports.claim_net(stack, Path())
    said = []
    with claim:
        for _ in range(5):
            with pytest.raises(StackError) as refused:
                ports.claim_net(stack, Path())
            said.append(str(refused.value))
    assert f"process {os.getpid()}" in said[0]
    assert "process" not in said[-1]
