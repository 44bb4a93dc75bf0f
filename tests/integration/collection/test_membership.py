# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that join over SSH, and nodes that leave for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ...stacks import StackFactory, wait_until
from .control_node import Site, good


@pytest.fixture(scope="module")
def site(stack_factory: StackFactory) -> Site:
    guest = {"node": "pve2", "ha": "ignored"}
    stack = stack_factory(
        3,
        scale=20,
        networks={"mgmt": {}, "ring1": {}},
        start={"clustered": {"name": "leave", "nodes": ["pve1", "pve2"], "guests": {100: guest}}},
    )
    return Site(stack, "pve1")


@pytest.fixture(scope="module")
def key(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key of the control node that root accepts on every host."""
    made = Ed25519PrivateKey.generate()
    path = tmp_path_factory.mktemp("ssh") / "id_ed25519"
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    public = made.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    for name in ("pve1", "pve3"):
        with site.shell(name) as shell:
            shell.append("/root/.ssh/authorized_keys", f"{public} control\n")
    return path


def member(site: Site, **more: Any) -> dict[str, Any]:
    return site.run(
        "cluster_member",
        node="pve3",
        address=site.address("pve3"),
        fingerprint=site.keys["pve3"]["fingerprint"],
        host_key=site.keys["pve3"]["ssh_host_key"],
        members=site.shells("pve1"),
        **more,
    )


def test_join_by_key_where_it_is_accepted(site: Site, key: Path) -> None:
    by_key = {"ssh_private_key_file": str(key), "links": [{"number": 0, "address": site.address("pve3")}]}
    assert good(member(site, check=True, **by_key)) == ["create member pve3"]
    assert good(member(site, **by_key)) == ["create member pve3"]
    assert good(member(site, **by_key)) == []
    with site.shell("pve1") as shell:
        assert "root@pve3" in (shell.read("/etc/pve/priv/authorized_keys") or "")
    tasks = site.client().get("/nodes/pve3/tasks", typefilter="clusterjoin")
    assert tasks == [], "the join over the API is a task, that over SSH is none"


def test_what_keeps_a_node_from_leaving(site: Site) -> None:
    online = member(site, state="absent")
    assert online["failed"]
    assert "pve3 is on" in online["msg"]
    client = site.client()
    client.post("/storage", {"storage": "there", "type": "dir", "path": "/srv/x", "nodes": "pve2,pve3"})
    rule = {"rule": "web", "type": "node-affinity", "nodes": "pve2:2,pve3:1", "resources": "vm:100"}
    client.post("/cluster/ha/rules", rule)
    upid = client.post("/nodes/pve3/qemu", {"vmid": 200, "name": "kept"})
    wait_until(lambda: client.get(f"/nodes/pve3/tasks/{upid}/status")["status"] == "stopped")
    wait_until(lambda: [each for each in client.get("/cluster/resources", type="vm") if each["vmid"] == 200])
    refused = member(site, state="absent")
    assert "pve3 is on" in refused["msg"]
    assert "pve3 has guests (200)" in refused["msg"]
    upid = client.delete("/nodes/pve3/qemu/200")
    wait_until(lambda: client.get(f"/nodes/pve3/tasks/{upid}/status")["status"] == "stopped")
    wait_until(lambda: all(each["vmid"] != 200 for each in client.get("/cluster/resources", type="vm")))


def test_leave(site: Site) -> None:
    site.stack.power("off", "pve3")
    client = site.client()
    wait_until(lambda: not all(each.get("online", 1) for each in client.get("/cluster/status")))
    # marked for removal, which its scheduler never gets to without the target
    with site.shell("pve1") as shell:
        shell.append("/etc/pve/replication.cfg", "local: 100-0\n\ttarget pve3\n\tremove_job full\n")
    client.post("/cluster/firewall/ipset", {"name": "servers"})
    client.post("/cluster/firewall/ipset/servers", {"cidr": site.address("pve3")})
    devices = [f"node={name},path=0000:01:00.0,id=8086:1533" for name in ("pve2", "pve3")]
    client.post("/cluster/mapping/pci", {"id": "card", "map": devices})
    kept = member(site, state="absent", trim=["storages"])
    assert "replication jobs use pve3 (100-0)" in kept["msg"], kept
    gone_too = ["storages", "replication", "firewall", "mappings"]
    expected = [
        "update nodes of storage there",
        "delete entry replication job 100-0",
        "update nodes of pci mapping card",
    ]
    expected += [f"delete entry {site.address('pve3')} in IP set servers"]
    expected += ["delete member pve3", "delete leftovers of pve3"]
    predicted = member(site, state="absent", trim=gone_too, check=True)
    assert good(predicted) == expected
    result = member(site, state="absent", trim=gone_too)
    assert good(result) == expected
    assert result["plan"] == predicted["plan"]
    assert result["warnings"] == ["HA rule web still names pve3 (pve2:2,pve3:1)"]
    assert good(member(site, state="absent", trim=["storages", "ha"])) == ["update nodes of HA rule web"]
    assert good(member(site, state="absent", trim=["storages", "ha"])) == []
    assert client.get("/storage/there")["nodes"] == "pve2"
    assert client.get("/cluster/mapping/pci/card")["map"] == devices[:1]
    assert client.get("/cluster/replication") == client.get("/cluster/firewall/ipset/servers") == []
    assert {node["name"] for node in client.get("/cluster/config/nodes")} == {"pve1", "pve2"}
    with site.shell("pve1") as shell:
        assert shell.list("/etc/pve/nodes") == ["pve1", "pve2"]
        for name in ("authorized_keys", "known_hosts"):
            assert "pve3" not in (shell.read(f"/etc/pve/priv/{name}") or "")
