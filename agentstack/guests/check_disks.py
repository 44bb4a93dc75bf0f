# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the guests wrote on all disks of a stack, and finds what no state table shows.

It looks at files alone: the disks (of ZFS pools, Ceph pools, directories, shared storages), the ledgers of what guests
acknowledged to the world outside, and each cluster's newest database for which disk a guest works on. So it says the
same whether the stack is up or down.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

from agentstack.ceph import offline
from agentstack.guests import config as configs
from agentstack.guests.config import LXC, QEMU, Kind
from agentstack.guests.drives import drives
from agentstack.guests.guests import INTERVAL, RECORDS
from agentstack.guests.process import AREA, RECORD_SIZE, Record, read_ledger, read_records, unpack

TWO_WRITERS, GAP, DAMAGED, LOST = "two writers", "gap", "damaged", "lost"

_DISK = re.compile(r"((?:vm|base|subvol|basevol)-(\d+)-[\w-]+)(?:\.(?:raw|qcow2|vmdk))?", re.ASCII)
_CONFIG = re.compile(r"nodes/([^/]+)/(qemu-server|lxc)/(\d+)\.conf", re.ASCII)
_CLUSTER = re.compile(r"^\s*cluster_name:\s*(\S+)", re.MULTILINE)
_DIRECTORIES = {kind.directory: kind for kind in (QEMU, LXC)}
_OTHER_FILES = frozenset({"etc", "log", "disks", ".chunks", "dump", "template", "rbd", "osd"})
"""Directories that hold no guests' disks (copies for a while, the OSDs' objects) and may hold very many files."""
_AT_ONCE = 256
"""Records that are read in one go."""

_FLUTTER = 4 * INTERVAL
"""Real seconds: no guest is migrated to and fro and to again in less."""


@dataclass(frozen=True)
class Finding:
    """What is wrong: `kind` is two writers, gap, damaged or lost; `disk` is relative to the state directory."""

    guest: str
    kind: str
    text: str
    disk: str = ""


@dataclass
class GuestReport:
    """What one guest wrote. `longest_pause`: real seconds between two records of one run, 0 without any."""

    guest: str
    node: str
    disk: str = ""
    records: int = 0
    acknowledged: int = 0
    runs: int = 0
    hosts: list[str] = field(default_factory=list)
    longest_pause: float = 0.0


@dataclass
class Report:
    """All guests, and all findings."""

    guests: list[GuestReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """A guest's configuration: the node, and the name of the volume that the guest writes to ("" for none)."""

    node: str
    volume: str


@dataclass
class _Image:
    """A guest's disk on the real disk. `host`: whose disk it is, "" if it is shared."""

    path: Path
    name: str
    vmid: int
    host: str
    records: list[Record] = field(default_factory=list)
    damaged: bool = False


Guests = dict[int, _Place]


def check(state: Path, *, again: int = 2) -> Report:
    """Look at the disks of the stack in `state`; what looks lost or torn is looked at `again`: the stack may run."""
    report = _look(state)
    for _ in range(again):
        if not any(finding.kind != TWO_WRITERS for finding in report.findings):
            break
        # a disk that was on its way to another node in that moment is found at its place in the next
        time.sleep(INTERVAL)
        report = _look(state)
    return report


def _look(state: Path) -> Report:
    cluster_of, clusters = _clusters(state)
    ledgers = {int(path.name): set(read_ledger(str(path))) for path in (state / "ledger").glob("[0-9]*")}
    images: dict[int, list[_Image]] = {}
    for image in _images(state):
        _read(image)
        images.setdefault(image.vmid, []).append(image)
    report = Report()
    for vmid in sorted(images.keys() | {vmid for guests in clusters.values() for vmid in guests}):
        _check_guest(state, vmid, images.get(vmid, []), ledgers.get(vmid, set()), cluster_of, clusters, report)
    return report


# ---- what there is --------------------------------------------------------------------------------------------------


def _clusters(state: Path) -> tuple[dict[str, str], dict[str, Guests]]:
    """(host -> its cluster, or itself; cluster -> guests, by the newest database of its members)."""
    cluster_of: dict[str, str] = {}
    newest: dict[str, tuple[tuple[int, int], Guests]] = {}
    for database in sorted((state / "hosts").glob("*/root/var/lib/pve-cluster/config.db")):
        host = database.relative_to(state / "hosts").parts[0]
        version, files = _database(database)
        match = _CLUSTER.search(files.get("corosync.conf", ""))
        name = match[1] if match else host
        cluster_of[host] = name
        if name not in newest or version > newest[name][0]:
            newest[name] = (version, _guests(files))
    return cluster_of, {name: guests for name, (_, guests) in newest.items()}


def _database(path: Path) -> tuple[tuple[int, int], dict[str, str]]:
    """(epoch and version: the greatest is the cluster's state, files by path)."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = database.execute(
            "SELECT path, data FROM tree"
            " WHERE data IS NOT NULL AND (path = 'corosync.conf' OR path LIKE 'nodes/%.conf')"
        ).fetchall()
        state = dict(database.execute("SELECT name, value FROM state").fetchall())
    except sqlite3.OperationalError:  # a host that has not got so far
        return (0, 0), {}
    finally:
        database.close()
    files = {name: bytes(data).decode() for name, data in rows}
    return (state.get("epoch", 0), state.get("version", 0)), files


def _guests(files: dict[str, str]) -> Guests:
    found = {}
    for path, text in files.items():
        if match := _CONFIG.fullmatch(path):
            found[int(match[3])] = _Place(match[1], _first_volume(_DIRECTORIES[match[2]], text))
    return found


def _first_volume(kind: Kind, text: str) -> str:
    for _, drive in drives(kind, configs.parse(text)):
        if drive.is_volume and not drive.is_cdrom:
            match = _DISK.fullmatch(drive.volume.rpartition(":")[2].rpartition("/")[2])
            return match[1] if match else ""
    return ""


def _images(state: Path) -> Iterator[_Image]:
    for directory, below, files in os.walk(state):
        path = Path(directory)
        inside = path.relative_to(state).parts
        host = inside[1] if len(inside) > 1 and inside[0] == "hosts" else ""
        for name in [*below, *files]:
            if match := _DISK.fullmatch(name):
                found = path / name / RECORDS if name in below else path / name
                if found.is_file():
                    yield _Image(found, match[1], int(match[2]), host)
        below[:] = [name for name in below if name not in _OTHER_FILES and not _DISK.fullmatch(name)]
    for cluster in offline.clusters(state):
        for stored in cluster.images():
            if match := _DISK.fullmatch(stored.name):
                yield _stored(state / stored.path, match, stored)


def _stored(path: Path, match: re.Match[str], stored: offline.StoredImage) -> _Image:
    """An image that lies on OSDs, with what is written on it."""
    image = _Image(path, match[1], int(match[2]), "")
    try:
        for offset in range(AREA, stored.size, RECORD_SIZE * _AT_ONCE):
            data = stored.read(offset, RECORD_SIZE * _AT_ONCE)
            for start in range(0, len(data), RECORD_SIZE):
                record = unpack(data[start : start + RECORD_SIZE])
                if record is None:
                    return image
                image.records.append(record)
    except ValueError:
        image.damaged = True
    return image


def _read(image: _Image) -> None:
    area = 0 if image.path.name == Path(RECORDS).name else AREA
    try:
        for record in read_records(str(image.path), area):
            image.records.append(record)
    except ValueError:
        image.damaged = True
    except FileNotFoundError:  # removed since it was listed
        pass


# ---- what is wrong with it ------------------------------------------------------------------------------------------


def _check_guest(
    state: Path,
    vmid: int,
    images: list[_Image],
    ledger: set[tuple[int, int]],
    cluster_of: dict[str, str],
    clusters: dict[str, Guests],
    report: Report,
) -> None:
    written: dict[str, dict[int, Record]] = {}
    for image in images:
        disk = str(image.path.relative_to(state))
        owner = cluster_of.get(image.host, image.host)
        for record in image.records:
            owner = cluster_of.get(record.host, record.host)
            written.setdefault(owner, {})[record.check_sum] = record
        name = f"{owner}/{vmid}" if owner else str(vmid)
        report.findings += [Finding(name, kind, text, disk) for kind, text in _faults(image)]
    for cluster, records in sorted(written.items()):
        ordered = sorted(records.values(), key=lambda record: record.time)
        report.findings += [Finding(f"{cluster}/{vmid}", TWO_WRITERS, text) for text in _at_once(ordered)]
    working: list[_Image] = []
    places = {name: guests[vmid] for name, guests in clusters.items() if vmid in guests}
    for cluster, place in sorted(places.items()):
        mine = [image for image in images if image.name == place.volume and image.host in ("", place.node)]
        working += mine
        report.guests.append(_summary(state, f"{cluster}/{vmid}", place, mine, len(ledger)))
    if any(place.volume for place in places.values()):
        kept = {(record.number, record.check_sum) for image in working for record in image.records}
        if lost := sorted(ledger - kept):
            text = f"{len(lost)} acknowledged records are not on the disk: {_ranges(number for number, _ in lost)}"
            report.findings.append(Finding(f"{'+'.join(sorted(places))}/{vmid}", LOST, text))


def _summary(state: Path, name: str, place: _Place, images: list[_Image], acknowledged: int) -> GuestReport:
    report = GuestReport(name, place.node, acknowledged=acknowledged)
    for image in images:
        report.disk = str(image.path.relative_to(state))
        report.records += len(image.records)
        report.runs += len({record.run for record in image.records})
        report.hosts = sorted({*report.hosts, *(record.host for record in image.records)})
        pauses = [after.time - before.time for before, after in pairwise(image.records) if before.run == after.run]
        report.longest_pause = max([report.longest_pause, *pauses])
    return report


def _faults(image: _Image) -> Iterator[tuple[str, str]]:
    """What one disk shows: a broken chain, runs that wrote in turn, a record that cannot be read."""
    if image.damaged:
        yield DAMAGED, f"the record after number {image.records[-1].number if image.records else 0} is damaged"
    previous = None
    for record in image.records:
        number, check_sum = (previous.number, previous.check_sum) if previous else (0, 0)
        if (record.number, record.previous) != (number + 1, check_sum):
            yield GAP, f"record {record.number} (written by {record.host}) does not follow record {number}"
        previous = record
    blocks = Counter(run for run, _ in groupby(record.run for record in image.records))
    for run, count in blocks.items():
        if count > 1:
            hosts = sorted({record.host for record in image.records if record.run == run})
            yield TWO_WRITERS, f"a run on {', '.join(hosts)} was interrupted {count - 1} times by another one's records"


def _at_once(records: list[Record]) -> Iterator[str]:
    """Runs of one guest, on whatever disks, that overlap in time; `records` in the order of time."""
    spans: dict[bytes, tuple[float, float, str]] = {}
    for record in records:
        begin, _, host = spans.get(record.run, (record.time, 0.0, record.host))
        spans[record.run] = (begin, record.time, host)
    latest: tuple[float, float, str] | None = None
    for span in sorted(spans.values()):
        if latest is not None and span[0] < latest[1]:
            both = min(span[1], latest[1]) - span[0]
            yield f"{latest[2]} and {span[2]} ran it at the same time, for {both:.2f} s from {_clock(span[0])} on"
        latest = max(latest or span, span, key=lambda each: each[1])
    for _, run in groupby(sorted(records, key=lambda record: (record.run, record.time)), lambda record: record.run):
        hops = [after for before, after in pairwise(run) if before.host != after.host]
        for first, third in zip(hops, hops[2:], strict=False):
            if third.time - first.time < _FLUTTER:
                yield f"{first.host} and {hops[1].host} wrote in turn as one run at {_clock(first.time)}"
                break


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 100):02} UTC"


def _ranges(numbers: Iterable[int]) -> str:
    """`4-9, 12`."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
