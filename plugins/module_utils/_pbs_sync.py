# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that copy backups from one server to another (facts §20.4). Private to this collection."""

from __future__ import annotations

from collections.abc import Sequence

from ._errors import InputError, QuorateError
from ._pbs import BYTE_COUNT, COUNT, NAMESPACE, REPEATED, PbsCollection
from ._plan import DELETE, Change, Wanted, raise_all
from ._spec import Field, Item, Key, Spec
from ._values import BOOLEAN, INTEGER

SYNC_JOBS = Spec(
    kind="sync job",
    option="jobs",
    keys=("id",),
    path="/config/sync",
    item_path="/config/sync/{id}",
    digest=True,
    fields=(
        Field("id", required=True),
        Field("store", needed=True, refers="datastore"),
        Field("sync_direction", api="sync-direction", choices=("pull", "push"), default="pull", fixed=True),
        Field("remote", refers="remote", needed=lambda item: item.get("sync_direction") == "push"),
        Field("remote_store", api="remote-store", needed=True),
        Field("remote_ns", NAMESPACE, "remote-ns"),
        Field("schedule"),
        Field("ns", NAMESPACE, aliases=("namespace",)),
        Field("max_depth", INTEGER, "max-depth"),
        Field("owner"),
        Field("group_filter", REPEATED, "group-filter"),
        Field("remove_vanished", BOOLEAN, "remove-vanished", default=False),
        Field("transfer_last", COUNT, "transfer-last"),
        Field("resync_corrupt", BOOLEAN, "resync-corrupt", default=False),
        Field("verified_only", BOOLEAN, "verified-only", default=False),
        Field("encrypted_only", BOOLEAN, "encrypted-only", default=False),
        Field("rate_in", BYTE_COUNT, "rate-in"),
        Field("burst_in", BYTE_COUNT, "burst-in"),
        Field("rate_out", BYTE_COUNT, "rate-out"),
        Field("burst_out", BYTE_COUNT, "burst-out"),
        Field("worker_threads", INTEGER, "worker-threads", default=1),
        Field("comment"),
    ),
)


class SyncJobs(PbsCollection):
    """Entries of sync.cfg, those that push included."""

    spec = SYNC_JOBS

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """The list has the jobs that pull only, unless it is asked for all."""
        return self.by_key(self.api.client.get(SYNC_JOBS.path, **{"sync-direction": "all"}))

    def check(self, changes: Sequence[Change]) -> None:
        """The other side must have the datastore, as far as this server's login there shows it."""
        super().check(changes)
        stores: dict[str, set[str]] = {}
        errors: list[QuorateError] = []
        for change in changes:
            job = {**change.actual, **change.item}
            remote, store = job.get("remote"), str(job.get("remote_store"))
            if change.action == DELETE or not ({"remote", "remote_store"} & set(change.set)):
                continue
            if remote is None:
                known = self.api.known("datastore")
            elif remote in self.api.known("remote"):
                if remote not in stores:
                    scan = self.api.client.get(f"/config/remote/{remote}/scan")
                    stores[remote] = {str(each["store"]) for each in scan}
                known = stores[remote]
            else:
                continue  # only in check mode: an earlier step makes it
            if store in known:
                continue
            text = f"{remote or 'this server'} has no datastore {store}, or its login may not see it"
            if self.api.check_mode:
                self.api.unknown.append(f"{change.where}: {text} yet")
            else:
                hint = f"It shows: {', '.join(sorted(known)) or 'none'}."
                errors.append(InputError(text, where=f"{change.where}: remote_store", hint=hint))
        raise_all(errors)
