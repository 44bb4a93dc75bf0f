# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chunk store as a library, beside restic and borg on the same data in the same run.

It has its chunks of a fixed size to its favour: the others cut by content and encrypt or authenticate besides.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from .report import Report, seconds

_MIB = 1 << 20
GROUP = Group("", "vm", "100")
IMAGE = "drive-scsi0.img.fidx"
SMALL = 4096


def run(report: Report) -> None:
    """Ingest, restore and verify of an image half of which is there twice; then how time grows with the chunks."""
    with tempfile.TemporaryDirectory(prefix="bench-backup-") as name:
        folder = Path(name)
        size = report.size(1 << 30, 64 << 20)
        image = folder / "image"
        _write_image(image, size)
        found, memory = _measured(_own, folder, image)
        others = {"restic": _restic(folder, image), "borg": _borg(folder, image)}
        for number, work in enumerate(("ingest", "restore", "verify")):
            name = f"{work} of {size >> 20} MiB, half of it duplicates"
            for tool, times in others.items():
                if times:
                    report.add(name, found[number], "s", against=(tool, times[number]))
                else:
                    report.add(name, found[number], "s", note=f"{tool} is not installed")
        report.add("memory of ingest, restore and verify at most", memory / _MIB, "MiB", aim=300)
        _growth(report, folder)


def _write_image(path: Path, size: int) -> None:
    """Random data, and all of it once more."""
    with path.open("w+b") as file:
        for _ in range(size // CHUNK_SIZE // 2):
            file.write(os.urandom(CHUNK_SIZE))
        for start in range(0, size // 2, CHUNK_SIZE):
            file.flush()
            file.write(os.pread(file.fileno(), CHUNK_SIZE, start))


def _measured(work: Callable[[Path, Path], list[float]], folder: Path, image: Path) -> tuple[list[float], int]:
    """The answer of `work` in a process of its own, and the most memory that it had, in bytes."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_back, args=(sender, work, folder, image))
    process.start()
    found, memory = receiver.recv()
    process.join()
    return found, memory


def _report_back(sender: object, work: Callable[[Path, Path], list[float]], folder: Path, image: Path) -> None:
    found = work(folder, image)
    sender.send((found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))  # type: ignore[attr-defined]


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while data := file.read(size):
            yield data


def _own(folder: Path, image: Path) -> list[float]:
    store = Datastore("bench", folder / "store")
    store.create()
    size = image.stat().st_size

    def ingest() -> None:
        with store.backup(GROUP, 1000, "root@pam", 1000.0) as writer:
            digests = [writer.chunk(data) for data in _pieces(image, CHUNK_SIZE)]
            writer.image(IMAGE, FixedIndex(size, digests, 1000))

    def restore() -> None:
        with (folder / "restored").open("wb") as file:
            for digest, start, _ in store.index(Snapshot(GROUP, 1000), IMAGE).chunks():
                file.seek(start)
                file.write(store.chunks.read(digest))

    def verify() -> None:
        for digest in dict.fromkeys(store.index(Snapshot(GROUP, 1000), IMAGE).digests):
            store.chunks.verify(digest)

    times = [seconds(work) for work in (ingest, restore, verify)]
    if _digest(folder / "restored") != _digest(image):
        raise AssertionError("what was restored is not what was stored")
    (folder / "restored").unlink()
    return times


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tool(commands: list[list[str]], environment: dict[str, str], cwd: Path) -> list[float]:
    """The times of all commands but the first, which makes the repository."""

    def call(command: list[str]) -> None:
        subprocess.run(command, env={**os.environ, **environment}, cwd=cwd, check=True, capture_output=True)

    call(commands[0])
    return [seconds(lambda command=command: call(command)) for command in commands[1:]]  # type: ignore[misc]


def _restic(folder: Path, image: Path) -> list[float]:
    if shutil.which("restic") is None:
        return []
    base = ["restic", "--no-cache", "--quiet", "-r", str(folder / "restic")]
    target = folder / "out-restic"
    words = [["init"], ["backup", str(image)], ["restore", "latest", "--target", str(target)], ["check", "--read-data"]]
    times = _tool([[*base, *command] for command in words], {"RESTIC_PASSWORD": "bench"}, folder)
    shutil.rmtree(target)
    return times


def _borg(folder: Path, image: Path) -> list[float]:
    if shutil.which("borg") is None:
        return []
    repository, target = str(folder / "borg"), folder / "out-borg"
    target.mkdir()
    commands = [
        ["borg", "init", "-e", "none", repository],
        ["borg", "create", f"{repository}::a", image.name],
        ["sh", "-c", f"cd '{target}' && borg extract '{repository}::a'"],
        ["borg", "check", "--verify-data", repository],
    ]
    environment = {"BORG_BASE_DIR": str(folder), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
    times = _tool(commands, environment, folder)
    shutil.rmtree(target)
    return times


def _growth(report: Report, folder: Path) -> None:
    """Small chunks, more and more of them: writing stays as fast, collecting and verifying takes time in proportion."""
    store = Datastore("growth", folder / "growth", "none")
    store.create()
    step = report.size(50_000, 1_000)
    rates, collections, verifications = [], [], []
    for stage in range(4):
        digests: list[bytes] = []

        def ingest(stage: int = stage, digests: list[bytes] = digests) -> None:
            with store.backup(Group("", "vm", str(stage)), 1000 + stage, "root@pam", 1000.0) as writer:
                for number in range(step):
                    digests.append(writer.chunk((stage * step + number).to_bytes(8, "big") * (SMALL // 8)))
                writer.image(IMAGE, FixedIndex(SMALL * step, digests, 1000, SMALL))

        rates.append(step / seconds(ingest))
        collections.append(seconds(lambda: store.collect_garbage(2000.0)))

    def verify(known: list[bytes]) -> None:
        for digest in known:
            store.chunks.verify(digest)

    for stage in (1, 4):
        known = [
            digest
            for number in range(stage)
            for digest in store.index(Snapshot(Group("", "vm", str(number)), 1000 + number), IMAGE).digests
        ]
        verifications.append(seconds(lambda known=known: verify(known)))  # type: ignore[misc]
    total = 4 * step
    report.add(f"chunks of 4 KiB written, the last quarter of {total}", rates[-1], "1/s",
               against=("the first quarter", rates[0]), note="flat: the ratio is near 1")  # fmt: skip
    report.add(f"garbage collection over {total} chunks", collections[-1], "s",
               against=("four times a quarter's", 4 * collections[0]), note="linear: near 1")  # fmt: skip
    report.add(f"verification of {total} chunks", verifications[-1], "s",
               against=("four times a quarter's", 4 * verifications[0]), note="linear: near 1")  # fmt: skip
