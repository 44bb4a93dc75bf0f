# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a sync job now unless what it shall bring is there already. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._ages import max_age_of
from ._api import Api, Result
from ._dialect import PBS
from ._errors import ApiError, InputError, VerifyError
from ._pbs_info import read_groups
from ._plan import CREATE, simple_change

JOBS = "/admin/sync"


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    api = Api.open(params, check_mode, PBS)
    try:
        return _sync(api, params, max_age_of(params))
    finally:
        api.client.close()


def _sync(api: Api, params: Mapping[str, Any], max_age: float | None) -> Result:
    ident = params["job"]
    jobs = {str(job["id"]): job for job in api.client.get(JOBS, **{"sync-direction": "all"})}
    job = jobs.get(ident)
    if job is None and not api.check_mode:
        raise InputError(f"there is no sync job {ident}", where="job", hint=f"There are: {', '.join(jobs) or 'none'}.")
    if job is None:
        api.unknown.append(f"job: there is no sync job {ident} yet")
    groups = _groups(api, job)
    due = _due(api, params, groups, max_age)
    if due == []:
        return api.result([], groups=groups)
    after = {"groups": due} if due else {"groups": "all"}
    change = simple_change(CREATE, "run of sync job", ident, after)
    api.approve([change] if job is not None else [])
    if job is not None and not api.check_mode:
        api.finish_task(api.client.post(f"{JOBS}/{ident}/run"), float(params["timeout"]), f"job {ident}")
        groups = _groups(api, job)
        left = _due(api, params, groups, max_age) if due else []
        if left:
            raise VerifyError(
                f"the sync job {ident} ended well, and {', '.join(left)} is missing or too old",
                hint="Look at what there is on the other server, and at the job's namespaces and filters.",
            )
    return api.result([change], groups=groups)


def _groups(api: Api, job: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if job is None:
        return []
    try:
        return read_groups(api.client, str(job["store"]), job.get("ns"))
    except ApiError as error:
        if error.status == 404:  # the job's first run makes its namespace
            return []
        raise


def _due(api: Api, params: Mapping[str, Any], groups: list[dict[str, Any]], max_age: float | None) -> list[str] | None:
    """The groups that are missing or too old, as ``vm/101``; None if it runs in any case."""
    if not params["groups"]:
        return None
    oldest = 0.0
    if max_age is not None:
        oldest = float(api.client.get("/nodes/localhost/time")["time"]) - max_age
    newest: dict[str, int] = {}
    for group in groups:
        name = f"{group['type']}/{group['id']}"
        newest[name] = max(newest.get(name, 0), group["newest"])
    wanted = [f"{group['type']}/{group['id']}" for group in params["groups"]]
    return [name for name in wanted if not newest.get(name) or newest[name] < oldest]
