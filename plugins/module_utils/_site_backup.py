# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about backups, of clusters and of backup servers. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._ages import max_age_of
from ._errors import InputError
from ._pbs_access import ROLES
from ._pure.calendar_event import parse
from ._site_nodes import Node
from ._trust import normalise_fingerprint

Element = Mapping[str, Any]

JOBS = ("pbs_prune_jobs", "pbs_verify_jobs", "pbs_sync_jobs")
KEEP = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
SUPERUSER = "root@pam"


def backup_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Storages, jobs and fresh backups of a cluster."""
    storages = _present(variables, "pve_backup_storages")
    for where, storage in storages:
        if storage.get("type") not in (None, "pbs"):
            yield f"{where}: type is {storage['type']}; other storages than backup servers belong into pve_storages."
        yield from _fingerprint(where, storage)
        if storage.get("password") and storage.get("password_file"):
            yield f"{where}: password and password_file are both given. Remove one of them."
    known = {str(storage["storage"]) for name in ("pve_backup_storages", "pve_storages") for _where, storage in
             _present(variables, name)}  # fmt: skip
    for where, job in _present(variables, "pve_backup_jobs"):
        yield from _schedule(where, job)
        selections = [name for name in ("all", "guests", "pool") if job.get(name)]
        if len(selections) > 1:
            yield f"{where}: {' and '.join(selections)} are both given. A job takes one of them."
        if storages and job.get("storage") and job["storage"] not in known:
            yield f"{where}: storage {job['storage']} is in neither pve_backup_storages nor pve_storages."
    yield from _fresh(variables, known)


def _fresh(variables: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    fresh = variables.get("pve_backup_now") or {}
    try:
        max_age_of(fresh)
    except InputError as error:
        yield f"pve_backup_now: {error}"
    if fresh and known and fresh["storage"] not in known:
        yield f"pve_backup_now: storage {fresh['storage']} is in neither pve_backup_storages nor pve_storages."


def backup_server_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """What one variable of a backup server names and another does not have."""
    stores = _names(variables, "pbs_datastores", "name")
    users = _names(variables, "pbs_users", "userid")
    remotes = _names(variables, "pbs_remotes", "name")
    for name in ("pbs_namespaces", *JOBS):
        for where, element in _present(variables, name):
            if stores is not None and element.get("store") and element["store"] not in stores:
                yield f"{where}: store {element['store']} is not in pbs_datastores ({_list(stores)})."
            yield from _schedule(where, element)
    for where, token in _present(variables, "pbs_tokens"):
        user = str(token["tokenid"]).partition("!")[0]
        if "!" not in str(token["tokenid"]):
            yield f"{where}: tokenid must be like user@realm!name."
        elif users is not None and user not in users | {SUPERUSER}:
            yield f"{where}: the user {user} is not in pbs_users ({_list(users)})."
        if not token.get("secret_file"):
            yield f"{where}: secret_file is missing: the server says the secret only once."
    for where, remote in _present(variables, "pbs_remotes"):
        yield from _fingerprint(where, remote)
    for where, job in _present(variables, "pbs_prune_jobs"):
        if not any(job.get(name) for name in KEEP):
            yield f"{where}: nothing is said to be kept, so that it would do nothing. Give one of {', '.join(KEEP)}."
    for where, job in _present(variables, "pbs_sync_jobs"):
        if remotes is not None and job.get("remote") and job["remote"] not in remotes:
            yield f"{where}: remote {job['remote']} is not in pbs_remotes ({_list(remotes)})."
    yield from _rules(variables, stores, users)


def _rules(variables: Mapping[str, Any], stores: set[str] | None, users: set[str] | None) -> Iterator[str]:
    tokens = _names(variables, "pbs_tokens", "tokenid")
    for where, rule in _present(variables, "pbs_acls"):
        who, parts = str(rule["auth_id"]), str(rule["path"]).strip("/").split("/")
        known = tokens if "!" in who else users
        if known is not None and who not in known | {SUPERUSER}:
            yield f"{where}: {who} is in neither pbs_users nor pbs_tokens."
        if rule["role"] not in ROLES:
            yield f"{where}: there is no role {rule['role']}. There are: {', '.join(ROLES)}."
        if stores is not None and parts[0] == "datastore" and len(parts) > 1 and parts[1] not in stores:
            yield f"{where}: path names the datastore {parts[1]}, which is not in pbs_datastores ({_list(stores)})."


def _present(variables: Mapping[str, Any], name: str) -> list[tuple[str, Element]]:
    """The elements that are to be there, each with its place."""
    return [
        (f"{name}[{index}] ({_called(element)})", element)
        for index, element in enumerate(variables.get(name) or [])
        if element.get("state") not in ("absent", "ignore")
    ]


def _called(element: Element) -> str:
    names = ("id", "storage", "name", "tokenid", "userid", "path", "ns")
    return str(next((element[name] for name in names if element.get(name) is not None), ""))


def _names(variables: Mapping[str, Any], variable: str, field: str) -> set[str] | None:
    """What a variable says there is; None if it is left alone."""
    if variables.get(variable) is None:
        return None
    return {str(element[field]) for _where, element in _present(variables, variable)}


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _schedule(where: str, element: Element) -> Iterator[str]:
    if element.get("schedule"):
        try:
            parse(str(element["schedule"]))
        except ValueError as error:
            yield f"{where}: schedule: {error}."


def _fingerprint(where: str, element: Element) -> Iterator[str]:
    if element.get("fingerprint"):
        try:
            normalise_fingerprint(str(element["fingerprint"]))
        except InputError as error:
            yield f"{where}: fingerprint: {error}"
