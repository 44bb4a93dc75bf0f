# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup server tells of: the ends of its jobs, by its notification system (facts §15, §20.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from agentstack.api.endpoint import Call
from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.notifications.config import Configuration
from agentstack.notifications.message import Notification
from agentstack.notifications.service import Notifications
from agentstack.pbs.sections import CONFIG, DATASTORES, PRUNE_JOBS, SYNC_JOBS, VERIFY_JOBS
from agentstack.pbs.upkeep import Damaged

if TYPE_CHECKING:
    from agentstack.host import Host

PUBLIC, PRIVATE = "notifications.cfg", "notifications-priv.cfg"
AUTHOR = "Proxmox Backup Server"
EVENTS = ("acme", "gc", "package-updates", "prune", "sync", "system-mail", "tape-backup", "tape-load", "verify")

TYPES = {"garbage_collection": "gc", "prunejob": "prune", "verificationjob": "verify", "syncjob": "sync"}
_TITLES = {
    "gc": "Garbage Collect Datastore '{store}' {result}",
    "prune": "Pruning datastore '{store}' {result}",
    "verify": "Verify Datastore '{store}' {result}",
    "sync": "Sync {source} {result}",
}


class JobNotifications:
    """Tells how jobs ended."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.service = Notifications(host, self.load, AUTHOR, self._address)
        self._sending: set[asyncio.Task[list[str]]] = set()

    def load(self) -> Configuration:
        """What is configured."""
        texts = []
        for name in (PUBLIC, PRIVATE):
            path = self.host.root / CONFIG / name
            texts.append(path.read_text(encoding="utf-8") if path.exists() else "")
        return Configuration.parse(*texts)

    def store(self, found: Configuration) -> None:
        """Write what was changed; the secrets first, so that no endpoint is without its own."""
        public, private = found.format()
        write_durably(self.host.root / CONFIG / PRIVATE, private.encode(), mode=0o600)
        write_durably(self.host.root / CONFIG / PUBLIC, public.encode())

    def _address(self, user: str) -> str | None:
        values = self.host.pbs.access.users.of("user").get(user, {})
        if address := values.get("email"):
            return str(address)
        return user.removesuffix("@pam") if user.endswith("@pam") else None

    def job_ended(self, kind: str, ident: str, values: Mapping[str, Any], error: AgentError | None = None) -> None:
        """Tell in the background how a run of a job ended; without an error it went well."""
        store = ident if kind == "garbage_collection" else values["store"]
        settings = DATASTORES.read(self.host).of("datastore").get(store, {})
        if settings.get("notification-mode", "notification-system") != "notification-system":
            return
        event = TYPES[kind]
        remote = f"remote '{values['remote']}' " if "remote" in values else ""
        source = f"{remote}datastore '{values.get('remote-store')}'"
        result = "successful" if error is None else "failed"
        fields = {"type": event, "hostname": self.host.name, "datastore": store}
        lines = [f"Datastore: {store}"]
        if event != "gc":
            fields["job-id"] = ident
            lines.insert(0, f"Job ID:    {ident}")
        lines += ["", f"{event} {result}." if error is None else f"{event} failed: {error.text}"]
        if isinstance(error, Damaged):
            lines += ["", "Verification failed on these snapshots/groups:", "", *(f"  {name}" for name in error.names)]
        told = Notification(
            "info" if error is None else "error",
            _TITLES[event].format(store=store, source=source, result=result),
            "\n".join(lines) + "\n",
            self.host.clock.now(),
            fields,
        )
        task = asyncio.create_task(self.service.send(told))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def stop(self) -> None:
        """Give up what has not been sent."""
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def field_values(self) -> list[dict[str, str]]:
        """The values that a matcher can compare fields with."""
        rows = [{"field": "hostname", "value": self.host.name}]
        for file, section in ((PRUNE_JOBS, "prune"), (SYNC_JOBS, "sync"), (VERIFY_JOBS, "verification")):
            for ident, values in file.read(self.host).of(section).items():
                comment = {"comment": values["comment"]} if "comment" in values else {}
                rows.append({"field": "job-id", "value": ident, **comment})
        rows += [{"field": "datastore", "value": name} for name in DATASTORES.read(self.host).of("datastore")]
        return rows


class ApiStore:
    """The notifications of a backup server as their API wants them."""

    def load(self, call: Call) -> Configuration:
        """See Store."""
        return call.host.pbs.notifications.load()

    @asynccontextmanager
    async def changing(self, call: Call) -> AsyncIterator[Configuration]:
        """See Store."""
        found = self.load(call)
        yield found
        call.host.pbs.notifications.store(found)

    async def test(self, call: Call, name: str) -> None:
        """See Store."""
        await call.host.pbs.notifications.service.test(name)

    def field_values(self, call: Call) -> list[dict[str, str]]:
        """See Store."""
        return call.host.pbs.notifications.field_values()
