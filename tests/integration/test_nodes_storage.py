# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made on a node's disks besides pools, and files on its storages (facts §10, §12, §13)."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

NODE = "/nodes/pve1"
CLEAN = {"cleanup__config": 1, "cleanup__disks": 1}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    disks = [{"size": "32G"}, {"size": "8G", "count": 3}]
    return stack_factory({"pve1": {"disks": disks}, "pve2": {"disks": disks}}, scale=50,
                         start={"clustered": {"name": "test"}})  # fmt: skip


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


def refused(root: Root, verb: str, path: str, **given: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        root(verb, path, **given)
    return caught.value


def free(root: Root) -> set[str]:
    return {row["devpath"] for row in root("GET", f"{NODE}/disks/list", type="unused")}


def test_volume_groups(root: Root) -> None:
    lvm = f"{NODE}/disks/lvm"
    root.run("POST", lvm, name="vg1", device="/dev/sdb", add_storage=1)
    assert refused(root, "POST", lvm, name="vg2", device="/dev/sdb").reason == "device '/dev/sdb' is already in use"
    taken = refused(root, "POST", lvm, name="vg1", device="/dev/sdc")
    assert taken.reason == "volume group with name 'vg1' already exists on node 'pve1'"
    storage = refused(root, "POST", lvm, name="vg1", device="/dev/sdc", add_storage=1)
    assert storage.reason == "Storage ID 'vg1' already exists on node pve1"
    root.run("POST", "/nodes/pve2/disks/lvm", name="vg1", device="/dev/sdb", add_storage=1)
    assert set(root("GET", "/storage/vg1")["nodes"].split(",")) == {"pve1", "pve2"}
    groups = {row["name"]: row for row in root("GET", lvm)["children"]}
    assert set(groups) == {"pve", "vg1"}
    assert {row["vg"] for row in root("GET", f"{NODE}/scan/lvm")} == {"pve", "vg1"}
    root.run("POST", f"{NODE}/qemu", vmid=100, scsi0="vg1:1", start=1)
    assert root.end_of(root("DELETE", f"{lvm}/vg1")) == "command '/sbin/vgremove -y vg1' failed: exit code 5"
    held = refused(root, "PUT", f"{NODE}/disks/wipedisk", disk="/dev/sdb")
    assert held.reason.endswith("has a holder")
    root.run("POST", f"{NODE}/qemu/100/status/stop")
    root.run("DELETE", f"{NODE}/qemu/100")
    root.run("DELETE", f"{lvm}/vg1", **CLEAN)
    assert root("GET", "/storage/vg1")["nodes"] == "pve2"
    assert "/dev/sdb" in free(root)


def test_thin_pools(root: Root) -> None:
    thin = f"{NODE}/disks/lvmthin"
    root.run("POST", thin, name="thin1", device="/dev/sdc", add_storage=1)
    pool = root("GET", thin)[0]
    assert (pool["lv"], pool["vg"]) == ("thin1", "thin1")
    assert root("GET", f"{NODE}/scan/lvmthin", vg="thin1") == [{"lv": "thin1"}]
    root.run("POST", f"{NODE}/qemu", vmid=101, scsi0="thin1:1")
    root.run("POST", f"{NODE}/qemu/101/template")
    assert root("GET", f"{NODE}/qemu/101/config")["scsi0"] == "thin1:base-101-disk-0,size=1G"
    root.run("POST", f"{NODE}/qemu/101/clone", newid=102)
    assert root("GET", f"{NODE}/qemu/102/config")["scsi0"] == "thin1:vm-102-disk-0,size=1G"
    # a thin snapshot does not need what it was made from
    root.run("DELETE", f"{NODE}/qemu/101")
    root.run("POST", f"{NODE}/qemu/102/status/start")
    root.run("POST", f"{NODE}/qemu/102/status/stop")
    root.run("DELETE", f"{NODE}/qemu/102")
    missing = root("DELETE", f"{thin}/nosuch", volume__group="thin1")
    assert root.end_of(missing) == "no such thin pool thin1/nosuch"
    root.run("DELETE", f"{thin}/thin1", volume__group="thin1", **CLEAN)
    assert refused(root, "GET", "/storage/thin1").reason == "storage 'thin1' does not exist"
    assert "/dev/sdc" in free(root)


def test_directories_share_their_storage(root: Root) -> None:
    for node in ("pve1", "pve2"):
        root.run("POST", f"/nodes/{node}/disks/directory", name="data", device="/dev/sdd", add_storage=1)
    assert set(root("GET", "/storage/data")["nodes"].split(",")) == {"pve1", "pve2"}
    root.run("DELETE", f"{NODE}/disks/directory/data", **CLEAN)
    assert root("GET", "/storage/data")["nodes"] == "pve2"


def send(root: Root, name: str, content: bytes, **fields: str) -> Any:
    url = root._url(f"{NODE}/storage/local/upload")
    return root._session.post(url, data={"content": "iso", **fields}, files={"filename": (name, content)}, timeout=60)


def test_uploads(stack: RunningStack, root: Root) -> None:
    spool = stack.dir / "hosts/pve1/root/var/tmp"
    assert root.end_of(send(root, "small.iso", b"content" * 300_000).json()["data"]) == "OK"
    found = root("GET", f"{NODE}/storage/local/content", content="iso")
    assert [(row["volid"], row["size"]) for row in found] == [("local:iso/small.iso", 2_100_000)]
    assert send(root, "small.txt", b"x").json()["errors"] == {"filename": "wrong file extension"}
    sums = {"checksum": "00", "checksum-algorithm": "sha256"}
    assert root.end_of(send(root, "other.iso", b"x", **sums).json()["data"]).startswith("checksum mismatch: got '")
    assert list(spool.iterdir()) == []
    root.run("DELETE", f"{NODE}/storage/local/content/local:iso/small.iso")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "tiny.iso").write_bytes(b"iso" * 1000)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_downloads(root: Root, site: str) -> None:
    assert root("GET", f"{NODE}/query-url-metadata", url=f"{site}/tiny.iso")["size"] == 3000
    wanted = {"url": f"{site}/tiny.iso", "content": "iso", "filename": "tiny.iso"}
    root.run("POST", f"{NODE}/storage/local/download-url", **wanted)
    again = refused(root, "POST", f"{NODE}/storage/local/download-url", **wanted)
    assert again.reason == "refusing to override existing file 'tiny.iso'"
    away = {"url": "http://example.invalid/x.iso", "content": "iso", "filename": "x.iso"}
    task = root("POST", f"{NODE}/storage/local/download-url", **away)
    assert root.end_of(task) == "wget: unable to resolve host address ‘example.invalid’"


def test_pruning(stack: RunningStack, root: Root) -> None:
    dump = stack.dir / "hosts/pve1/root/var/lib/vz/dump"
    names = [f"vzdump-qemu-100-2026_11_2{day}-00_00_00.vma.zst" for day in range(3)]
    for name in [*names, "vzdump-qemu-100-before-the-move.vma.zst"]:
        (dump / name).write_bytes(b"x")
    for position, name in enumerate(names):
        os.utime(dump / name, (1_795_000_000 + position * 86_400,) * 2)
    (dump / f"{names[0]}.protected").touch()
    rows = root("GET", f"{NODE}/storage/local/prunebackups", prune__backups="keep-last=1")
    marks = {row["volid"].rpartition("/")[2]: row["mark"] for row in rows}
    assert [marks[name] for name in names] == ["protected", "remove", "keep"]
    assert marks["vzdump-qemu-100-before-the-move.vma.zst"] == "renamed"
    root.run("DELETE", f"{NODE}/storage/local/prunebackups", prune__backups="keep-last=1", vmid=100)
    assert not (dump / names[1]).exists()
    assert (dump / names[0]).exists()
