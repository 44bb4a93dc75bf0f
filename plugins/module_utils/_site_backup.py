# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about backups, of clusters and of backup servers. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._ages import max_age_of
from ._errors import InputError
from ._pbs_access import ROLES
from ._pure.backup_classes import SELECTIONS
from ._pure.backup_window import forecast, read_window
from ._pure.calendar_event import parse
from ._site_elements import Element, listed, names_in, present
from ._site_nodes import Node
from ._trust import normalise_fingerprint

JOBS = ("pbs_prune_jobs", "pbs_verify_jobs", "pbs_sync_jobs")
KEEP = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
SUPERUSER = "root@pam"
# 02:00,14:00 runs at 02:00 and 02:14
_TWO_TIMES = re.compile(r"\d:\d+,\d+:\d")


def backup_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Storages, jobs and fresh backups of a cluster."""
    storages = present(variables, "pve_backup_storages")
    for where, storage in storages:
        if storage.get("type") not in (None, "pbs"):
            yield f"{where}: type is {storage['type']}; other storages than backup servers belong into pve_storages."
        yield from _fingerprint(where, storage)
        if storage.get("password") and storage.get("password_file"):
            yield f"{where}: password and password_file are both given. Remove one of them."
    known = {str(storage["storage"]) for name in ("pve_backup_storages", "pve_storages") for _where, storage in
             present(variables, name)}  # fmt: skip
    for where, job in present(variables, "pve_backup_jobs"):
        yield from _schedule(where, job)
        selections = [name for name in ("all", "guests", "pool") if job.get(name)]
        if len(selections) > 1:
            yield f"{where}: {' and '.join(selections)} are both given. A job takes one of them."
        if storages and job.get("storage") and job["storage"] not in known:
            yield f"{where}: storage {job['storage']} is in neither pve_backup_storages nor pve_storages."
    yield from _classes(variables, storages != [], known)
    yield from _keys(storages)
    if not variables.get("pve_backup_token_may_prune"):
        yield from _pruning(variables, storages)
    yield from _window(variables)
    yield from _fresh(variables, known)


def _classes(variables: Mapping[str, Any], storages_given: bool, known: set[str]) -> Iterator[str]:
    classes = present(variables, "pve_backup_classes")
    jobs = {str(job["id"]): where for where, job in present(variables, "pve_backup_jobs")}
    rest = ""
    for where, one in classes:
        yield from _schedule(where, one)
        given = [name for name in SELECTIONS if one.get(name)]
        if len(given) != 1:
            names = " and ".join(given) or "nothing"
            yield f"{where}: {names} is given. A class selects by one of {', '.join(SELECTIONS)}."
        if storages_given and one["storage"] not in known:
            yield f"{where}: storage {one['storage']} is in neither pve_backup_storages nor pve_storages."
        if one["name"] in jobs:
            yield f"{where}: its job would be called like {jobs[one['name']]}. Rename one of them."
        if one.get("all") and rest:
            yield f"{where}: {rest} takes all the others already. One class can."
        rest = where if one.get("all") else rest
        if set(one.get("job") or {}) & {"id", "schedule", "storage", "guests", "all", "exclude", "pool"}:
            yield f"{where}: job names what the class says itself. It is for other settings, such as mode."
        try:
            max_age_of(one)
        except InputError as error:
            yield f"{where}: {error}"


def _keys(storages: list[tuple[str, Element]]) -> Iterator[str]:
    """Who loses the only copy of a key loses every backup."""
    for where, storage in storages:
        if storage.get("encryption_key") == "autogen":
            yield (
                f"{where}: encryption_key: autogen leaves the key on the cluster alone, and without it no backup can "
                "be read. Name a second place for it with encryption_key_file."
            )


def _pruning(variables: Mapping[str, Any], storages: list[tuple[str, Element]]) -> Iterator[str]:
    """What a node may remove, somebody on a node can remove."""
    servers = {str(storage["storage"]) for _where, storage in storages}
    pruning = [*present(variables, "pve_backup_jobs"), *storages]
    pruning += [(where, {**one, **(one.get("job") or {})}) for where, one in present(variables, "pve_backup_classes")]
    for where, one in pruning:
        if one.get("prune_backups") and one.get("storage") in servers:
            yield f"{where}: prune_backups needs a token that may remove backups. Let pbs_prune_jobs do that."


def _window(variables: Mapping[str, Any]) -> Iterator[str]:
    window = variables.get("pve_backup_window")
    if window:
        try:
            forecast(1, **read_window(window))
        except ValueError as error:
            yield f"pve_backup_window: {error}. It is like {{rate: 100 MiB, window: 6h, changed: 3%}}."


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
    stores = names_in(variables, "pbs_datastores", "name")
    users = names_in(variables, "pbs_users", "userid")
    remotes = names_in(variables, "pbs_remotes", "name")
    for name in ("pbs_namespaces", *JOBS):
        for where, element in present(variables, name):
            if stores is not None and element.get("store") and element["store"] not in stores:
                yield f"{where}: store {element['store']} is not in pbs_datastores ({listed(stores)})."
            yield from _schedule(where, element)
    for where, token in present(variables, "pbs_tokens"):
        user = str(token["tokenid"]).partition("!")[0]
        if "!" not in str(token["tokenid"]):
            yield f"{where}: tokenid must be like user@realm!name."
        elif users is not None and user not in users | {SUPERUSER}:
            yield f"{where}: the user {user} is not in pbs_users ({listed(users)})."
        if not token.get("secret_file"):
            yield f"{where}: secret_file is missing: the server says the secret only once."
    for where, remote in present(variables, "pbs_remotes"):
        yield from _fingerprint(where, remote)
    for where, job in present(variables, "pbs_prune_jobs"):
        if not any(job.get(name) for name in KEEP):
            yield f"{where}: nothing is said to be kept, so that it would do nothing. Give one of {', '.join(KEEP)}."
    for where, job in present(variables, "pbs_sync_jobs"):
        if remotes is not None and job.get("remote") and job["remote"] not in remotes:
            yield f"{where}: remote {job['remote']} is not in pbs_remotes ({listed(remotes)})."
    yield from _rules(variables, stores, users)


def _rules(variables: Mapping[str, Any], stores: set[str] | None, users: set[str] | None) -> Iterator[str]:
    tokens = names_in(variables, "pbs_tokens", "tokenid")
    for where, rule in present(variables, "pbs_acls"):
        who, parts = str(rule["auth_id"]), str(rule["path"]).strip("/").split("/")
        known = tokens if "!" in who else users
        if known is not None and who not in known | {SUPERUSER}:
            yield f"{where}: {who} is in neither pbs_users nor pbs_tokens."
        if rule["role"] not in ROLES:
            yield f"{where}: there is no role {rule['role']}. There are: {', '.join(ROLES)}."
        if stores is not None and parts[0] == "datastore" and len(parts) > 1 and parts[1] not in stores:
            yield f"{where}: path names the datastore {parts[1]}, which is not in pbs_datastores ({listed(stores)})."


def _schedule(where: str, element: Element) -> Iterator[str]:
    if element.get("schedule"):
        try:
            parse(str(element["schedule"]))
        except ValueError as error:
            yield f"{where}: schedule: {error}."
        if _TWO_TIMES.search(str(element["schedule"])):
            yield (
                f"{where}: schedule: {element['schedule']} is no list of times, but one hour, some minutes, and "
                "seconds. Write the hours as a list, such as 2,14:00."
            )


def _fingerprint(where: str, element: Element) -> Iterator[str]:
    if element.get("fingerprint"):
        try:
            normalise_fingerprint(str(element["fingerprint"]))
        except InputError as error:
            yield f"{where}: fingerprint: {error}"
