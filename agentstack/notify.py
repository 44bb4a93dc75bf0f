# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells its administrators: backups, replication, fencing, updates (facts §9.3, §13, §15)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from agentstack.backup_jobs import JOBS_CFG
from agentstack.notifications.config import Configuration
from agentstack.notifications.endpoints import Failed, deliver
from agentstack.notifications.message import Notification, Severity
from agentstack.notifications.service import Notifications

if TYPE_CHECKING:
    from agentstack.host import Host

PUBLIC, PRIVATE = "notifications.cfg", "priv/notifications.cfg"
LOCK = "domain-notifications"
AUTHOR = "Proxmox VE"
EVENTS = ("fencing", "package-updates", "replication", "system-mail", "vzdump")

ALWAYS_TOLD = 3
"""Failures of a replication job in a row of which each is told; then only those that end 1, 2, 4, 8 … days."""
RETRIES_A_DAY = 48


class ClusterNotifications:
    """Tells what happened on one node, as the cluster's configuration says."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.service = Notifications(host, self.load, f"{AUTHOR} - {host.name}", self._address)
        self._sending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Things are told when they happen."""

    async def stop(self) -> None:
        """Give up what has not been sent."""
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    # ---- configuration ----------------------------------------------------------------------------------------------

    def load(self) -> Configuration:
        """What is configured."""
        files = self.host.files
        return Configuration.parse(files.read_text(PUBLIC, default=""), files.read_text(PRIVATE, default=""))

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Configuration]:
        """Change the configuration under its lock; secrets are written first: nothing is without its own."""
        files = self.host.files
        async with files.lock(LOCK):
            found = self.load()
            yield found
            public, private = found.format()
            if private != files.read_text(PRIVATE, default=""):
                await files.write(PRIVATE, private)
            await files.write(PUBLIC, public)

    def _address(self, user: str) -> str | None:
        found = self.host.access.cfg.users.get(user)
        if found is not None and found.email:
            return found.email
        return "root" if user == "root@pam" else None

    def field_values(self) -> list[dict[str, str]]:
        """The values that a matcher can compare fields with: nodes and jobs."""
        rows = [{"field": "hostname", "value": node.name} for node in self.host.cluster.nodes()]
        entries, _ = JOBS_CFG.read(self.host)
        for entry in entries.values():
            comment = {"comment": entry.values["comment"]} if "comment" in entry.values else {}
            rows.append({"field": "job-id", "value": entry.id, **comment})
        rows += [{"field": "job-id", "value": ident} for ident in self.host.replication.jobs()[0]]
        return rows

    # ---- what is told -----------------------------------------------------------------------------------------------

    def tell(self, severity: Severity, title: str, text: str, kind: str, **fields: str) -> None:
        """Send something in the background to the targets of all matchers that fit."""

        async def send(told: Notification) -> None:
            await self.service.send(told)

        self._begin(send(self._notification(severity, title, text, {"type": kind, **fields})))

    def _notification(self, severity: Severity, title: str, text: str, fields: Mapping[str, str]) -> Notification:
        known = {"hostname": self.host.name, **{name.replace("_", "-"): value for name, value in fields.items()}}
        return Notification(severity, title, text, self.host.clock.now(), known)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def backup_ended(self, options: Mapping[str, str | int], rows: Sequence[tuple[int, str, str | None]]) -> None:
        """A run of backups is over. `rows`: VMID, name and error of every guest."""
        failed = [vmid for vmid, _, error in rows if error is not None]
        result = "backup failed" if failed else "backup successful"
        title = f"vzdump backup status ({self.host.fqdn}): {result}"
        lines = ["Details", "=======", "VMID    Name    Status"]
        lines += [f"{vmid:<8}{name or '-':<8}{'err' if error else 'ok'}" for vmid, name, error in rows]
        lines += ["", *(f"{vmid}: {error}" for vmid, _, error in rows if error is not None)]
        severity: Severity = "error" if failed else "info"
        job = {"job_id": str(options["job-id"])} if options.get("job-id") else {}
        text = "\n".join(lines) + "\n"
        recipients = [part for part in str(options.get("mailto", "")).replace(";", ",").split(",") if part]
        mode = options.get("notification-mode", "auto")
        if mode == "legacy-sendmail" or (mode == "auto" and recipients):
            if recipients and (failed or options.get("mailnotification", "always") == "always"):
                told = self._notification(severity, title, text, {"type": "vzdump", **job})
                self._begin(self._mail(recipients, told))
            return
        self.tell(severity, title, text, "vzdump", **job)

    async def _mail(self, recipients: list[str], told: Notification) -> None:
        try:
            await deliver(self.service.sender, "sendmail", {"mailto": recipients}, told)
        except Failed as error:
            # what the mail system refuses shows in its log alone
            self.host.files.cluster_log(4, "vzdump", "root@pam", f"sendmail failed: {error}")

    def replication_failed(
        self, ident: str, target: str, schedule: str, moments: tuple[int, int], fail_count: int, error: str
    ) -> None:
        """A run of a replication job failed, the `fail_count`th in a row; `moments`: last success or 0, next try."""
        if not is_told(fail_count):
            return
        last, following = (_moment(each) if each else "-" for each in moments)
        lines = [f"Replication job '{ident}' with target '{target}' and schedule '{schedule}' failed!", ""]
        lines += [f"Last successful sync: {last}", f"Next sync try: {following}", f"Failure count: {fail_count}", ""]
        if fail_count == ALWAYS_TOLD:
            lines += [
                "Note: The system will now reduce the frequency of error reports, as the job appears to be stuck."
            ]
        lines += [f"Error:\n{error}"]
        self.tell("error", f"Replication Job: '{ident}' failed", "\n".join(lines) + "\n", "replication", job_id=ident)

    def fencing(self, subject: str, body: str) -> None:
        """A node is being fenced, or has been."""
        self.tell("error", subject, body, "fencing")

    def updates(self, packages: Sequence[Mapping[str, str]]) -> None:
        """New packages can be had: Package, OldVersion, Version."""
        width = max((len(row["Package"]) for row in packages), default=0)
        lines = [f"{row['Package']:<{width}}  {row.get('OldVersion', '')} -> {row['Version']}" for row in packages]
        title = f"New software packages available ({self.host.name})"
        text = "The following updates are available:\n" + "\n".join(lines) + "\n"
        self.tell("info", title, text, "package-updates")


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def is_told(fail_count: int) -> bool:
    """Whether a failure is told: the first three, then the ones after 1, 2, 4, 8 … days of retries (facts §9.3)."""
    days, rest = divmod(fail_count - ALWAYS_TOLD, RETRIES_A_DAY)
    return fail_count <= ALWAYS_TOLD or (rest == 0 and days & (days - 1) == 0)
