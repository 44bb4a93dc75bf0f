# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/config: remotes, traffic rules, and the sync, verify and prune jobs, all made from one table (facts §20.4)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agentstack._shared import calendar_event
from agentstack.api.endpoint import Call, Json, pbs
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.access import DENIED
from agentstack.pbs.datastores import acl_path
from agentstack.pbs.jobs import Kind
from agentstack.pbs.sections import (
    PRUNE_JOBS,
    REMOTES,
    SYNC_JOBS,
    TRAFFIC,
    VERIFY_JOBS,
    SectionFile,
    Values,
    check_digest,
)
from agentstack.pbs.snapshots import Group
from agentstack.pbs.source import login_of
from agentstack.pbs.sync import matches

Check = Callable[[Call, Values], Awaitable[None]]
May = Callable[[Call, Values], bool]


def check_schedule(values: Values, *names: str) -> None:
    """Raise ParameterError for a text that is no calendar event."""
    for name in names:
        if name in values:
            try:
                calendar_event.parse(values[name])
            except ValueError as error:
                raise ParameterError({name: str(error)}) from error


def always(call: Call, values: Values) -> bool:
    """The table has checked what there is to check."""
    return True


def _store_path(values: Values) -> str:
    return acl_path(values["store"], values.get("ns", ""))


def _remote_path(values: Values) -> str:
    return "/".join(filter(None, (f"/remote/{values['remote']}", values["remote-store"], values.get("remote-ns"))))


def _may(*privileges: str) -> May:
    def may(call: Call, values: Values) -> bool:
        return call.host.pbs.access.may(call.identity, _store_path(values), privileges, any=True)

    return may


def _may_see_sync(call: Call, values: Values) -> bool:
    access = call.host.pbs.access
    if not access.may(call.identity, _store_path(values), ["Datastore.Audit"]):
        return False
    return "remote" not in values or access.may(call.identity, f"/remote/{values['remote']}", ["Remote.Audit"])


def _may_sync(call: Call, values: Values) -> bool:
    """Writing here, reading there; more for removing, and for backups that are somebody else's."""
    access, identity = call.host.pbs.access, call.identity
    if values.get("sync-direction") == "push":
        there = ["Remote.DatastoreBackup"] + (["Remote.DatastorePrune"] if values.get("remove-vanished") else [])
        if not access.may(identity, _store_path(values), ["Datastore.Read", "Datastore.Backup"], any=True):
            return False
        return access.may(identity, _remote_path(values), there)
    here = ["Datastore.Backup"] + (["Datastore.Prune"] if values.get("remove-vanished") else [])
    owner = values.get("owner", "root@pam")
    if owner != identity.authid and not owner.startswith(f"{identity.authid}!"):
        here.append("Datastore.Modify")
    if not access.may(identity, _store_path(values), here):
        return False
    if "remote" in values:
        return access.may(identity, _remote_path(values), ["Remote.Read"])
    return access.may(identity, acl_path(values["remote-store"]), ["Datastore.Read", "Datastore.Backup"], any=True)


def _may_see_remote(call: Call, values: Values) -> bool:
    return call.host.pbs.access.may(call.identity, f"/remote/{values['name']}", ["Remote.Audit"])


async def _check_store(call: Call, values: Values) -> None:
    call.host.pbs.datastores.settings(values["store"])
    check_schedule(values, "schedule")


async def _check_sync(call: Call, values: Values) -> None:
    await _check_store(call, values)
    if values.get("sync-direction") == "push" and "remote" not in values:
        raise ParameterError({"remote": "sync jobs that push need a remote."})
    if "remote" in values:
        login_of(call.host, values["remote"])
    elif values["store"] == values["remote-store"]:
        raise ParameterError({"remote-store": "source and target datastore can't be the same"})
    matches(values.get("group-filter", []), Group("", "vm", "0"))
    if "owner" in values and not call.host.pbs.access.exists(values["owner"]):
        raise ParameterError({"owner": "no such user."})


async def _no_check(call: Call, values: Values) -> None:
    """Nothing beyond the table's declarations."""


@dataclass(frozen=True)
class Branch:
    """One kind of configuration: `/config/…`, its file, who sees and changes an entry, what is checked besides.

    `job` is what the scheduler calls it; `secret` is taken and never given back, and lies in base64 in the file if
    `encoded`; `exists`, `missing` take the id.
    """

    path: str
    file: SectionFile
    section: str
    key: str
    exists: str
    missing: str
    sees: May
    changes: May
    check: Check = _no_check
    job: Kind | None = None
    secret: str | None = None
    encoded: bool = True


_JOB: dict[str, Any] = {"key": "id", "exists": "job '{}' already exists.", "missing": "job '{}' does not exist."}

BRANCHES = (
    Branch(
        "/config/sync", SYNC_JOBS, "sync", sees=_may_see_sync, changes=_may_sync, check=_check_sync, job="syncjob",
        **_JOB,
    ),
    Branch(
        "/config/verify", VERIFY_JOBS, "verification", sees=_may("Datastore.Audit", "Datastore.Verify"),
        changes=_may("Datastore.Verify"), check=_check_store, job="verificationjob", **_JOB,
    ),
    Branch(
        "/config/prune", PRUNE_JOBS, "prune", sees=_may("Datastore.Audit"), changes=_may("Datastore.Modify"),
        check=_check_store, job="prunejob", **_JOB,
    ),
    Branch(
        "/config/remote", REMOTES, "remote", "name", "remote '{}' already exists.", "remote '{}' does not exist.",
        sees=_may_see_remote, changes=always, secret="password",
    ),
    Branch(
        "/config/traffic-control", TRAFFIC, "rule", "name", "Traffic control rule '{}' already exists.",
        "Traffic control rule '{}' does not exist.", sees=always, changes=always,
    ),
)  # fmt: skip


def is_asked_for(call: Call, branch: Branch, values: Values) -> bool:
    """Lists of sync jobs show those that pull, unless something else is asked for (facts §20.4)."""
    wanted = call.get("sync-direction", "pull")
    return branch.job != "syncjob" or wanted in ("all", values.get("sync-direction", "pull"))


def register(branch: Branch) -> None:
    """Answer the five methods of a branch."""
    one = f"{branch.path}/{{{branch.key}}}"

    def shown(ident: str, values: Values) -> Values:
        return {branch.key: ident, **{name: value for name, value in values.items() if name != branch.secret}}

    def settings(call: Call) -> Values:
        control = (branch.key, "delete", "digest")
        found = {name: value for name, value in call.params.items() if name not in control}
        if branch.encoded and branch.secret in found:
            found[branch.secret] = base64.b64encode(found[branch.secret].encode()).decode()
        return found

    def require(may: May, call: Call, values: Values) -> None:
        if not may(call, values):
            raise AgentError(DENIED, status=403)

    @pbs("GET", branch.path)
    async def list_entries(call: Call) -> Json:
        sections = branch.file.read(call.host)
        call.extra["digest"] = sections.digest
        rows = [shown(ident, values) for ident, values in sections.of(branch.section).items()]
        return [row for row in rows if branch.sees(call, row) and is_asked_for(call, branch, row)]

    @pbs("POST", branch.path)
    async def create(call: Call) -> Json:
        sections, ident, values = branch.file.read(call.host), call[branch.key], settings(call)
        require(branch.changes, call, {branch.key: ident, **values})
        if ident in sections.of(branch.section):
            raise ParameterError({branch.key: branch.exists.format(ident)})
        await branch.check(call, values)
        sections.of(branch.section)[ident] = values
        branch.file.write(call.host, sections)
        if branch.job:
            call.host.pbs.jobs.forget(branch.job, ident)
            call.host.pbs.jobs.reset(branch.job, ident)

    @pbs("GET", one)
    async def read(call: Call) -> Json:
        sections, ident = branch.file.read(call.host), call[branch.key]
        if ident not in sections.of(branch.section):
            raise AgentError(branch.missing.format(ident), status=404)
        row = shown(ident, sections.of(branch.section)[ident])
        require(branch.sees, call, row)
        call.extra["digest"] = sections.digest
        return row

    @pbs("PUT", one)
    async def update(call: Call) -> Json:
        sections, ident = branch.file.read(call.host), call[branch.key]
        check_digest(sections, call.get("digest"))
        entries = sections.of(branch.section)
        if ident not in entries:
            raise AgentError(branch.missing.format(ident), status=404)
        old = entries[ident]
        kept = {name: value for name, value in old.items() if name not in call.get("delete", [])}
        values = {**kept, **settings(call)}
        for state in (old, values):
            require(branch.changes, call, {branch.key: ident, **state})
        await branch.check(call, values)
        entries[ident] = values
        branch.file.write(call.host, sections)
        if branch.job and old.get("schedule") != values.get("schedule"):
            call.host.pbs.jobs.reset(branch.job, ident)

    @pbs("DELETE", one)
    async def delete(call: Call) -> Json:
        sections, ident = branch.file.read(call.host), call[branch.key]
        check_digest(sections, call.get("digest"))
        if ident not in sections.of(branch.section):
            raise AgentError(branch.missing.format(ident), status=404)
        require(branch.changes, call, {branch.key: ident, **sections.of(branch.section)[ident]})
        if branch.file is REMOTES:
            _check_unused(call, ident)
        del sections.of(branch.section)[ident]
        branch.file.write(call.host, sections)
        if branch.job:
            call.host.pbs.jobs.forget(branch.job, ident)


def _check_unused(call: Call, remote: str) -> None:
    for job, values in SYNC_JOBS.read(call.host).of("sync").items():
        if values.get("remote") == remote:
            text = f"remote '{remote}' is used by sync job '{job}' (datastore '{values['store']}')"
            raise ParameterError({"name": text})


for _branch in BRANCHES:
    register(_branch)
