# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole whoever writes them, and however many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agentstack.durable import write_durably


def test_many_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "chunk"
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: write_durably(file, bytes([number]) * 4096, 0o600), range(64)))
    content = file.read_bytes()
    assert content == content[:1] * 4096
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["chunk"]
