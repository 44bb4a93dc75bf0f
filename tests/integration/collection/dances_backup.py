# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules about backups, on two nodes and two backup servers."""

from __future__ import annotations

from .backup_servers import OTHER, SECRET, SERVERS
from .dances import GONE, MAKE_TANK, Dance, Parameters, guest, guests

GROUP: Parameters = {"store": "main", "ns": "site", "id": "101"}
STORAGE: Parameters = {
    "storage": "backup",
    "type": "pbs",
    "server": "{pbs1}",
    "fingerprint": "{pbs_fingerprint1}",
    "datastore": "main",
    "namespace": "site",
    "username": "backup@pbs!pull",
    "password_file": SECRET,
    "content": ["backup"],
}

SEALED: Parameters = {**STORAGE, "storage": "sealed", "encryption_key_file": "{directory}/keys/sealed"}

DANCES: dict[str, Dance] = {
    **SERVERS,
    "backup_jobs": Dance(
        (
            {
                "jobs": [
                    {
                        "id": "hourly",
                        "schedule": "hourly",
                        "storage": "backup",
                        "guests": [101],
                        "mode": "snapshot",
                        "enabled": True,
                        "repeat_missed": True,
                        "prune_backups": {"keep-last": 3},
                        "notes_template": "every hour",
                        "notification_mode": "legacy-sendmail",
                        "mailto": "a@example.net",
                        "comment": "hello",
                    },
                    {"id": "other", "schedule": "daily", "storage": "backup", "all": True, "exclude": [101]},
                ]
            },
            {
                "jobs": [
                    {
                        "id": "hourly",
                        "schedule": "2,14:00",
                        "all": True,
                        "mode": "stop",
                        "enabled": False,
                        "repeat_missed": False,
                        "prune_backups": {},
                        "compress": "zstd",
                        "protected": False,
                        "bwlimit": 1000,
                        "fleecing": {"enabled": True, "storage": "local"},
                        "node": "pve1",
                        "comment": "",
                    },
                    {"id": "other", "pool": "gold"},
                ]
            },
            {"jobs": [{"id": "hourly", "guests": [101]}], "purge": True, "purge_limit": "100%"},
            {"jobs": [{"id": "hourly", "state": "absent"}]},
        ),
        before=(MAKE_TANK, guests(guest(101)), ("storages", {"storages": [STORAGE, SEALED]})),
    ),
    "backup": Dance(
        (
            {"storage": "backup", "guests": [101], "max_age": "1d", "mode": "snapshot", "timeout": 60},
            {
                "storage": "local",
                "all": True,
                "exclude": [999],
                "max_age": "1d",
                "notes_template": "hello",
                "protected": True,
            },
        ),
    ),
    "storages": Dance(
        (
            {"storages": [{**SEALED, "storage": "again", "namespace": "", "encryption_key_file": "{directory}/again"}]},
            {"storages": [{"storage": "backup", "encryption_key_file": "{directory}/late"}]},
            {"storages": [{"storage": "again", "state": "absent"}]},
        ),
    ),
    "backup_info": Dance(
        (
            {},
            {
                "storages": ["backup"],
                "guests": [101],
                "max_ages": {"hourly": "2h"},
                "window": {"rate": "100 MiB", "window": "6h", "changed": "5%"},
            },
        ),
        reads=True,
    ),
    "pbs_sync": Dance(
        ({**OTHER, "job": "pull", "groups": [{"type": "vm", "id": "101"}], "max_age": "1d", "timeout": 60},),
    ),
    "pbs_snapshots": Dance(
        (
            {
                "snapshots": [
                    {**GROUP, "time": "newest", "state": "present", "protected": True, "notes": "hello"},
                    {**GROUP, "type": "vm", "owner": "backup@pbs", "notes": "web"},
                ]
            },
            {
                "snapshots": [
                    {**GROUP, "time": "newest", "protected": False, "notes": ""},
                    {**GROUP, "owner": "backup@pbs!pull", "notes": ""},
                ]
            },
            {**OTHER, "snapshots": [{"store": "copies", "id": "101", "state": "absent", "forget": True}]},
        ),
    ),
    "pbs_traffic_controls": Dance(
        (
            {
                "rules": [
                    {
                        "name": "office-hours",
                        "network": ["192.0.2.0/24", "2001:db8::/32"],
                        "rate_in": "20 MiB",
                        "burst_in": "40MiB",
                        "rate_out": "10MB",
                        "burst_out": "1000000000",
                        "timeframe": ["mon..fri 8-18"],
                        "comment": "hello",
                    },
                    {"name": "gone", "network": ["198.51.100.0/24"], "rate_in": "1 GB"},
                ]
            },
            {
                "rules": [
                    {"name": "office-hours", "rate_in": "20.5 MiB", "burst_in": "", "rate_out": "", "burst_out": ""},
                    {"name": "gone", "state": "absent"},
                ]
            },
            {"rules": [{"name": "office-hours", "network": ["192.0.2.0/24"], "timeframe": [], "comment": ""}]},
            {"rules": [], "purge": True, "purge_limit": "100%"},
        ),
    ),
    "restore": Dance(
        (
            {
                "guest": 101,
                "source": "backup",
                "max_age": "1d",
                "before": "2099-01-01T00:00:00Z",
                "vmid": 110,
                "node": "pve1",
                "storage": "tank",
                "unique": True,
                "disconnect": True,
                "options": {"name": "again"},
                "bwlimit": 0,
                "start": False,
                "keep": True,
                "timeout": 60,
            },
            {"guest": 101, "source": "backup", "vmid": 111, "node": "pve1", "live": True, "keep": True},
            {
                "guest": 101,
                "volid": None,
                "vmid": 112,
                "node": "pve1",
                "pool": None,
                "overwrite": False,
                "stop": False,
                "start": True,
                "keep": True,
            },
        ),
        after=(guests(*({"vmid": vmid, **GONE} for vmid in (110, 111, 112))),),
    ),
    "restore_files": Dance(
        (
            {
                "guest": 101,
                "volid": None,
                "source": "backup",
                "max_age": "1d",
                "before": "2099-01-01T00:00:00Z",
                "node": "pve1",
                "files": ["/drive-scsi0.img.fidx/part/1/"],
                "dest": "{directory}/restored",
                "overwrite": False,
            },
        ),
    ),
    "restore_test": Dance(
        (
            {
                "guests": [101],
                "count": 1,
                "every": "1d",
                "results": "{directory}/results/tests.jsonl",
                "source": "backup",
                "node": "pve1",
                "storage": "tank",
                "first_vmid": 101,
                "boot_timeout": 60,
                "timeout": 60,
            },
        ),
    ),
    "pbs_info": Dance(({}, {"datastores": ["main"], "groups": False}), reads=True),
    "pbs_export": Dance(
        (
            {"dest": "{directory}/exported-pbs.yml", "title": "all of it"},
            {"dest": "{directory}/exported-pbs.yml", "overwrite": True, "variables": ["pbs_datastores"]},
        ),
    ),
}
