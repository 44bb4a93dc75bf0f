# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A live view of a stack in the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live

from agentstack.commands import table

PERIOD = 0.5
"""Real seconds between two looks."""


def watch(look: Callable[[], dict[str, Any]], console: Console | None = None) -> None:
    """Show what `look` sees, until it sees a stack that is down, or an interruption."""
    with Live(table.status(look()), console=console, auto_refresh=False, screen=False) as live:
        up = True
        while up:
            answer = look()
            up = bool(answer["up"] or answer["pid"])
            live.update(table.status(answer), refresh=True)
            time.sleep(PERIOD if up else 0)
