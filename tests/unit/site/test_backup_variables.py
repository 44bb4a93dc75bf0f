# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong with the variables about backups without asking a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.quorate.pve.plugins.module_utils._site_checks import problems

LAB = Path(__file__).resolve().parents[3] / "inventory" / "lab"
SERVER: dict[str, Any] = {
    "pbs_datastores": [{"name": "main", "path": "/srv/main"}],
    "pbs_users": [{"userid": "a@pbs"}],
    "pbs_tokens": [{"tokenid": "a@pbs!t", "secret_file": "f"}],
    "pbs_remotes": [{"name": "first", "host": "h", "auth_id": "a@pbs!t", "password_file": "f"}],
}
STORAGE = {"storage": "backup", "server": "h", "datastore": "main", "username": "a@pbs!t", "password_file": "f"}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a job for another datastore": (
        {"pbs_verify_jobs": [{"id": "job", "store": "mian"}]},
        "pbs_verify_jobs[0] (job): store mian is not in pbs_datastores (main).",
    ),
    "a namespace in another datastore": (
        {"pbs_namespaces": [{"store": "mian", "ns": "a"}]},
        "pbs_namespaces[0] (a): store mian is not in pbs_datastores (main).",
    ),
    "a token of nobody": (
        {"pbs_tokens": [{"tokenid": "b@pbs!t", "secret_file": "f"}]},
        "pbs_tokens[0] (b@pbs!t): the user b@pbs is not in pbs_users (a@pbs).",
    ),
    "a token without a place for its secret": (
        {"pbs_tokens": [{"tokenid": "a@pbs!t"}]},
        "pbs_tokens[0] (a@pbs!t): secret_file is missing: the server says the secret only once.",
    ),
    "a rule for nobody": (
        {"pbs_acls": [{"path": "/", "auth_id": "b@pbs", "role": "Audit"}]},
        "pbs_acls[0] (/): b@pbs is in neither pbs_users nor pbs_tokens.",
    ),
    "a rule for another datastore": (
        {"pbs_acls": [{"path": "/datastore/mian/x", "auth_id": "a@pbs", "role": "Audit"}]},
        "path names the datastore mian, which is not in pbs_datastores (main).",
    ),
    "no such role": (
        {"pbs_acls": [{"path": "/", "auth_id": "a@pbs", "role": "DatastoreBakcup"}]},
        "pbs_acls[0] (/): there is no role DatastoreBakcup. There are: Admin, Audit,",
    ),
    "a prune job that keeps everything": (
        {"pbs_prune_jobs": [{"id": "job", "store": "main", "schedule": "daily"}]},
        "pbs_prune_jobs[0] (job): nothing is said to be kept, so that it would do nothing.",
    ),
    "a schedule that is none": (
        {"pbs_prune_jobs": [{"id": "job", "store": "main", "schedule": "dayly", "keep_last": 1}]},
        "pbs_prune_jobs[0] (job): schedule: ",
    ),
    "a sync job from nowhere": (
        {"pbs_sync_jobs": [{"id": "job", "store": "main", "remote": "fisrt", "remote_store": "main"}]},
        "pbs_sync_jobs[0] (job): remote fisrt is not in pbs_remotes (first).",
    ),
    "half a fingerprint": (
        {"pve_backup_storages": [{**STORAGE, "fingerprint": "AA:BB"}]},
        "pve_backup_storages[0] (backup): fingerprint: 'AA:BB' is not a SHA-256 fingerprint.",
    ),
    "another type of storage": (
        {"pve_backup_storages": [{**STORAGE, "type": "nfs"}]},
        "pve_backup_storages[0] (backup): type is nfs; other storages than backup servers belong into pve_storages.",
    ),
    "a job to an unknown storage": (
        {"pve_backup_storages": [STORAGE], "pve_backup_jobs": [{"id": "job", "storage": "b", "all": True}]},
        "pve_backup_jobs[0] (job): storage b is in neither pve_backup_storages nor pve_storages.",
    ),
    "two selections": (
        {"pve_backup_jobs": [{"id": "job", "guests": [101], "all": True}]},
        "pve_backup_jobs[0] (job): all and guests are both given. A job takes one of them.",
    ),
    "no age": (
        {"pve_backup_storages": [STORAGE], "pve_backup_now": {"storage": "backup", "max_age": "soon"}},
        "pve_backup_now: max_age: invalid time span 'soon'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_found(name: str) -> None:
    variables, text = WRONG[name]
    (found,) = problems({**SERVER, **variables}, [])
    assert text in found


def test_what_is_right_is_left_in_peace() -> None:
    assert problems({**SERVER, "pve_backup_storages": [STORAGE]}, []) == []
    server = {
        name: value
        for file in ("group_vars/pbs.yml", "host_vars/pbs1.yml")
        for name, value in yaml.safe_load((LAB / file).read_text(encoding="utf-8")).items()
        if isinstance(value, list)
    }
    assert len(server) == 7
    assert problems(server, []) == []


CLASS = {"name": "gold", "schedule": "hourly", "storage": "backup", "tags": ["gold"]}
CLASSES: dict[str, tuple[dict[str, Any], str]] = {
    "two times of a day": (
        {"pve_backup_classes": [{**CLASS, "schedule": "02:00,14:00"}]},
        "is no list of times, but one hour, some minutes, and seconds. Write the hours as a list, such as 2,14:00.",
    ),
    "no selection": (
        {"pve_backup_classes": [{**CLASS, "tags": []}]},
        "pve_backup_classes[0] (gold): nothing is given. A class selects by one of guests, pool, tags, all.",
    ),
    "an unknown storage": (
        {"pve_backup_classes": [{**CLASS, "storage": "elsewhere"}]},
        "pve_backup_classes[0] (gold): storage elsewhere is in neither",
    ),
    "called like a job": (
        {"pve_backup_classes": [CLASS], "pve_backup_jobs": [{"id": "gold", "all": True}]},
        "its job would be called like pve_backup_jobs[0] (gold)",
    ),
    "all the others, twice": (
        {"pve_backup_classes": [{**CLASS, "tags": [], "all": True, "name": name} for name in "ab"]},
        "pve_backup_classes[1] (b): pve_backup_classes[0] (a) takes all the others already.",
    ),
    "settings that the class says": (
        {"pve_backup_classes": [{**CLASS, "job": {"pool": "x"}}]},
        "pve_backup_classes[0] (gold): job names what the class says itself.",
    ),
    "an age that is none": (
        {"pve_backup_classes": [{**CLASS, "max_age": "soon"}]},
        "pve_backup_classes[0] (gold): max_age: invalid time span",
    ),
    "a key in one place": (
        {"pve_backup_storages": [{**STORAGE, "encryption_key": "autogen"}]},
        "Name a second place for it with encryption_key_file.",
    ),
    "pruning by nodes": (
        {"pve_backup_classes": [{**CLASS, "job": {"prune_backups": {"keep-last": 3}}}]},
        "pve_backup_classes[0] (gold): prune_backups needs a token that may remove backups.",
    ),
    "no window": (
        {"pve_backup_window": {"rate": "0", "window": "6h"}},
        "pve_backup_window: rate, window and runs must be more than 0",
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_mistake_in_classes_is_found(name: str) -> None:
    variables, text = CLASSES[name]
    (found,) = problems({**SERVER, "pve_backup_storages": [STORAGE], **variables}, [])
    assert text in found


def test_pruning_by_nodes_may_be_wanted() -> None:
    variables = {"pve_backup_storages": [{**STORAGE, "prune_backups": {"keep-last": 3}}]}
    assert len(problems(variables, [])) == 1
    assert problems({**variables, "pve_backup_token_may_prune": True}, []) == []
