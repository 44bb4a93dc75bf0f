# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin, on two clusters that both have a guest of one name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ...api_client import Root
from ...stacks import RunningStack, StackFactory, wait_until

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent


pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@pytest.fixture(scope="module")
def clusters(stack_factory: StackFactory) -> list[RunningStack]:
    """Two clusters, of two nodes and of one; the names of one node and one guest of each are the same."""
    made = []
    for name in ("ha-one", "ha-two"):
        guests = {
            101: {"type": "vm", "name": "web", "node": "pve1", "running": True, "tags": ["gold", "dc-south"]},
            102: {"type": "vm", "name": f"mail-{name}", "node": "pve1"},
        }
        if name == "ha-one":
            guests[103] = {"type": "vm", "name": "spare", "node": "pve2", "ha": "stopped"}
        made.append(stack_factory(len(guests) - 1, start={"clustered": {"name": name, "guests": guests}}))
    root = Root(made[0], "pve1")
    wait_until(lambda: any(each.get("hastate") for each in root("GET", "/cluster/resources", type="vm")), 60)
    return made


def source(clusters: list[RunningStack], **more: Any) -> dict[str, Any]:
    described = []
    for stack in clusters:
        host = stack.resolved["hosts"]["pve1"]["addresses"]["mgmt"]
        described.append(
            {
                # nobody answers at the first
                "api_hosts": [host.rpartition(".")[0] + ".250", host],
                "api_password": "{{ (lookup('ansible.builtin.file', '"
                + str(stack.dir / "secrets.yml")
                + "') | from_yaml).root_password }}",
                "api_fingerprints": [stack.secrets["hosts"]["pve1"]["fingerprint"]],
                "sites": {"pve1": "north"},
                "site_tag": "dc-",
            }
        )
    return {"plugin": "quorate.pve.cluster", "clusters": described, **more}


def listed(directory: Path, content: dict[str, Any], *, ok: bool = True) -> tuple[dict[str, Any], str]:
    """What ansible-inventory makes of it, and what it printed beside."""
    file = directory / "clusters.yml"
    file.write_text(yaml.safe_dump(content, sort_keys=False, width=1000))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_"))}
    done = subprocess.run(
        [BIN / "ansible-inventory", "-i", str(file), "--list"],
        cwd=directory,
        env={
            **clean,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stderr
    return (json.loads(done.stdout) if ok else {}), done.stdout + done.stderr


def test_nodes_and_guests_of_two_clusters_are_hosts(clusters: list[RunningStack], tmp_path: Path) -> None:
    more = {
        "groups": {"busy": "pve_kind == 'guest' and pve_status == 'running'"},
        "keyed_groups": [{"key": "pve_type", "prefix": "type"}],
        "compose": {"ansible_host": "pve_address | default(pve_name)"},
    }
    found, output = listed(tmp_path, source(clusters, **more))
    assert sorted(found["pve_nodes"]["hosts"]) == ["pve1-ha-one", "pve1-ha-two", "pve2"]
    assert sorted(found["ha_one"]["hosts"]) == ["pve1-ha-one", "pve2"]
    assert sorted(found["ha_one_guests"]["hosts"]) == ["mail-ha-one", "spare", "web-101-ha-one"]
    assert found["pve_node_pve2"]["hosts"] == found["pve_ha_stopped"]["hosts"] == ["spare"]
    assert sorted(found["busy"]["hosts"]) == ["web-101-ha-one", "web-101-ha-two"]
    assert sorted(found["pve_tag_gold"]["hosts"]) == sorted(found["pve_site_south"]["hosts"]) == found["busy"]["hosts"]
    assert "mail-ha-one" in found["pve_site_north"]["hosts"]
    assert len(found["type_qemu"]["hosts"]) == 5
    assert len(found["pve_ha_none"]["hosts"]) == 4
    hosts = found["_meta"]["hostvars"]
    # what the cluster says is never taken for a template
    node = {name: value["__ansible_unsafe"] for name, value in hosts["pve1-ha-one"].items() if isinstance(value, dict)}
    assert node["ansible_host"] == clusters[0].resolved["hosts"]["pve1"]["addresses"]["mgmt"]
    assert node["pve_cluster_group"] == "ha_one"
    assert hosts["mail-ha-two"]["pve_vmid"] == 102
    assert all(stack.secrets["root_password"] not in output for stack in clusters)


def test_a_cluster_that_does_not_answer_is_an_error_or_left_out(clusters: list[RunningStack], tmp_path: Path) -> None:
    content = source(clusters, guest_names="vmid")
    content["clusters"][1]["api_hosts"] = content["clusters"][1]["api_hosts"][:1]
    _, output = listed(tmp_path, content, ok=False)
    assert "clusters[1]" in output
    found, output = listed(tmp_path, {**content, "skip_unreachable": True})
    assert "left out" in output
    assert sorted(found["ha_one_guests"]["hosts"]) == ["ha-one-101", "ha-one-102", "ha-one-103"]
    assert "ha_two" not in found


def test_the_cache_serves_when_nobody_answers_and_holds_no_secret(clusters: list[RunningStack], tmp_path: Path) -> None:
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    content = source(clusters[:1], **cache)
    first, _ = listed(tmp_path, content)
    kept = [path.read_text() for path in (tmp_path / "cache").iterdir()]
    assert kept
    assert all(clusters[0].secrets["root_password"] not in text for text in kept)
    # a password that would be refused is not even tried
    content["clusters"][0]["api_password"] = "wrong"
    assert listed(tmp_path, content)[0] == first


def test_an_option_that_does_not_exist_is_an_error(clusters: list[RunningStack], tmp_path: Path) -> None:
    content = source(clusters[:1])
    content["clusters"][0]["api_pasword"] = "typed wrong"
    _, output = listed(tmp_path, content, ok=False)
    assert "api_pasword" in output


def test_pools_are_groups_and_a_dead_member_is_named(clusters: list[RunningStack], tmp_path: Path) -> None:
    stack = clusters[0]
    root = Root(stack, "pve1")
    root("POST", "/pools", poolid="shop")
    root("PUT", "/pools", poolid="shop", vms="101,103")
    stack.power("off", "pve2")
    wait_until(lambda: status_of(root, 103) == "unknown", 60)
    found, _ = listed(tmp_path, source(clusters[:1]))
    # the server forgets the names of guests that nobody tells of
    assert sorted(found["pve_pool_shop"]["hosts"]) == ["103", "web"]
    found, _ = listed(tmp_path, source(clusters[:1], guest_names="vmid"))
    assert sorted(found["pve_pool_shop"]["hosts"]) == ["ha-one-101", "ha-one-103"]
    assert found["pve_status_offline"]["hosts"] == ["pve2"]
    assert found["pve_status_unknown"]["hosts"] == found["pve_node_pve2"]["hosts"] == ["ha-one-103"]
    assert "pve1" in found["pve_status_online"]["hosts"]


def status_of(root: Root, vmid: int) -> str:
    guests = root("GET", "/cluster/resources", type="vm")
    return str(next(guest["status"] for guest in guests if guest["vmid"] == vmid))
