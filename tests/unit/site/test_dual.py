# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small way: two nodes, each with a backup server for the other. The inventory of docs/backup.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.quorate.pve.plugins.module_utils._pure.backup_age import demands, takes
from ansible_collections.quorate.pve.plugins.module_utils._site_checks import problems
from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import node_table

DOC = Path(__file__).resolve().parents[3] / "docs" / "backup.md"
HOSTS = {"pve1": {"pve_address": "10.0.0.11"}, "pve2": {"pve_address": "10.0.0.12"}}


def inventory() -> dict[str, Any]:
    found = re.search(r"^    pve_backup_storages:\n(?:    .*\n)+", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    read: dict[str, Any] = yaml.safe_load(found[0])
    return read


def test_nothing_is_wrong_with_it() -> None:
    assert problems(inventory(), node_table(HOSTS, HOSTS, [])) == []


def test_every_guest_is_backed_up_to_the_server_of_the_other_node() -> None:
    variables = inventory()
    jobs = [{**job, "all": int(job["all"])} for job in variables["pve_backup_jobs"]]
    storages = {storage["storage"]: storage for storage in variables["pve_backup_storages"]}
    for vmid, node, other in ((101, "pve1", "10.0.0.102"), (102, "pve2", "10.0.0.101")):
        guest = {"vmid": vmid, "node": node, "hastate": "started"}
        (job,) = [job for job in jobs if takes(job, guest)]
        storage = storages[job["storage"]]
        assert (storage["server"], storage["nodes"]) == (other, [node])
        assert demands(jobs, [guest], {}, 1_795_305_600)[0].max_age == 18 * 3600
