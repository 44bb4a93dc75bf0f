# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running guest: a small process that writes numbered, check-summed records to its first disk.

Run by file name with the interpreter's `-I -S`, so it knows the standard library only. Each record names the host, the
run of the guest and its predecessor's check sum, and is on stable storage before the next one is begun. It is appended
to whatever stands on the disk, without asking: two guests that run on one disk leave both their runs in turn, which
is how a reader of the disk finds them. What was written is then said to the world outside (the ledger), as a server in
the guest would answer its clients; a record in the ledger that is not on the disk is a lost acknowledged write.

Commands come as lines on stdin: `shutdown SECONDS`, `suspend`, `resume`, `handover` (stop, say where it stood), `stall`
(the disk answers nothing: no record, and no end either) and `go on`; answers go to stdout. The end of stdin is the end
of the host, and with it of the guest.
"""

from __future__ import annotations

import json
import os
import select
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from typing import NamedTuple

AREA = 4 << 20
"""Where the records begin on a disk: behind partition table and boot loader. In a file of its own: 0."""

_RECORD = struct.Struct("<4sIQdI24s16s60s")
RECORD_SIZE = _RECORD.size
_MAGIC = b"QREC"
_AT_ONCE = 32
"""Records that are read in one go on the way to the end."""
REQUEST = struct.Struct("<cQI")
"""What a guest asks of a disk behind a socket: operation (R or W), offset, length."""
_LEDGER = struct.Struct("<QII")


class Record(NamedTuple):
    """One record. `time`: seconds since the epoch; `run`: id of the guest's run, which a live migration keeps."""

    number: int
    time: float
    host: str
    run: bytes
    previous: int
    check_sum: int


def pack(number: int, moment: float, host: str, run: bytes, previous: int) -> bytes:
    """The bytes of a record; `previous` is the check sum of the one before it, 0 for the first."""
    name = host.encode()[:24]
    body = _RECORD.pack(_MAGIC, 0, number, moment, previous, name, run, b"")
    return _MAGIC + struct.pack("<I", zlib.crc32(body)) + body[8:]


def unpack(data: bytes) -> Record | None:
    """The record in these bytes; None where there is none, ValueError for a damaged one."""
    if len(data) < RECORD_SIZE or not any(data):
        return None
    magic, check_sum, number, moment, previous, host, run, _ = _RECORD.unpack(data)
    if magic != _MAGIC or zlib.crc32(_MAGIC + bytes(4) + data[8:]) != check_sum:
        raise ValueError("damaged record")
    return Record(number, moment, host.rstrip(b"\0").decode(), run, previous, check_sum)


def read_records(path: str, area: int = AREA) -> Iterator[Record]:
    """The records of a guest's disk in the order in which they stand there. ValueError at a damaged one."""
    with open(path, "rb") as file:
        file.seek(area)
        while (record := unpack(file.read(RECORD_SIZE))) is not None:
            yield record


def read_ledger(path: str) -> Iterator[tuple[int, int]]:
    """(number, check sum) of every record that a guest has acknowledged to the world outside."""
    with open(path, "rb") as file:
        while len(data := file.read(_LEDGER.size)) == _LEDGER.size:
            number, check_sum, _ = _LEDGER.unpack(data)
            yield number, check_sum


class File:
    """A disk that is a file."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        self.size = os.fstat(self.file).st_size

    def read(self, length: int, offset: int) -> bytes:
        """Bytes of the disk, fewer at its end."""
        return os.pread(self.file, length, offset)

    def write(self, data: bytes, offset: int) -> None:
        """Write, and return when it is on stable storage."""
        os.pwrite(self.file, data, offset)
        os.fdatasync(self.file)


class Device:
    """A disk behind a socket (`agentstack.ceph.device`): every answer may take as long as the storage takes."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.wire = descriptor
        self.size = size

    def read(self, length: int, offset: int) -> bytes:
        """Bytes of the disk, zeros behind its end."""
        self._send(REQUEST.pack(b"R", offset, length))
        return self._receive(length)

    def write(self, data: bytes, offset: int) -> None:
        """Write, and return when it is on stable storage."""
        self._send(REQUEST.pack(b"W", offset, len(data)) + data)
        self._receive(1)

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.wire, data) :]

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = os.read(self.wire, length - len(data))
            if not part:
                # the host is gone, or the disk was taken away
                os._exit(4)
            data += part
        return data


class Journal:
    """The records on one disk, written by one run of a guest."""

    def __init__(self, disk: File | Device, area: int, host: str, run: bytes, ledger: str) -> None:
        self.disk = disk
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        self.host = host
        self.run = run
        self.offset = area
        self.number = 0
        self.previous = 0
        self.limit = disk.size if area and disk.size > area + RECORD_SIZE else 0
        self.worker: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """A record is under way to a disk that has not answered yet."""
        return self.worker is not None and self.worker.is_alive()

    def work(self) -> None:
        """Write the next record; on a disk that may take its time, without anybody waiting for it."""
        if isinstance(self.disk, File):
            self.append()
        else:
            self.worker = threading.Thread(target=self.append, daemon=True)
            self.worker.start()

    def settle(self) -> None:
        """Wait for the record that is under way."""
        if self.worker is not None:
            self.worker.join()

    def _find_end(self) -> None:
        """Stand behind the last record: others may have written since this run last looked."""
        while True:
            data = self.disk.read(_AT_ONCE * RECORD_SIZE, self.offset)
            for start in range(0, len(data), RECORD_SIZE):
                record = _record_in(data[start : start + RECORD_SIZE])
                if record is None:
                    return
                self.number, self.previous = record.number, record.check_sum
                self.offset += RECORD_SIZE
            if not data:
                return

    def append(self) -> None:
        """Write the next record, make it durable, then acknowledge it."""
        self._find_end()
        if self.limit and self.offset + RECORD_SIZE > self.limit:
            return
        data = pack(self.number + 1, time.time(), self.host, self.run, self.previous)
        self.disk.write(data, self.offset)
        self.number, self.previous = self.number + 1, struct.unpack_from("<I", data, 4)[0]
        self.offset += RECORD_SIZE
        os.write(self.ledger, _LEDGER.pack(self.number, self.previous, 0))


def _record_in(data: bytes) -> Record | None:
    try:
        return unpack(data)
    except ValueError:
        return None


def run(options: dict[str, str]) -> int:
    """Live until told otherwise.

    Keys: host, run (hex), disk ("" for none), wire (a descriptor that leads to the disk) and size, area, ledger, lease
    (a file), interval, paused (1), stalled (1).
    """
    journal = None
    if options["disk"]:
        wire = options.get("wire")
        disk = Device(int(wire), int(options["size"])) if wire else File(options["disk"])
        journal = Journal(disk, int(options["area"]), options["host"], bytes.fromhex(options["run"]), options["ledger"])
    interval = float(options["interval"])
    paused = options.get("paused") == "1"
    ends_at = None
    stalled = options.get("stalled") == "1"
    pending = b""
    next_at = time.monotonic()
    while True:
        now = time.monotonic()
        if ends_at is not None and now >= ends_at and not stalled and not (journal and journal.busy):
            return 0
        if not os.path.exists(options["lease"]):
            return 3
        if now >= next_at:
            if journal is not None and not paused and not stalled and not journal.busy:
                journal.work()
            next_at = max(next_at + interval, now)
        wake = next_at if ends_at is None or stalled else min(next_at, ends_at)
        if not select.select([0], [], [], max(0.0, wake - time.monotonic()))[0]:
            continue
        data = os.read(0, 4096)
        if not data:
            return 2
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            word, _, argument = line.decode().partition(" ")
            if word == "shutdown":
                ends_at = time.monotonic() + float(argument)
            elif word in ("suspend", "resume"):
                paused = word == "suspend"
                if journal is not None and paused:
                    journal.settle()
            elif word in ("stall", "go"):
                stalled = word == "stall"
            elif word == "handover":
                paused = True
                if journal is not None:
                    journal.settle()
            os.write(1, f"{word} {journal.number if journal else 0}\n".encode())


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])))
