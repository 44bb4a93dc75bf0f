# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of containers in backups: packed, cut, catalogued, and back again."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import IO, cast

import pytest

from agentstack.backup import chunker, files
from agentstack.backup.exclude import STANDARD, excluding
from agentstack.guests.guests import RECORDS
from agentstack.guests.process import AREA


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/hostname").write_text("box\n")
    (root / "etc/link").symlink_to("hostname")
    (root / RECORDS).parent.mkdir(parents=True)
    (root / RECORDS).write_bytes(b"QREC" * 100)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(b"data")
    return tmp_path


def packed(tree: Path) -> Path:
    stream = tree / "stream"
    files.pack(stream, [("/", tree / "root"), ("/srv/data", tree / "data")])
    return stream


def test_what_is_packed_comes_back(tree: Path) -> None:
    for name in ("new", "data-new"):
        (tree / name).mkdir()
    with packed(tree).open("rb") as stream:
        files.unpack(stream, [("/", tree / "new"), ("/srv/data", tree / "data-new")])
    assert (tree / "new/etc/hostname").read_text() == "box\n"
    assert (tree / "new/etc/link").readlink() == Path("hostname")
    assert (tree / "data-new/file").read_bytes() == b"data"
    assert not (tree / "new/srv/data/file").exists()


def test_a_raw_image_and_a_directory_take_each_others_place(tree: Path) -> None:
    image = tree / "image.raw"
    with packed(tree).open("rb") as stream:
        image.write_bytes(b"")
        with image.open("r+b") as file:
            file.truncate(2 * AREA)
        files.unpack(stream, [("/", image)])
    assert image.read_bytes()[AREA : AREA + 400] == b"QREC" * 100
    files.pack(tree / "again", [("/", image)])
    (tree / "back").mkdir()
    with (tree / "again").open("rb") as stream:
        files.unpack(stream, [("/", tree / "back")])
    assert (tree / "back" / RECORDS).read_bytes().rstrip(b"\0") == b"QREC" * 100


def test_single_files_come_out_of_chunks(tree: Path) -> None:
    content = packed(tree).read_bytes()
    pieces = [content[start : start + 700] for start in range(0, len(content), 700)]
    chunks = [(bytes([number]), number * 700, len(piece)) for number, piece in enumerate(pieces)]
    stream = cast(IO[bytes], files.ChunkedStream(chunks, lambda digest: pieces[digest[0]]))
    entries = files.read_catalogue(files.catalogue(tree / "stream"))
    assert [entry.path for entry in files.listing(entries, "/")] == ["/etc", "/var"]
    found = next(entry for entry in entries if entry.path == "/etc/hostname")
    assert b"".join(files.content_of(stream, found, entries, as_tar=False)) == b"box\n"
    folder = next(entry for entry in entries if entry.path == "/etc")
    archive = io.BytesIO(b"".join(files.content_of(stream, folder, entries, as_tar=True)))
    with tarfile.open(fileobj=archive) as found_archive:
        assert found_archive.getnames() == ["etc", "etc/hostname"]
    with pytest.raises(FileNotFoundError):
        files.listing(entries, "/nowhere")


def test_an_insertion_changes_few_chunks(tmp_path: Path) -> None:
    data = random.Random(7).randbytes(48 << 20)
    (tmp_path / "one").write_bytes(data)
    (tmp_path / "two").write_bytes(data[: 20 << 20] + b"inserted" + data[20 << 20 :])
    one, two = (set(chunker.cut(tmp_path / name)) for name in ("one", "two"))
    assert b"".join(chunker.cut(tmp_path / "one")) == data
    assert len(two - one) <= 2
    assert all(len(chunk) <= chunker.LARGEST for chunk in one)


@pytest.mark.parametrize(
    ("pattern", "left_out", "kept"),
    [
        ("/var/foo*", ["/var/foo", "/var/foobar"], ["/var/fo", "/srv/var/foo", "/var/foo/bar"]),
        ("bar", ["/bar", "/var/bar", "/var/foo/bar"], ["/bar2", "/foobar"]),
        ("a/*.log", ["/a/x.log", "/b/a/y.log"], ["/a/x/y.log", "/a/xlog"]),
        ("/tmp/?*", ["/tmp/x"], ["/tmp", "/tmp/x/y", "/var/tmp/x"]),
        ("/etc/[ab].conf", ["/etc/a.conf"], ["/etc/c.conf", "/etc/ab.conf"]),
        ("/etc/[!ab].conf", ["/etc/c.conf"], ["/etc/a.conf"]),
        ("/cache/", [], ["/cache", "/cache/x"]),
    ],
)
def test_patterns_leave_out_what_the_manual_says(pattern: str, left_out: list[str], kept: list[str]) -> None:
    excludes = excluding([pattern], tar=False)
    assert [path for path in [*left_out, *kept] if excludes(path, False)] == left_out


def test_a_slash_at_the_end_is_for_directories_and_unknown_to_tar(tree: Path) -> None:
    assert excluding(["/cache/"], tar=False)("/cache", True)
    assert not excluding(["/cache/"], tar=True)("/cache", True)


def test_what_is_excluded_is_not_packed(tree: Path) -> None:
    (tree / "root/tmp/cache").mkdir(parents=True)
    (tree / "root/tmp/cache/file").write_text("x")
    places = [("/", tree / "root"), ("/srv/data", tree / "data")]
    files.pack(tree / "stream", places, excluding([*STANDARD, "link", "/srv/data/*"], tar=True))
    with tarfile.open(tree / "stream") as archive:
        assert {name.removeprefix("./") for name in archive.getnames()} == {
            *(".", "etc", "etc/hostname", "srv/data", "tmp"),
            *("var", "var/lib", RECORDS),
        }
    image = tree / "image.raw"
    with image.open("wb") as file:
        file.truncate(2 * AREA)
    files.pack(tree / "stream", [("/", image)], excluding(["/var/"], tar=False))
    with tarfile.open(tree / "stream") as archive:
        assert [Path(name) for name in archive.getnames()] == [Path()]
