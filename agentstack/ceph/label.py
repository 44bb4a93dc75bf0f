# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which OSDs have their data on a disk: a list of their uuids that stands on the disk itself.

The objects lie beside the disk's image, `STATE/hosts/NAME/osd/UUID.db`; without the disk that names them they are lost.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

_OFFSET = 1 << 16
_LENGTH = 4096


def read(image: Path) -> list[str]:
    """The uuids of the OSDs on a disk."""
    try:
        with image.open("rb") as file:
            file.seek(_OFFSET)
            data = file.read(_LENGTH).rstrip(b"\0")
    except FileNotFoundError:
        return []
    try:
        found = json.loads(data)
    except ValueError:
        return []
    return [str(each) for each in found["osds"]] if isinstance(found, dict) and "osds" in found else []


def add(image: Path, uuid: str) -> None:
    """Note one more OSD on a disk, durably."""
    data = json.dumps({"osds": [*read(image), uuid]}).encode().ljust(_LENGTH, b"\0")
    with image.open("r+b") as file:
        os.pwrite(file.fileno(), data, _OFFSET)
        os.fsync(file.fileno())
