# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's process and the records it leaves on its disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from agentstack.guests import process
from agentstack.guests.process import Journal, read_ledger, read_records

from ...stacks import wait_until

RUN_A, RUN_B = b"a" * 16, b"b" * 16


class Guest:
    """A running guest's process."""

    def __init__(self, directory: Path, run: bytes = RUN_A, **options: str) -> None:
        self.disk = directory / "disk.raw"
        self.lease = directory / "stack.json"
        if not self.disk.exists():
            with self.disk.open("wb") as file:
                file.truncate(16 << 20)
        self.lease.touch()
        given = {
            **{"host": "pve1", "run": run.hex(), "disk": str(self.disk), "area": str(process.AREA), "interval": "0.01"},
            **{"ledger": str(directory / "ledger"), "lease": str(self.lease), "paused": "0"},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", process.__file__, json.dumps(given | options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def tell(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip()

    def count(self) -> int:
        return len(list(read_records(str(self.disk))))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, directory: Path, run: bytes = RUN_A, **options: str) -> Guest:
    guest = Guest(directory, run, **options)

    def end() -> None:
        guest.process.kill()
        guest.process.wait()

    stack.callback(end)
    return guest


def test_records_are_chained_and_acknowledged(started: ExitStack, tmp_path: Path) -> None:
    guest = start(started, tmp_path)
    wait_until(lambda: guest.count() >= 5)
    guest.process.kill()
    guest.process.wait()
    records = list(read_records(str(guest.disk)))
    assert [record.number for record in records] == list(range(1, len(records) + 1))
    assert all(after.previous == before.check_sum for before, after in pairwise(records))
    assert {(record.host, record.run) for record in records} == {("pve1", RUN_A)}
    acknowledged = dict(read_ledger(str(tmp_path / "ledger")))
    assert acknowledged.items() <= {record.number: record.check_sum for record in records}.items()


def test_a_later_run_goes_on_with_the_numbers(started: ExitStack, tmp_path: Path) -> None:
    guest = start(started, tmp_path)
    wait_until(lambda: guest.count() >= 3)
    assert guest.tell("shutdown 0").startswith("shutdown ")
    assert guest.process.wait(5) == 0
    before = guest.count()
    again = start(started, tmp_path, RUN_B)
    wait_until(lambda: again.count() >= before + 2)
    records = list(read_records(str(again.disk)))
    assert [record.number for record in records] == list(range(1, len(records) + 1))
    assert {record.run for record in records[before:]} == {RUN_B}


def test_two_writers_leave_their_runs_in_turn(started: ExitStack, tmp_path: Path) -> None:
    guest = start(started, tmp_path)
    start(started, tmp_path, RUN_B, host="pve2")

    def changes() -> int:
        records = list(read_records(str(guest.disk)))
        return sum(before.run != after.run for before, after in pairwise(records))

    wait_until(lambda: changes() >= 2)


def test_a_held_guest_writes_nothing(started: ExitStack, tmp_path: Path) -> None:
    guest = start(started, tmp_path)
    wait_until(lambda: guest.count() >= 1)
    guest.tell("suspend")
    held = guest.count()
    assert guest.tell("handover") == f"handover {held}"
    assert guest.count() == held
    guest.tell("resume")
    wait_until(lambda: guest.count() > held)


def test_a_guest_ends_with_its_host(started: ExitStack, tmp_path: Path) -> None:
    guest = start(started, tmp_path)
    assert guest.process.stdin is not None
    guest.process.stdin.close()
    assert guest.process.wait(5) == 2


def test_a_guest_ends_with_its_stack(started: ExitStack, tmp_path: Path) -> None:
    guest = start(started, tmp_path)
    guest.lease.unlink()
    assert guest.process.wait(5) == 3


def test_damage_is_found(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    journal = Journal(process.File(str(disk)), process.AREA, "pve1", RUN_A, str(tmp_path / "ledger"))
    for _ in range(3):
        journal.append()
    with disk.open("r+b") as file:
        file.seek(process.AREA + process.RECORD_SIZE + 40)
        file.write(b"!")
    with pytest.raises(ValueError, match="damaged record"):
        list(read_records(str(disk)))


def test_a_full_disk_takes_no_more(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(process.AREA + 2 * process.RECORD_SIZE)
    journal = Journal(process.File(str(disk)), process.AREA, "pve1", RUN_A, str(tmp_path / "ledger"))
    for _ in range(5):
        journal.append()
    assert len(list(read_records(str(disk)))) == 2
    assert disk.stat().st_size == process.AREA + 2 * process.RECORD_SIZE
