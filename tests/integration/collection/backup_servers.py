# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the dances of backups in which the servers are set up: datastores, accounts, jobs, remotes."""

from __future__ import annotations

from .dances import Dance, Parameters

OTHER: Parameters = {"api_hosts": ["{pbs2}"]}
MAIN: Parameters = {"name": "main", "path": "/srv/main"}
COPIES = ("pbs_datastores", {**OTHER, "datastores": [{"name": "copies", "path": "/srv/copies"}]})
SECRET = "{directory}/secrets/pull"
REMOTE: Parameters = {
    "name": "first",
    "host": "{pbs1}",
    "auth_id": "backup@pbs!pull",
    "password_file": SECRET,
    "fingerprint": "{pbs_fingerprint1}",
}
BY_PASSWORD: Parameters = {
    "host": "{pbs1}",
    "auth_id": "root@pam",
    "password": "{password}",
    "fingerprint": "{pbs_fingerprint1}",
}

SERVERS: dict[str, Dance] = {
    "pbs_datastores": Dance(
        (
            {
                "datastores": [
                    {
                        **MAIN,
                        "comment": "hello",
                        "gc_schedule": "daily",
                        "verify_new": True,
                        "notification_mode": "legacy-sendmail",
                        "tuning": {"chunk-order": "none"},
                        "maintenance_mode": "read-only",
                    },
                    {"name": "trial", "path": "/srv/trial"},
                ],
                "timeout": 60,
            },
            {
                "datastores": [
                    {
                        "name": "main",
                        "comment": "",
                        "gc_schedule": "sat 18:15",
                        "verify_new": False,
                        "notification_mode": "notification-system",
                        "tuning": {},
                        "maintenance_mode": "",
                    },
                    {"name": "trial", "state": "absent", "destroy_data": False},
                ]
            },
            {
                "datastores": [MAIN, {"name": "trial", "path": "/srv/trial", "reuse_datastore": True}],
                "purge": True,
                "purge_limit": "100%",
            },
            {"datastores": [MAIN], "purge": True, "purge_limit": "100%"},
        )
    ),
    "pbs_namespaces": Dance(
        (
            {"namespaces": [{"store": "main", "ns": "site"}, {"store": "main", "ns": "old/and/deep"}]},
            {"namespaces": [{"store": "main", "ns": "old/and/deep", "state": "absent", "destroy": True}]},
            {"namespaces": [{"store": "main", "ns": "site"}], "purge": True, "purge_limit": "100%"},
        )
    ),
    "pbs_users": Dance(
        (
            {
                "users": [
                    {"userid": "backup@pbs", "comment": "hello", "email": "a@example.net", "password": "not-yet-known"},
                    {"userid": "gone@pbs", "firstname": "Ann", "lastname": "Bee", "expire": 4000000000},
                ]
            },
            {"users": [{"userid": "backup@pbs", "comment": "", "email": ""}, {"userid": "gone@pbs", "enable": False}]},
            {"users": [{"userid": "gone@pbs", "state": "absent"}], "purge": False},
            {"users": [{"userid": "backup@pbs", "comment": "c"}], "purge": True, "purge_limit": "100%"},
            {"users": [{"userid": "backup@pbs", "comment": "clusters"}], "update_secrets": False},
        ),
        after=(("pbs_users", {"users": [{"userid": "backup@pbs", "password": "the-other"}], "update_secrets": True}),),
    ),
    "pbs_tokens": Dance(
        (
            {
                "tokens": [
                    {"tokenid": "backup@pbs!pull", "secret_file": SECRET, "comment": "hello"},
                    {"tokenid": "backup@pbs!gone", "secret_file": "{directory}/gone", "expire": 4000000000},
                ]
            },
            {
                "tokens": [
                    {"tokenid": "backup@pbs!pull", "secret_file": SECRET, "comment": ""},
                    {
                        "tokenid": "backup@pbs!gone",
                        "secret_file": "{directory}/elsewhere",
                        "regenerate": True,
                        "enable": False,
                    },
                ]
            },
            {"tokens": [{"tokenid": "backup@pbs!gone", "state": "absent"}], "purge": False},
            {
                "tokens": [{"tokenid": "backup@pbs!pull", "secret_file": SECRET, "comment": "x"}],
                "purge": True,
                "purge_limit": "100%",
            },
        )
    ),
    "pbs_acls": Dance(
        (
            {
                "acls": [
                    {"path": "/datastore/main", "auth_id": "backup@pbs", "role": "DatastoreReader"},
                    {"path": "/datastore/main", "auth_id": "backup@pbs", "role": "DatastoreBackup"},
                    {"path": "/datastore/main", "auth_id": "backup@pbs!pull", "role": "DatastoreReader"},
                    {"path": "/datastore/main", "auth_id": "backup@pbs!pull", "role": "DatastoreAudit"},
                ]
            },
            {
                "acls": [
                    {
                        "path": "/datastore/main",
                        "auth_id": "backup@pbs!pull",
                        "role": "DatastoreAudit",
                        "propagate": False,
                    },
                    {
                        "path": "/datastore/main",
                        "auth_id": "backup@pbs",
                        "role": "DatastoreReader",
                        "state": "absent",
                    },
                ]
            },
            {
                "acls": [
                    {"path": "/datastore/main", "auth_id": who, "role": "DatastorePowerUser"}
                    for who in ("backup@pbs", "backup@pbs!pull")
                ],
                "purge": True,
                "purge_limit": "100%",
            },
        )
    ),
    "pbs_prune_jobs": Dance(
        (
            {
                "jobs": [
                    {
                        "id": "main",
                        "store": "main",
                        "schedule": "daily",
                        "ns": "site",
                        "max_depth": 1,
                        "keep_last": 1,
                        "keep_hourly": 2,
                        "keep_daily": 3,
                        "comment": "hello",
                    }
                ]
            },
            {
                "jobs": [
                    {
                        "id": "main",
                        "schedule": "hourly",
                        "ns": "",
                        "keep_last": 0,
                        "keep_weekly": 4,
                        "keep_monthly": 5,
                        "keep_yearly": 6,
                        "disable": True,
                        "comment": "",
                    }
                ]
            },
            {"jobs": [{"id": "main", "state": "absent"}], "purge": True, "purge_limit": "100%"},
        )
    ),
    "pbs_verify_jobs": Dance(
        (
            {
                "jobs": [
                    {
                        "id": "main",
                        "store": "main",
                        "schedule": "daily",
                        "ns": "site",
                        "max_depth": 1,
                        "ignore_verified": True,
                        "outdated_after": 30,
                        "comment": "hello",
                    }
                ]
            },
            {"jobs": [{"id": "main", "ns": "", "ignore_verified": False, "outdated_after": 0, "comment": ""}]},
            {"jobs": [{"id": "main", "state": "absent"}], "purge": True, "purge_limit": "100%"},
        )
    ),
    "pbs_remotes": Dance(
        (
            {**OTHER, "remotes": [REMOTE, {**BY_PASSWORD, "name": "gone", "port": 8007, "comment": "hello"}]},
            {**OTHER, "remotes": [{"name": "first", "comment": "hello"}, {"name": "gone", "state": "absent"}]},
            {
                **OTHER,
                "remotes": [{**REMOTE, "comment": ""}],
                "purge": True,
                "purge_limit": "100%",
                "update_secrets": False,
            },
        ),
        after=(("pbs_remotes", {**OTHER, "remotes": [{**REMOTE, "comment": ""}], "update_secrets": True}),),
    ),
    "pbs_sync_jobs": Dance(
        (
            {
                **OTHER,
                "jobs": [
                    {
                        "id": "pull",
                        "store": "copies",
                        "remote": "first",
                        "remote_store": "main",
                        "remote_ns": "site",
                        "schedule": "hourly",
                        "ns": "first",
                        "max_depth": 0,
                        "owner": "root@pam",
                        "group_filter": ["type:vm", "exclude:group:vm/999"],
                        "remove_vanished": True,
                        "transfer_last": 3,
                        "resync_corrupt": True,
                        "rate_in": "10 MiB",
                        "burst_in": "20 MiB",
                        "worker_threads": 2,
                        "comment": "hello",
                    },
                    {
                        "id": "push",
                        "sync_direction": "push",
                        "store": "copies",
                        "remote": "first",
                        "remote_store": "main",
                        "verified_only": True,
                        "encrypted_only": True,
                        "rate_out": "10 MB",
                        "burst_out": "20 MB",
                    },
                    {"id": "gone", "store": "copies", "remote": "first", "remote_store": "main"},
                ],
            },
            {**OTHER, "jobs": [{"id": "gone", "state": "absent"}]},
            {
                **OTHER,
                "jobs": [
                    {
                        "id": "pull",
                        "group_filter": ["type:vm"],
                        "ns": "",
                        "transfer_last": 0,
                        "remove_vanished": False,
                        "resync_corrupt": False,
                        "rate_in": "",
                        "comment": "",
                    }
                ],
                "purge": True,
                "purge_limit": "100%",
            },
        ),
        before=(COPIES,),
    ),
}
