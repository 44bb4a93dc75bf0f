# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters' examples are run as they stand in the documentation; and where they end."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.quorate.pve.plugins.module_utils._capacity import copies_advice, pg_count, spare_capacity
from ansible_collections.quorate.pve.plugins.module_utils._filter_values import (
    next_times,
    properties,
    simulate_prune,
    to_properties,
)

ROOT = Path(__file__).resolve().parents[3]
FILTERS = (
    "next_times",
    "simulate_prune",
    "properties",
    "to_properties",
    "corosync_conf",
    "to_corosync_conf",
    "pg_count",
    "spare_capacity",
    "copies_advice",
    "findings_text",
)


def test_the_examples_of_the_filters_hold(tmp_path: Path) -> None:
    tasks: list[Any] = []
    for name in FILTERS:
        module = import_module(f"ansible_collections.quorate.pve.plugins.filter.{name}")
        tasks += yaml.safe_load(module.EXAMPLES)
    playbook = tmp_path / "examples.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", str(playbook)],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "WARNING" not in done.stderr


def test_every_filter_has_its_link_and_documentation() -> None:
    for path in sorted((ROOT / "plugins" / "filter").glob("*.py")):
        link = ROOT / "filter_plugins" / path.name
        assert link.is_symlink(), path.name
        assert link.resolve() == path, path.name
        module = import_module(f"ansible_collections.quorate.pve.plugins.filter.{path.stem}")
        assert yaml.safe_load(module.DOCUMENTATION)["name"] == path.stem
        assert module.EXAMPLES
        assert module.RETURN


def test_what_makes_no_sense_is_an_error() -> None:
    wrong = (
        lambda: next_times("whenever"),
        lambda: next_times("daily", count=0),
        lambda: next_times("daily", timezone="Mars/Base"),
        lambda: simulate_prune([{}], {"last": 1}),
        lambda: simulate_prune([1], {"fortnightly": 1}),
        lambda: properties("virtio,bridge=vmbr0"),
        lambda: to_properties({"a": "b,c"}),
        lambda: pg_count(0),
        lambda: pg_count(3, share=2),
        lambda: spare_capacity([], load_max=0),
        lambda: copies_advice(3, "everything"),
    )
    for call in wrong:
        with pytest.raises(ValueError, match=r"\w"):
            call()


def test_a_cluster_that_is_full_says_who_finds_no_place() -> None:
    def node(name: str) -> dict[str, Any]:
        return {"type": "node", "node": name, "status": "online", "maxmem": 5 * 2**30}

    guests = [
        {"type": "qemu", "vmid": 101, "node": "pve1", "status": "running", "maxmem": 3 * 2**30, "hastate": "started"},
        {"type": "qemu", "vmid": 102, "node": "pve2", "status": "running", "maxmem": 2 * 2**30},
        {"type": "qemu", "vmid": 103, "node": "pve2", "status": "stopped", "maxmem": 9 * 2**30},
    ]
    found = spare_capacity([node("pve1"), node("pve2"), *guests])
    assert not found["fits"]
    assert [loss["homeless"] for loss in found["losses"]] == [[101], [102]]
    assert spare_capacity([node("pve1"), node("pve2"), node("pve3"), *guests])["fits"]
    lost = spare_capacity([node("pve1"), node("pve2"), *guests], only_ha=True)["losses"]
    assert [loss["fits"] for loss in lost] == [False, True]
    assert not spare_capacity([node("pve1")])["fits"]


@pytest.mark.parametrize(("osds", "groups"), [(1, 32), (3, 128), (9, 256), (60, 2048)])
def test_placement_groups_follow_ceph(osds: int, groups: int) -> None:
    assert pg_count(osds) == groups
