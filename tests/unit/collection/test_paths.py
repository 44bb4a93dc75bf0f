# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring between the nodes: all hosts at once, and none by more sessions than sshd allows."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _paths
from ansible_collections.quorate.pve.plugins.module_utils._hosts import Hosts


class Sessions:
    """Stands for the sessions: counts those of each host that are busy at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.busy: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def do(self, name: str, work: Callable[[Any], Any]) -> Any:
        with self.lock:
            self.busy[name] += 1
            self.most[name] = max(self.most[name], self.busy[name])
        try:
            return work(None)
        finally:
            with self.lock:
                self.busy[name] -= 1


def test_one_host_has_no_more_sessions_than_sshd_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    # the first so many wait for one another: without a limit it would be all threads
    together = threading.Barrier(_paths.SESSIONS)

    def measured(shell: Any, path: _paths.Path, count: int) -> _paths.Measured:
        if path.source == "pve1" and int(path.name) < _paths.SESSIONS:
            together.wait(timeout=60)
        return _paths.Measured(path)

    monkeypatch.setattr(_paths, "measure_path", measured)
    sources = [*(["pve1"] * 60), *(f"pve{number}" for number in range(2, 17))]
    paths = [_paths.Path(str(n), source, "pve99", "127.0.0.1", "127.0.0.2") for n, source in enumerate(sources)]
    sessions = Sessions()
    found = _paths.measure(cast(Hosts, sessions), paths, 3)
    assert [one.path for one in found] == paths
    assert sessions.most["pve1"] == _paths.SESSIONS
