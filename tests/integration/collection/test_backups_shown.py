# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that can be restored, shown with the modules as an operator uses them: six guests, two backup servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentstack.guests.process import AREA, RECORD_SIZE, read_ledger, read_records

from ...stacks import RunningStack, StackFactory, wait_until
from .control_node import Site, good

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]

NODES = ("pve1", "pve2", "pve3")
VMIDS = {101: "pve1", 102: "pve2", 103: "pve3", 104: "pve1", 105: "pve2", 106: "pve3"}
TOKEN = "nodes@pbs!ha"
PATIENCE = 120.0


@pytest.fixture(scope="module")
def site(stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three nodes with six running guests; two backup servers, the second of which pulls from the first."""
    disks = [{"size": "32G"}]
    hosts: dict[str, Any] = {name: {"kind": "pve", "disks": disks} for name in NODES}
    hosts |= {name: {"kind": "pbs", "disks": disks} for name in ("pbs1", "pbs2")}
    stack = stack_factory(hosts, scale=50, start={"clustered": {"name": "shown", "nodes": list(NODES)}})
    found = Site(stack, *NODES)
    secrets = tmp_path_factory.mktemp("secrets")
    for server in ("pbs1", "pbs2"):
        path, role = "/datastore/main", "DatastoreBackup"
        both = [{"path": path, "auth_id": who, "role": role} for who in ("nodes@pbs", TOKEN)]
        pbs(found, server, "pbs_datastores", datastores=[{"name": "main", "path": "/srv/main"}])
        pbs(found, server, "pbs_users", users=[{"userid": "nodes@pbs"}])
        pbs(found, server, "pbs_tokens", tokens=[{"tokenid": TOKEN, "secret_file": str(secrets / server)}])
        pbs(found, server, "pbs_acls", acls=both)
    storages = [storage(found, "first", "pbs1", secrets), storage(found, "second", "pbs2", secrets)]
    local = {"storage": "local", "content": ["images", "backup"]}
    good(found.run("storages", storages=[local, *storages]))
    guests = [
        {"vmid": vmid, "node": node, "memory": 64, "disks": {"scsi0": "local:1"}, "started": True}
        for vmid, node in VMIDS.items()
    ]
    good(found.run("guests", guests=guests))
    remote = {"name": "first", "host": found.address("pbs1"), "auth_id": "root@pam", "password": found.password}
    remote["fingerprint"] = stack.secrets["hosts"]["pbs1"]["fingerprint"]
    job = {"id": "pull", "store": "main", "remote": "first", "remote_store": "main", "owner": TOKEN}
    pbs(found, "pbs2", "pbs_remotes", remotes=[remote])
    pbs(found, "pbs2", "pbs_sync_jobs", jobs=[job])
    return found


def storage(site: Site, name: str, server: str, secrets: Path, **more: Any) -> dict[str, Any]:
    fingerprint = site.stack.secrets["hosts"][server]["fingerprint"]
    place = {"server": site.address(server), "datastore": "main", "fingerprint": fingerprint}
    login = {"username": TOKEN, "password_file": str(secrets / server)}
    return {"storage": name, "type": "pbs", "content": ["backup"], **place, **login, **more}


def pbs(site: Site, server: str, module: str, **parameters: Any) -> dict[str, Any]:
    result = site.run(module, **parameters, api_hosts=[site.address(server)], api_port=8007)
    assert not result.get("failed"), result.get("msg")
    return result


def stored(stack: RunningStack, server: str) -> tuple[int, int]:
    """How many chunks a server has, and their bytes."""
    chunks = stack.dir / "hosts" / server / "root/srv/main/.chunks"
    sizes = [path.stat().st_size for path in chunks.glob("*/*")]
    return len(sizes), sum(sizes)


def acknowledged(stack: RunningStack, vmid: int) -> int:
    path = stack.dir / f"ledger/{vmid}"
    return max((number for number, _ in read_ledger(str(path))), default=0) if path.exists() else 0


def disk(site: Site, node: str, vmid: int) -> Path:
    volume = str(site.client().get(f"/nodes/{node}/qemu/{vmid}/config")["scsi0"]).partition(",")[0].partition(":")[2]
    return site.stack.dir / f"hosts/{node}/root/var/lib/vz/images" / volume


def whole(path: Path) -> Iterator[int]:
    """The numbers of the records on a disk, all of which have to be whole."""
    return (record.number for record in read_records(str(path), AREA))


@pytest.fixture(scope="module")
def backed_up(site: Site) -> dict[int, int]:
    """Two backups of everybody on the first server, pulled by the second; what was acknowledged before the last."""
    wait_until(lambda: all(acknowledged(site.stack, vmid) for vmid in VMIDS), PATIENCE)
    good(site.run("backup", storage="first", all=True, timeout=int(PATIENCE)))
    once = stored(site.stack, "pbs1")
    before = {vmid: acknowledged(site.stack, vmid) for vmid in VMIDS}
    wait_until(lambda: all(acknowledged(site.stack, vmid) > before[vmid] for vmid in VMIDS), PATIENCE)
    before = {vmid: acknowledged(site.stack, vmid) for vmid in VMIDS}
    good(site.run("backup", storage="first", all=True, timeout=int(PATIENCE)))
    twice = stored(site.stack, "pbs1")
    more = twice[0] - once[0]
    print(
        f"six guests of 256 chunks: {once[0]} stored in {once[1]} bytes, then {more} in {twice[1] - once[1]} bytes more"
    )
    # what a guest wrote in the meantime lies in one chunk, or in two at a border
    assert len(VMIDS) <= more <= 2 * len(VMIDS)
    groups = [{"id": str(vmid)} for vmid in VMIDS]
    pbs(site, "pbs2", "pbs_sync", job="pull", groups=groups, timeout=int(PATIENCE))
    return before


def test_what_cannot_work_is_said(site: Site, backed_up: dict[int, int], tmp_path: Path) -> None:
    for server in ("pbs1", "pbs2"):
        (tmp_path / server).write_text("00000000-0000-0000-0000-000000000000\n")
    there = storage(site, "wrong", "pbs1", tmp_path)
    refused = site.run("storages", storages=[there])["msg"]
    assert "storages[0] (wrong)" in refused, refused
    assert "Nothing was changed" in refused
    secret = {"password_file": None, "password": site.password, "username": "root@pam"}
    fingerprint = ":".join(["AB"] * 32)
    refused = site.run("storages", storages=[{**there, **secret, "fingerprint": fingerprint}])["msg"]
    assert "fingerprint" in refused, refused
    refused = site.run("storages", storages=[{**there, **secret, "datastore": "mian"}])["msg"]
    assert "mian" in refused, refused
    missing = site.run("restore", volid="first:backup/vm/101/2001-01-01T00:00:00Z", vmid=301, node="pve1")["msg"]
    assert "pve1 sees no backup first:backup/vm/101/2001-01-01T00:00:00Z. There are: first:backup/vm/" in missing


def test_nothing_is_overwritten_unless_that_is_said(site: Site, backed_up: dict[int, int]) -> None:
    wanted: dict[str, Any] = {"guest": 104, "source": "first", "timeout": int(PATIENCE)}
    assert "guest 104 (VM104) is on pve1 already" in site.run("restore", **wanted)["msg"]
    assert "is running. Say stop: true" in site.run("restore", **wanted, overwrite=True)["msg"]
    result = site.run("restore", **wanted, overwrite=True, stop=True)
    assert good(result) == ["update guest 104"]
    assert result["bytes"] == 1 << 30
    assert site.client().get("/nodes/pve1/qemu/104/status/current")["status"] == "running"
    assert list(whole(disk(site, "pve1", 104)))[: backed_up[104]] == list(range(1, backed_up[104] + 1))


def test_a_backup_is_tested_and_nothing_is_left_of_it(site: Site, backed_up: dict[int, int]) -> None:
    result = site.run("restore_test", guests=[105], node="pve3", results=str(site.stack.dir / "tests.jsonl"))
    assert good(result) == ["create restore test of guest 105"]
    assert [row["ok"] for row in result["tests"]] == [True]
    assert set(site.client().get("/cluster/resources", type="vm")[0]) >= {"vmid"}
    assert 9000 not in {int(guest["vmid"]) for guest in site.client().get("/cluster/resources", type="vm")}


def test_everything_comes_back_from_the_other_server_while_a_node_is_down(
    site: Site, backed_up: dict[int, int]
) -> None:
    stack = site.stack
    original = {vmid: disk(site, node, vmid) for vmid, node in VMIDS.items()}
    stack.power("off", "pbs1")
    stack.power("off", "pve1")
    site.connection["api_hosts"] = [site.address("pve2"), site.address("pve3")]
    wait_until(
        lambda: [n["status"] for n in site.client().get("/nodes") if n["node"] == "pve1"] == ["offline"], PATIENCE
    )
    seconds = 0.0
    for vmid in VMIDS:
        # the first server is not asked for by name: what does not answer is passed over
        result = site.run("restore", guest=vmid, source="second", vmid=vmid + 200, node="pve2", start=False)
        assert good(result) == [f"create guest {vmid + 200}"]
        seconds += result["seconds"]
        copy = disk(site, "pve2", vmid + 200)
        numbers = list(whole(copy))
        assert numbers == list(range(1, len(numbers) + 1))
        if vmid != 104:  # that one was overwritten since
            assert len(numbers) >= backed_up[vmid], f"guest {vmid} has lost what it had acknowledged"
            length = len(numbers) * RECORD_SIZE
            with copy.open("rb") as one, original[vmid].open("rb") as other:
                one.seek(AREA)
                other.seek(AREA)
                assert one.read(length) == other.read(length)
    print(f"six guests restored from the second server in {seconds:.1f} s")
    ages = site.run("backup_info")
    assert {row["volid"].partition(":")[0] for row in ages["guests"] if row["vmid"] in VMIDS} == {"second"}
    assert "first" in ages["unread"]
