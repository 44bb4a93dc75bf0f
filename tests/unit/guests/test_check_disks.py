# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the records on the disks show, and what not: disks written by hand."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentstack.cluster.store import Store
from agentstack.commands import check_disks as command
from agentstack.guests import check_disks
from agentstack.guests.check_disks import check
from agentstack.guests.process import AREA, RECORD_SIZE, pack, unpack
from agentstack.reader import StackError

A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))
T0 = 1_000_000.0

COROSYNC = "totem {\n  cluster_name: lab\n}\n"


@dataclass
class State:
    """A state directory with hosts, guests and disks."""

    path: Path

    def host(self, name: str, *, version: int = 0, node: str = "pve1", cluster: str = COROSYNC) -> None:
        """A host whose database says that guest 100 lies on `node`; `version` counts the writes before that."""
        store = Store(self.path / "hosts" / name / "root/var/lib/pve-cluster/config.db")
        for number in range(version):
            self._write(store, "storage.cfg", f"# {number}\n")
        if cluster:
            self._write(store, "corosync.conf", cluster)
        self._write(store, f"nodes/{node}/qemu-server/100.conf", "scsi0: tank:vm-100-disk-0,size=1G\n")
        store.close()

    def _write(self, store: Store, path: str, text: str) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if not store.tree.is_directory("/".join(parts[:depth])):
                self._apply(store, "mkdir", "/".join(parts[:depth]))
        self._apply(store, "write", path, text)

    def _apply(self, store: Store, operation: str, path: str, text: str = "") -> None:
        store.commit(store.tree.apply({"op": operation, "path": path, "writer": 1, "mtime": 1}, text.encode()))

    def disk(self, host: str, records: Iterable[tuple[str, bytes, float]], *, skip: int = 0) -> Path:
        """A disk of guest 100 in a pool of `host` ("" for a shared one), with (host, run, second) for each record."""
        where = f"hosts/{host}/zfs/17/data" if host else "ceph/f/1"
        path = self.path / where / "vm-100-disk-0.raw"
        path.parent.mkdir(parents=True, exist_ok=True)
        number, previous = skip, 0
        with path.open("wb") as file:
            file.seek(AREA)
            for writer, run, second in records:
                number += 1
                data = pack(number, T0 + second, writer, run, previous)
                found = unpack(data)
                assert found is not None
                previous = found.check_sum
                file.write(data)
            file.truncate(AREA + 64 * RECORD_SIZE)
        return path

    def acknowledge(self, disk: Path, *others: tuple[int, int]) -> None:
        """Everything on the disk, and (number, check sum) of what is not."""
        ledger = self.path / "ledger"
        ledger.mkdir(exist_ok=True)
        data = disk.read_bytes()[AREA:]
        with (ledger / "100").open("wb") as file:
            for start in range(0, len(data), RECORD_SIZE):
                if (record := unpack(data[start : start + RECORD_SIZE])) is None:
                    break
                file.write(struct.pack("<QII", record.number, record.check_sum, 0))
            for number, check_sum in others:
                file.write(struct.pack("<QII", number, check_sum, 0))

    def found(self) -> list[tuple[str, str]]:
        return [(finding.kind, finding.text) for finding in check(self.path, again=0).findings]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_one_run_after_another_is_as_it_should_be(state: State) -> None:
    state.host("pve1", version=3)
    disk = state.disk("", [("pve1", A, 0), ("pve1", A, 1), ("pve2", B, 9), ("pve2", B, 9.5)])
    state.acknowledge(disk)
    report = check(state.path)
    assert report.findings == []
    (guest,) = report.guests
    assert (guest.guest, guest.node, guest.records, guest.acknowledged, guest.runs) == ("lab/100", "pve1", 4, 4, 2)
    assert (guest.hosts, guest.longest_pause) == (["pve1", "pve2"], 1.0)


def test_two_runs_on_one_disk(state: State) -> None:
    state.host("pve1")
    state.host("pve2")
    state.acknowledge(state.disk("", [("pve1", A, 0), ("pve2", B, 1), ("pve1", A, 1.25), ("pve2", B, 2)]))
    assert state.found() == [
        ("two writers", "a run on pve1 was interrupted 1 times by another one's records"),
        ("two writers", "a run on pve2 was interrupted 1 times by another one's records"),
        ("two writers", "pve1 and pve2 ran it at the same time, for 0.25 s from 13:46:41.00 UTC on"),
    ]


def test_two_runs_on_copies_of_a_disk(state: State) -> None:
    state.host("pve1", node="pve2")
    state.host("pve2", version=5, node="pve2")
    state.disk("pve1", [("pve1", A, 0), ("pve1", A, 7)])
    state.acknowledge(state.disk("pve2", [("pve1", A, 0), ("pve2", B, 5)]))
    assert state.found() == [
        ("two writers", "pve1 and pve2 ran it at the same time, for 0.00 s from 13:46:45.00 UTC on")
    ]


def test_guests_of_one_number_in_two_clusters_are_two(state: State) -> None:
    state.host("pve1")
    state.host("pve2", node="pve2", cluster=COROSYNC.replace("lab", "other"))
    one, two = state.disk("pve1", [("pve1", A, 0), ("pve1", A, 7)]), state.disk("pve2", [("pve2", B, 5)])
    state.acknowledge(one, (1, unpack(two.read_bytes()[AREA : AREA + RECORD_SIZE]).check_sum))  # type: ignore[union-attr]
    assert state.found() == []
    assert [guest.guest for guest in check(state.path).guests] == ["lab/100", "other/100"]


def test_one_run_on_two_hosts_in_turn(state: State) -> None:
    state.host("pve1")
    state.host("pve2")
    hosts = ["pve1", "pve2"] * 3
    state.acknowledge(state.disk("", [(host, A, index / 4) for index, host in enumerate(hosts)]))
    assert state.found() == [("two writers", "pve2 and pve1 wrote in turn as one run at 13:46:40.25 UTC")]


def test_a_migration_there_and_back_is_no_fault(state: State) -> None:
    state.host("pve1")
    state.acknowledge(state.disk("", [(host, A, index) for index, host in enumerate(["pve1", "pve2", "pve1"])]))
    assert state.found() == []


def test_lost_acknowledged_records_are_counted(state: State) -> None:
    state.host("pve1")
    state.acknowledge(state.disk("pve1", [("pve1", A, 0)]), (2, 17), (3, 18), (5, 19))
    assert state.found() == [("lost", "3 acknowledged records are not on the disk: 2-3, 5")]


def test_what_lies_on_another_node_does_not_count(state: State) -> None:
    state.host("pve1", node="pve2")
    state.acknowledge(state.disk("pve1", [("pve1", A, 0)]))
    state.disk("pve2", [])
    assert state.found() == [("lost", "1 acknowledged records are not on the disk: 1")]


def test_a_gap(state: State) -> None:
    state.host("pve1")
    state.acknowledge(state.disk("pve1", [("pve1", A, 0)], skip=4))
    assert state.found() == [("gap", "record 5 (written by pve1) does not follow record 0")]


def test_a_damaged_record(state: State) -> None:
    state.host("pve1")
    disk = state.disk("pve1", [("pve1", A, 0), ("pve1", A, 1), ("pve1", A, 2)])
    state.acknowledge(disk)
    with disk.open("r+b") as file:
        file.seek(AREA + RECORD_SIZE + 40)
        file.write(b"x")
    assert state.found() == [
        ("damaged", "the record after number 1 is damaged"),
        ("lost", "2 acknowledged records are not on the disk: 2-3"),
    ]


def test_a_guest_without_a_disk_and_a_host_without_a_cluster(state: State) -> None:
    state.host("pve1", cluster="")
    report = check(state.path)
    assert ([guest.guest for guest in report.guests], report.findings) == (["pve1/100"], [])


def test_the_command(state: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command.statedir, "read_stack", lambda path: None)
    monkeypatch.setenv("COLUMNS", "120")
    state.host("pve1")
    disk = state.disk("pve1", [("pve1", A, 0), ("pve1", A, 0.5)])
    state.acknowledge(disk)
    assert command.main(state.path, as_json=False) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split() == ["lab/100", "pve1", "2", "2", "1", "pve1", "0.50", "s"]
    assert printed.endswith("1 guests: one writer at a time, no gaps, no acknowledged record lost\n")
    monkeypatch.setattr(check_disks, "INTERVAL", 0)
    state.acknowledge(disk, (3, 17))
    assert command.main(state.path, as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["findings"] == [
        {
            "guest": "lab/100",
            "kind": "lost",
            "text": "1 acknowledged records are not on the disk: 3",
            "disk": "",
        }
    ]
    assert document["guests"][0]["disk"] == "hosts/pve1/zfs/17/data/vm-100-disk-0.raw"


def test_no_stack(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="holds no stack"):
        command.main(tmp_path, as_json=False)
