# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a module: the client, what was learnt of the cluster, what is to be told. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from . import _run, _safety
from ._client import Client, Connection
from ._dialect import PVE, Dialect
from ._errors import ConnectError, InputError, StateError, TrustError
from ._plan import Change, diff_of
from ._pure.lists import natural_sorted
from ._tasks import TaskEnd, is_upid, wait_for_task

Result = dict[str, Any]

# Where what settings refer to is listed, and by what it is called there
LISTS = {
    "storage": ("/storage", "storage"),
    "datastore": ("/config/datastore", "name"),
    "remote": ("/config/remote", "name"),
    "group": ("/access/groups", "groupid"),
    "role": ("/access/roles", "roleid"),
    "endpoint": ("/cluster/notifications/targets", "name"),
    "target": ("/config/notifications/targets", "name"),
}


class Api:
    """The state of one run."""

    def __init__(self, client: Client, check_mode: bool) -> None:
        self.client = client
        self.check_mode = check_mode
        self.warnings: list[str] = []
        self.unknown: list[str] = []
        self._known: dict[str, set[str]] = {}

    @classmethod
    def open(
        cls, params: Mapping[str, Any], check_mode: bool, dialect: Dialect = PVE, *, by_password: bool = False
    ) -> Api:
        """Connect as the module's parameters say; the first call is made later.

        With ``by_password`` a password is preferred to a token, for what only root@pam may do (facts §3.3).
        """
        connection = Connection.from_params(params, dialect)
        if by_password and connection.password:
            connection = replace(connection, token_id=None, token_secret=None)
        client = Client(connection)
        client.read_only = check_mode
        return cls(client, check_mode)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.close()

    @cached_property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """The members of the cluster (or the standalone node) by name, as GET /nodes lists them."""
        return {str(node["node"]): node for node in self.client.get("/nodes")}

    @cached_property
    def guests(self) -> dict[int, dict[str, Any]]:
        """The guests of the cluster by number, as GET /cluster/resources lists them."""
        return {int(guest["vmid"]): guest for guest in self.client.get("/cluster/resources", type="vm")}

    def forget_guests(self) -> None:
        """Have the list of guests read anew when it is asked for next: they move and start."""
        vars(self).pop("guests", None)

    def online(self, node: str) -> bool:
        """Whether a member is online."""
        return str(self.nodes[node].get("status")) == "online"

    def warn(self, text: str) -> None:
        """Tell the user something that is no failure."""
        if text not in self.warnings:
            self.warnings.append(text)

    def known(self, kind: str) -> set[str]:
        """The names of the nodes, guests, storages, … that there are."""
        if kind == "node":
            return set(self.nodes)
        if kind == "guest":
            return {str(vmid) for vmid in self.guests}
        if kind not in self._known:
            path, key = LISTS[kind]
            self._known[kind] = {str(each[key]) for each in self.client.get(path)}
        return self._known[kind]

    def check_reference(self, kind: str, name: Any, where: str) -> None:
        """What is named must be there; in check mode it may be something that an earlier step would make."""
        try:
            known = self.known(kind)
        except (ConnectError, TrustError) as error:
            raise error.at(where) from error
        if str(name) in known:
            return
        what = f"{name} is not a member of the cluster" if kind == "node" else f"there is no {kind} {name}"
        if not self.check_mode:
            raise InputError(what, where=where, hint=f"There are: {', '.join(natural_sorted(known)) or 'none'}.")
        self.unknown.append(f"{where}: {what} yet")

    def finish_task(self, answer: Any, timeout: float, where: str = "") -> TaskEnd | None:
        """Wait for the task that an answer names, if it names one; its warnings become the module's."""
        if not is_upid(answer):
            return None
        end = wait_for_task(self.client, answer, timeout=timeout)
        self.take_warnings(end, where)
        return end

    def take_warnings(self, end: TaskEnd, where: str = "") -> None:
        """What a task warned of, this run warns of."""
        for line in end.warnings or ([end.status] if end.status != "OK" else []):
            self.warn(f"{where}: {line}" if where else line)

    def approve(self, changes: Sequence[Change], *, existing: int | None = None, kind: str = "") -> None:
        """Every module's last step before its first write: the whole of its plan, and how many objects there are.

        Does nothing in check mode. Raises what the safety of the whole run has against it (docs/safety.md).
        """
        _safety.approve(self, changes, existing, kind)

    def result(self, changes: list[Change], **more: Any) -> Result:
        """The module's result."""
        if self.unknown:
            self.warn(f"what cannot be known before earlier steps are made: {'; '.join(self.unknown)}")
        return {
            "changed": bool(changes),
            "plan": [change.describe() for change in changes],
            "diff": diff_of(changes),
            "warnings": [*_run.current.warnings, *self.warnings],
            "calls": len(self.client.calls),
            **({"unknown": self.unknown} if self.check_mode else {}),
            **more,
        }


def refuse(text: str, *, where: str = "", hint: str = "") -> StateError:
    """An error that ends the module before anything is changed."""
    return StateError(text, where=where, hint=hint)
