# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that only judge: what they read of a cluster with guests under HA."""

from __future__ import annotations

from pathlib import Path

from .dances import NO_GUESTS, NO_HA, Dance, Parameters
from .dances_ha import CLUSTER

PLANNED: Parameters = {
    "planned_nodes": ["pve1", "pve2"],
    "planned_resources": [{"sid": "vm:109"}],
    "planned_guests": [{"vmid": 109, "node": "pve2", "disks": {"scsi0": "tank:1"}, "tags": ["known"]}],
    "planned_storages": [{"storage": "tank", "type": "zfspool"}],
    "planned_replication": [{"guest": 109, "target": "pve1"}],
    "planned_affinity": [{"name": "r", "nodes": {"pve1": 1, "pve2": 2}, "strict": True, "resources": ["vm:109"]}],
    "planned_backup_jobs": [{"id": "nightly", "all": True}],
}

# one that nobody is at: a finding, and no failure
SERVER: Parameters = {
    "name": "elsewhere",
    "api_hosts": ["{node1}"],
    "api_port": 9,
    "api_user": "root@pam",
    "api_password": "{password}",
    "api_token_id": None,
    "api_token_secret": None,
    "api_fingerprints": [],
    "api_trust_file": None,
    "api_ca_file": None,
    "api_validate_certs": True,
    "api_timeout": 5,
}
REPORTED: Parameters = {
    "title": "hello",
    "nodes": [
        {
            "name": f"pve{n}",
            "address": f"{{node{n}}}",
            "host_key": f"{{ssh_host_key{n}}}",
            "site": "dc1",
            "voter": False,
        }
        for n in (1, 2)
    ],
    "links": True,
    "ssh_port": 2222,
    "ssh_user": "root",
    "ssh_password": "{password}",
    "ssh_private_key_file": None,
    "ssh_known_hosts": None,
    "ssh_timeout": 10,
    "backup_servers": [SERVER],
    "drills": "{directory}/drills",
    "restores": "{directory}/restores",
    "backup_max_age": "2d",
    "backup_classes": [{"name": "hourly", "max_age": "2h"}],
    "classes": {"101": {"name": "gold"}},
    "services_known": ["101"],
    "recovery_promised": 180,
    "service_promised": 240,
    "page_file": "{directory}/report/page.html",
    "data_file": "{directory}/report/data.json",
    "templates": str(Path(__file__).resolve().parents[3] / "roles/report/templates"),
}

DANCES: dict[str, Dance] = {
    "ha_eligibility": Dance(
        (
            {"only_ha": True},
            {"guests": [101], "services_known": ["101"], "severity": {"ha_disk": "error"}},
            {"only_ha": True, **PLANNED},
        ),
        before=CLUSTER,
        reads=True,
    ),
    "rebalance_plan": Dance(
        ({}, {"tolerance": 20, "max_moves": 3, "exclude": ["mail"], "containers": True, "voters": ["pve2"]}),
        reads=True,
    ),
    "report_data": Dance(({}, REPORTED), after=(NO_HA, NO_GUESTS), reads=True),
}
