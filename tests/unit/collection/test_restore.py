# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring against scripts: what is refused before anything is written, and what is sent."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, ClassVar

import pytest

from .scripted import Step, get, post, put

OLD, NEW = 1_795_219_200, 1_795_305_600
UPID = "UPID:pve1:00000F00:00001000:66000000:qmrestore:104:root@pam:"
NODES = get("/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "offline"}])
STORAGES = get("/storage", [{"storage": "backup"}])
CONFIG = "name: files\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nscsi0: tank:disk-0,size=1G\n[old]\nscsi1: x:y"
EXTRACT = get("/nodes/pve1/vzdump/extractconfig", CONFIG, volume=f"backup:backup/vm/104/{NEW}")
HAS = get("/nodes/pve1/storage", [{"storage": "tank"}, {"storage": "backup"}], enabled=1)
NO_HA = get("/cluster/ha/status/current", [])
WANTED: dict[str, Any] = {"guest": 104, "source": "backup", "node": "pve1"}


def guests(*rows: dict[str, Any]) -> Step:
    return get("/cluster/resources", list(rows), type="vm")


def content(*times: int, node: str = "pve1") -> Step:
    rows = [{"volid": f"backup:backup/vm/104/{time}", "vmid": 104, "ctime": time, "size": 7} for time in times]
    return get(f"/nodes/{node}/storage/backup/content", rows, content="backup", vmid=104)


THERE = guests({"vmid": 104, "node": "pve1", "type": "qemu", "name": "files"})
STOPPED = get("/nodes/pve1/qemu/104/status/current", {"status": "stopped"})
RUNNING = get("/nodes/pve1/qemu/104/status/current", {"status": "running"})
OWN = get("/nodes/pve1/qemu/104/config", {"name": "files"})


def service(state: str, request: str) -> list[dict[str, Any]]:
    text = f"vm:104 (pve1, {state})"
    row = {"type": "service", "sid": "vm:104", "status": text, "node": "pve1", "state": state, "request_state": request}
    return [row]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "either volid or guest must be given"),
        ({"guest": 104, "volid": "a:b"}, "either volid or guest must be given"),
        ({"volid": "a:b", "max_age": "1d"}, "choose among the backups of a guest"),
        ({"guest": 104, "before": "yesterday"}, "before: 'yesterday' is no point in time"),
        ({"guest": 104, "max_age": "soon"}, "max_age: invalid time span"),
        ({"guest": 104, "overwrite": True, "keep": True}, "overwrite and keep exclude each other"),
        ({"guest": 104, "stop": True}, "Say overwrite: true as well"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(run: Any, given: dict[str, Any], text: str) -> None:
    assert text in run("restore", [], **given)["msg"]


class TestChoice:
    """Which backup it is."""

    def test_none_at_all(self, run: Any) -> None:
        result = run("restore", [NODES, STORAGES, content()], **WANTED)
        assert result["msg"] == "guest: there is no backup of 104 on backup. There are: none."

    def test_the_newest_before_something_happened(self, run: Any) -> None:
        steps = [NODES, STORAGES, content(OLD, NEW)]
        result = run("restore", steps, **WANTED, before="2020-01-01")
        assert "there is no backup of 104 from before 2020-01-01 on backup" in result["msg"]
        assert f"There are: backup:backup/vm/104/{NEW}, backup:backup/vm/104/{OLD}." in result["msg"]

    def test_the_newest_is_too_old(self, run: Any) -> None:
        steps = [NODES, STORAGES, content(OLD, NEW), get("/nodes/pve1/time", {"time": NEW + 7200})]
        assert f"backup:backup/vm/104/{NEW}, is older than 1h" in run("restore", steps, **WANTED, max_age="1h")["msg"]

    def test_all_storages_are_looked_through(self, run: Any) -> None:
        listed = [{"storage": "backup", "active": 1}, {"storage": "lost", "active": 0}]
        storages = get("/nodes/pve1/storage", listed, content="backup", enabled=1)
        found = [NODES, storages, content(OLD), guests(), EXTRACT_OLD, HAS]
        result = run("restore", found, True, guest=104, node="pve1")
        assert result["backup"]["time"] == OLD
        assert "pve1 does not reach the storage lost: backups there are not looked at" in result["warnings"]


EXTRACT_OLD = get("/nodes/pve1/vzdump/extractconfig", CONFIG, volume=f"backup:backup/vm/104/{OLD}")
LOOK = [NODES, STORAGES, content(NEW), THERE, NO_HA]


class TestOverwriting:
    """A guest that is there is lost only if that is said."""

    def test_it_is_refused(self, run: Any) -> None:
        result = run("restore", [*LOOK, STOPPED], **WANTED)
        assert "vmid: guest 104 (files) is on pve1 already. Give another vmid, or say overwrite: true" in result["msg"]
        assert not result["changed"]

    def test_a_running_one_is_refused_without_stop(self, run: Any) -> None:
        result = run("restore", [*LOOK, RUNNING, OWN], **WANTED, overwrite=True)
        assert "guest 104 (files) is running. Say stop: true" in result["msg"]

    def test_so_is_one_that_ha_would_start(self, run: Any) -> None:
        ha = get("/cluster/ha/status/current", service("started", "started"))
        result = run("restore", [*LOOK[:-1], ha, STOPPED, OWN], **WANTED, overwrite=True)
        assert "is under HA, which keeps it running. Say stop: true" in result["msg"]

    @pytest.mark.parametrize(
        ("config", "text"), [({"protection": 1}, "is protected"), ({"lock": "backup"}, "is locked (backup)")]
    )
    def test_so_is_one_that_must_not_change(self, run: Any, config: dict[str, Any], text: str) -> None:
        own = get("/nodes/pve1/qemu/104/config", config)
        assert text in run("restore", [*LOOK, STOPPED, own], **WANTED, overwrite=True)["msg"]

    def test_on_another_node_it_cannot_be(self, run: Any) -> None:
        elsewhere = guests({"vmid": 104, "node": "pve2", "type": "qemu", "name": "files"})
        result = run("restore", [*LOOK[:3], elsewhere, NO_HA], **WANTED, overwrite=True)
        assert "guest 104 (files) is on pve2, and can be overwritten only there" in result["msg"]

    def test_through_ha_and_back(self, run: Any) -> None:
        ha = "/cluster/ha/status/current"
        steps = [
            *LOOK[:-1],
            get(ha, service("started", "started")),
            RUNNING,
            OWN,
            EXTRACT,
            HAS,
            put("/cluster/ha/resources/vm:104", None, state="stopped"),
            get(ha, service("stopped", "stopped")),
            post("/nodes/pve1/qemu", UPID, vmid=104, archive=f"backup:backup/vm/104/{NEW}", force=1),
            get(f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": "OK"}),
            OWN,
            get(f"/nodes/pve1/tasks/{UPID}/log", [{"n": 1, "t": "restore image complete (bytes=1024, x)"}], limit=0),
            put("/cluster/ha/resources/vm:104", None, state="started"),
            get(ha, service("started", "started")),
        ]
        result = run("restore", steps, **WANTED, overwrite=True, stop=True)
        assert result["changed"], result
        assert result["bytes"] == 1024

    def test_what_was_cut_off_is_not_kept(self, run: Any) -> None:
        half = get("/nodes/pve1/qemu/104/config", {"lock": "create"})
        assert "a restore of it was cut off" in run("restore", [*LOOK, STOPPED, half], **WANTED, keep=True)["msg"]


class TestRestoring:
    """What is sent."""

    def test_disks_need_a_place(self, run: Any) -> None:
        has = get("/nodes/pve1/storage", [{"storage": "local"}], enabled=1)
        result = run("restore", [NODES, STORAGES, content(NEW), guests(), EXTRACT, has], **WANTED)
        assert (
            "storage: pve1 has no storage tank, where the guest's disks would go. Name one that it has: local."
            in (result["msg"])
        )

    def test_an_offline_node_is_none_to_restore_to(self, run: Any) -> None:
        assert "pve2 is offline" in run("restore", [NODES], **{**WANTED, "node": "pve2"})["msg"]

    def test_with_its_cables_pulled(self, run: Any) -> None:
        ended = get(f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": "WARNINGS: 1"})
        log = [{"n": 1, "t": "WARN: no data backup for disk 'scsi1'"}]
        steps = [
            *[NODES, STORAGES, content(NEW), guests(), EXTRACT, HAS],
            post(
                "/nodes/pve1/qemu",
                UPID,
                vmid=9104,
                storage="tank",
                archive=f"backup:backup/vm/104/{NEW}",
                unique=1,
                start=1,
                net0="virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1",
                name="test",
            ),
            ended,
            get(f"/nodes/pve1/tasks/{UPID}/log", log, limit=0),
            get("/nodes/pve1/qemu/9104/config", {}),
            get(f"/nodes/pve1/tasks/{UPID}/log", log, limit=0),
        ]
        more = {"unique": True, "disconnect": True, "storage": "tank", "start": True, "options": {"name": "test"}}
        result = run("restore", steps, **WANTED, vmid=9104, **more)
        assert result["changed"], result
        assert result["warnings"] == ["WARN: no data backup for disk 'scsi1'"]
        assert result["bytes"] == 7

    def test_a_failure_is_told_with_the_end_of_the_log(self, run: Any) -> None:
        ended = get(f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": "unable to restore VM 104"})
        steps = [
            *[NODES, STORAGES, content(NEW), guests(), EXTRACT, HAS, post("/nodes/pve1/qemu", UPID), ended],
            get(f"/nodes/pve1/tasks/{UPID}/log", [{"n": 1, "t": "no space left"}], limit=0),
        ]
        steps[6] = Step("POST", "/nodes/pve1/qemu", None, UPID)
        assert "Its log ends: no space left" in run("restore", steps, **WANTED)["msg"]


FILES: dict[str, Any] = {**WANTED, "files": ["/etc/hosts"]}


def listing(path: str, *rows: dict[str, Any]) -> Step:
    place = "/nodes/pve1/storage/backup/file-restore/list"
    return get(place, list(rows), volume=f"backup:backup/ct/301/{NEW}", filepath=path)


class TestFiles:
    """Single files: looked up, and never over something else."""

    BACKUP = get(
        "/nodes/pve1/storage/backup/content",
        [{"volid": f"backup:backup/ct/301/{NEW}", "vmid": 301, "ctime": NEW, "size": 7, "subtype": "lxc"}],
        content="backup",
        vmid=301,
    )
    ROOT = listing("/", {"text": "root.pxar.didx", "type": "d"})
    ETC = listing("L3Jvb3QucHhhci5kaWR4L2V0Yw==", {"text": "hosts", "type": "f", "size": 3, "mtime": 1_000})

    def look(self, run: Any, dest: Path, *more: Step, check: bool = False, **given: Any) -> Any:
        steps = [NODES, STORAGES, self.BACKUP, *more]
        return run("restore_files", steps, check, **{**FILES, "guest": 301, "dest": str(dest), **given})

    def test_a_file_that_is_something_else_stays(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/hosts").write_text("mine")
        result = self.look(run, tmp_path, self.ROOT, self.ETC)
        assert "hosts is there already, and is not what the backup has. Give another directory" in result["msg"]
        assert (tmp_path / "etc/hosts").read_text() == "mine"

    def test_a_path_that_is_not_there(self, run: Any, tmp_path: Path) -> None:
        etc = listing("L3Jvb3QucHhhci5kaWR4L2V0Yw==")
        result = self.look(run, tmp_path, self.ROOT, etc)
        assert f"backup:backup/ct/301/{NEW} has no /root.pxar.didx/etc/hosts" in result["msg"]
        assert "a path from the root" in self.look(run, tmp_path, self.ROOT, files=["/etc/../../x"])["msg"]

    def test_it_is_fetched_for_its_owner_alone(self, run: Any, tmp_path: Path) -> None:
        place = "/nodes/pve1/storage/backup/file-restore/download"
        step = Step("GET", place, None, text="abc")
        dest = tmp_path / "new" / "place"
        result = self.look(run, dest, self.ROOT, self.ETC, step)
        assert result["files"] == [str(dest / "etc/hosts")], result
        found = (dest / "etc/hosts").stat()
        assert (stat.S_IMODE(found.st_mode), int(found.st_mtime), found.st_size) == (0o600, 1_000, 3)
        assert {stat.S_IMODE((dest / name).stat().st_mode) for name in ("", "..", "etc")} == {0o700}
        assert not self.look(run, dest, self.ROOT, self.ETC)["changed"]

    def test_half_a_file_is_none(self, run: Any, tmp_path: Path) -> None:
        step = Step("GET", "/nodes/pve1/storage/backup/file-restore/download", None, text="a")
        assert "has 3 bytes, and 1 arrived" in self.look(run, tmp_path, self.ROOT, self.ETC, step)["msg"]
        assert list((tmp_path / "etc").iterdir()) == []


SNAPSHOT = {"backup-type": "vm", "backup-id": "104", "backup-time": NEW, "protected": True}


class TestSnapshots:
    """Backups are forgotten only if that is said twice."""

    STORES = get("/config/datastore", [{"name": "main"}])
    GROUPS = get("/admin/datastore/main/groups", [{"backup-type": "vm", "backup-id": "104", "last-backup": NEW}])
    LISTED = get("/admin/datastore/main/snapshots", [SNAPSHOT])

    @pytest.mark.parametrize(
        ("more", "text"),
        [
            ({"state": "absent", "time": "1"}, "forgetting a backup loses it. Say forget: true as well"),
            ({"state": "absent", "forget": True, "time": "newest"}, "cannot be forgotten by that name"),
            ({"protected": True}, "protected is for a snapshot: give its time"),
            ({"time": "1", "owner": "a@pbs"}, "owner is for the whole group"),
            ({"time": "yesterday"}, "'yesterday' is no point in time"),
        ],
    )
    def test_what_makes_no_sense(self, run: Any, more: dict[str, Any], text: str) -> None:
        assert text in run("pbs_snapshots", [], snapshots=[{"store": "main", "id": "104", **more}])["msg"]

    def test_a_protected_one_stays(self, run: Any) -> None:
        element = {"store": "main", "id": "104", "time": str(NEW), "state": "absent", "forget": True}
        result = run("pbs_snapshots", [self.STORES, self.GROUPS, self.LISTED], snapshots=[element])
        assert result["msg"] == (f"snapshots[0] (main/vm/104/{NEW}): it is protected. Set protected: false first.")

    def test_one_that_is_not_there_cannot_be_made(self, run: Any) -> None:
        element = {"store": "main", "id": "105", "time": "newest", "protected": True}
        result = run("pbs_snapshots", [self.STORES, self.GROUPS, self.LISTED], snapshots=[element])
        assert "there is no such backup" in result["msg"]


class TestEncryption:
    """Nothing is encrypted before the key lies in a second place."""

    KEY = '{"kdf": null, "data": "AAAA", "fingerprint": "aa:bb"}'
    BASE: ClassVar[dict[str, Any]] = {"storage": "sealed", "type": "pbs", "server": "192.0.2.101", "datastore": "main"}
    SHOWN: ClassVar[dict[str, Any]] = {**BASE, "encryption-key": "aa:bb"}

    def apply(self, run: Any, file: Path, *steps: Step, check: bool = False, **more: Any) -> Any:
        element = {**self.BASE, "encryption_key_file": str(file), **more}
        return run("storages", list(steps), check, storages=[element])

    def test_it_is_switched_on_once_the_key_is_kept(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "keys" / "sealed.json"
        made = {"config": {"encryption-key": self.KEY}}
        steps = [
            get("/storage", []),
            post("/storage", made, **{**self.BASE, "encryption-key": "autogen", "disable": 1}),
            put("/storage/sealed", None, delete="disable"),
            get("/storage", [self.SHOWN]),
        ]
        result = self.apply(run, file, *steps)
        assert result["changed"], result
        assert "AAAA" not in str(result)
        assert file.read_text() == f"{self.KEY}\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not self.apply(run, file, get("/storage", [self.SHOWN]))["changed"]

    def test_a_key_that_is_there_is_used(self, run: Any, tmp_path: Path) -> None:
        (file := tmp_path / "key").write_text(self.KEY)
        sent = post("/storage", {}, **{**self.BASE, "encryption-key": self.KEY, "disable": 0})
        assert self.apply(run, file, get("/storage", []), sent, get("/storage", [self.SHOWN]))["changed"]

    def test_a_storage_without_a_key_gets_one(self, run: Any, tmp_path: Path) -> None:
        made = {"config": {"encryption-key": self.KEY}}
        steps = [
            get("/storage", [self.BASE]),
            put("/storage/sealed", made, **{"encryption-key": "autogen", "disable": 1}),
            put("/storage/sealed", None, delete="disable"),
            get("/storage", [self.SHOWN]),
        ]
        predicted = self.apply(run, tmp_path / "key", steps[0], check=True)
        result = self.apply(run, tmp_path / "key", *steps)
        assert result["plan"] == predicted["plan"]
        assert result["plan"][0]["fields"] == {"encryption_key": {"before": None, "after": "new, in the file"}}

    def test_a_new_key_never_takes_the_place_of_one_that_is_used(self, run: Any) -> None:
        element = {**self.BASE, "encryption_key": "autogen", "password": "neu"}
        arguments = {"storages": [element], "update_secrets": True}
        sent = put("/storage/sealed", None, password="neu")
        assert run("storages", [get("/storage", [self.SHOWN]), sent, get("/storage", [self.SHOWN])], **arguments)[
            "changed"
        ]
        del element["password"]
        assert not run("storages", [get("/storage", [self.SHOWN])], **arguments)["changed"]
        made = put("/storage/sealed", {}, **{"encryption-key": "autogen"})
        assert run("storages", [get("/storage", [self.BASE]), made, get("/storage", [self.SHOWN])], **arguments)[
            "changed"
        ]

    def test_without_its_file_it_is_an_error(self, run: Any, tmp_path: Path) -> None:
        result = self.apply(run, tmp_path / "key", get("/storage", [self.SHOWN]))
        assert "sealed encrypts with the key aa:bb, which is not in" in result["msg"]
        assert "Copy /etc/pve/priv/storage/sealed.enc of any node there" in result["msg"]

    def test_another_key_is_an_error(self, run: Any, tmp_path: Path) -> None:
        (file := tmp_path / "key").write_text(self.KEY.replace("aa:bb", "cc:dd"))
        assert "holds cc:dd" in self.apply(run, file, get("/storage", [self.SHOWN]))["msg"]
        file.write_text("nonsense")
        assert "holds no encryption key" in self.apply(run, file)["msg"]

    def test_without_a_place_nothing_is_made(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        result = self.apply(run, tmp_path / "file" / "key", get("/storage", []))
        assert "cannot be written" in result["msg"]
        assert not result["changed"]

    def test_a_run_that_was_cut_off_is_taken_up(self, run: Any, tmp_path: Path) -> None:
        (file := tmp_path / "key").touch(0o600)
        made = {"config": {"encryption-key": self.KEY}}
        steps = [
            get("/storage", [{**self.SHOWN, "disable": 1}]),
            put("/storage/sealed", made, **{"encryption-key": "autogen", "disable": 1}),
            put("/storage/sealed", None, delete="disable"),
            get("/storage", [self.SHOWN]),
        ]
        assert self.apply(run, file, *steps)["changed"]
        assert file.read_text() == f"{self.KEY}\n"
