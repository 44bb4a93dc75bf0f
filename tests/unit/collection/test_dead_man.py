# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node is told to do by itself when nobody calls it off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._dead_man import DeadMan


class Recorded:
    """Stands for the hosts and for the shell on one."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []

    def do(self, node: str, work: Callable[[Any], Any]) -> Any:
        return work(self)

    def run(self, line: Sequence[str]) -> None:
        self.lines.append(list(line))

    attempt = run


def test_a_switch_strikes_to_the_second_and_replaces_what_was_left_behind() -> None:
    hosts = Recorded()
    DeadMan(hosts, "back", 60).arm("pve1", [["/usr/bin/cp", "a", "b"], ["/usr/sbin/ifreload", "-a"]])  # type: ignore[arg-type]
    assert hosts.lines == [
        ["systemctl", "stop", "back.timer"],
        [
            *("systemd-run", "--unit=back", "--on-active=60s", "--timer-property=AccuracySec=1s", "--collect"),
            *("--property=ExecStartPre=/usr/bin/cp a b", "/usr/sbin/ifreload", "-a"),
        ],
    ]
