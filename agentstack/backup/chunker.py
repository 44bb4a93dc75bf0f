# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting a stream by its content, so that what is equal in two streams makes equal chunks wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyfastcdc import FastCDC

AVERAGE = 4 * 1024 * 1024
SMALLEST, LARGEST = AVERAGE // 4, 4 * AVERAGE


def cut(stream: Path) -> Iterator[bytes]:
    """The chunks of a file in their order, 1 to 16 MiB each but for the last."""
    cutter = FastCDC(AVERAGE, min_size=SMALLEST, max_size=LARGEST)
    with stream.open("rb") as source:
        for chunk in cutter.cut_stream(source):
            yield bytes(chunk.data)
