# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading disks in pieces, backup files, and what the settings of a run say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.backup import archive
from agentstack.backup.images import Guest, Image, pieces
from agentstack.backup.options import Options
from agentstack.errors import AgentError
from agentstack.guests.config import QEMU, Place

SIZE = 100_000


def disk(path: Path, content: dict[int, bytes], size: int = SIZE) -> Image:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in content.items():
            file.seek(offset)
            file.write(data)
    return Image("scsi0", "local:100/vm-100-disk-0.raw", size, path)


def guest(*images: Image) -> Guest:
    return Guest(Place(100, QEMU, "pve1"), "web", "name: web\n", images)


@given(
    content=st.dictionaries(st.integers(0, SIZE - 100), st.binary(min_size=1, max_size=100), max_size=5),
    size=st.sampled_from([1 << 12, 1 << 15, SIZE, 2 * SIZE]),
)
def test_pieces_make_up_the_disk(
    tmp_path_factory: pytest.TempPathFactory, content: dict[int, bytes], size: int
) -> None:
    image = disk(tmp_path_factory.mktemp("disk") / "raw", content)
    whole = b""
    for piece in pieces(image, size):
        length = min(size, SIZE - len(whole))
        assert piece is None or (len(piece) == length and any(piece))
        whole += piece if piece is not None else bytes(length)
    assert whole == image.path.read_bytes()


@pytest.mark.parametrize("compress", ["0", "gzip", "zstd"])
def test_a_backup_file_gives_back_what_went_in(tmp_path: Path, compress: str) -> None:
    image = disk(tmp_path / "raw", {archive.PIECE + 5: b"data", 3 * archive.PIECE: b"more"}, 4 * archive.PIECE)
    path = tmp_path / f"backup.vma{archive.SUFFIXES[compress]}"
    assert archive.write(path, guest(image), compress) == (image.size, 2 * archive.PIECE)
    assert archive.read_header(path)["config"] == "name: web\n"
    restored = bytearray(image.size)
    for key, offset, data in archive.read(path):
        assert key == "scsi0"
        restored[offset : offset + len(data)] = data
    assert bytes(restored) == image.path.read_bytes()


def test_damage_in_a_backup_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "backup.vma"
    archive.write(path, guest(disk(tmp_path / "raw", {10: b"precious"})), "0")
    path.write_bytes(path.read_bytes().replace(b"precious", b"previous"))
    with pytest.raises(AgentError, match="scsi0 is damaged at 0"):
        list(archive.read(path))
    path.write_bytes(b"something else")
    with pytest.raises(AgentError, match="wrong magic number"):
        archive.read_header(path)


def test_settings_are_taken_from_the_words_of_the_api() -> None:
    values = {
        "vmid": "102 101",
        "storage": "pbs1",
        "prune-backups": "keep-last=2",
        "notes-template": "{{guestname}}\\nx",
    }
    options = Options.from_values(values)
    assert options.vmids == (101, 102)
    assert options.prune is not None
    assert options.prune.to_mapping() == {"keep-last": 2}
    assert options.notes({"guestname": "web"}) == "web\nx"
    escaped = Options.from_values({"notes-template": r"\\n {{vmid}} {{what}}"})
    assert escaped.notes({"guestname": "{{vmid}}", "vmid": "100"}) == r"\n 100 {{what}}"
    assert options.command_line() == (
        "vzdump 101 102 --storage pbs1 --notes-template '{{guestname}}\\nx' --prune-backups keep-last=2"
    )
    assert Options.from_values({"all": 1}).notes({}) is None
