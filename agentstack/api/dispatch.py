# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a verb, a path and raw parameters to the behaviour behind them: the way of every call, over HTTP or pvesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp.web import StreamResponse

from agentstack.access.identity import Identity
from agentstack.api.dialect import Dialect
from agentstack.api.endpoint import Call
from agentstack.api.parameters import validate
from agentstack.api.permissions import Accounts, authorize, denied
from agentstack.api.reply import Reply
from agentstack.api.routes import Routes
from agentstack.api.tables import Method, load
from agentstack.errors import AgentError, ParameterError

if TYPE_CHECKING:
    from agentstack.host import Host

_CONFLICT = "duplicate parameter (already defined in URI) with conflicting values!"


@dataclass(frozen=True)
class Found:
    """A method and the values of the parameters in its path."""

    method: Method
    path: str
    values: Mapping[str, str]


class Dispatcher:
    """The API tree of one host."""

    def __init__(self, host: Host, accounts: Accounts, dialect: Dialect) -> None:
        self.host = host
        self.accounts = accounts
        self.dialect = dialect
        self.table = load(dialect.tables[host.release.split(".")[0]])
        self.routes = Routes(self.table)

    def find(self, verb: str, path: str) -> Found | None:
        """The method behind a path; None if there is none or nothing behind it."""
        hit = self.routes.match(path)
        method = self.table[hit[0]].get(verb) if hit else None
        if hit is None or method is None:
            return None
        if (verb, method.path) not in self.dialect.registry.handlers and method.index is None:
            return None
        return Found(method, path, hit[1])

    def verbs(self, path: str) -> set[str]:
        """What can be done with a path."""
        hit = self.routes.match(path)
        return set(self.table[hit[0]]) if hit else set()

    def has_children(self, path: str) -> bool:
        """Whether there is something below a path."""
        hit = self.routes.match(path)
        return hit is not None and any(other.startswith(f"{hit[0].rstrip('/')}/") for other in self.table)

    def child_key(self, path: str) -> str | None:
        """The key of a listing whose values lead further down."""
        hit = self.routes.match(path)
        if hit is None:
            return None
        listing = self.table[hit[0]].get("GET")
        if listing is not None and listing.index is not None:
            return listing.index[0]
        below = {other.removeprefix(f"{hit[0]}/") for other in self.table if other.startswith(f"{hit[0]}/{{")}
        return min((name.partition("/")[0].strip("{}") for name in below), default=None)

    def unknown(self, verb: str, path: str) -> AgentError:
        """The error for a path or verb that is not there."""
        return AgentError(self.dialect.unknown.format(verb=verb, path=path), status=self.dialect.unknown_status)

    def admit(self, found: Found, identity: Identity, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check that the caller may make the call; returns its raw parameters, those of the path included.

        Permissions come before the parameters' values, as on a real server (observed: 403 on a call that lacks some).
        """
        conflicts = {
            name: _CONFLICT for name, value in found.values.items() if name in given and str(given[name]) != value
        }
        if conflicts:
            raise ParameterError(conflicts)
        raw = {**given, **found.values}
        method = found.method
        if identity.token is not None and not method.allowtoken:
            raise denied(f"URI '{found.path}' not available with API token, need proper ticket.")
        authorize(method, identity, raw, self.accounts)
        return raw

    def node_of(self, found: Found, raw: Mapping[str, Any]) -> str | None:
        """The other node that has to execute a call; None if it is this one."""
        name = str(raw.get(found.method.proxyto, "localhost")) if found.method.proxyto else "localhost"
        return None if name in ("localhost", self.host.name) else name

    async def execute(self, found: Found, identity: Identity, raw: Mapping[str, Any]) -> Reply | StreamResponse:
        """Validate and run a call here; raises AgentError."""
        method = found.method
        params = validate(method, raw, self.dialect.words)
        handler = self.dialect.registry.handlers.get((method.verb, method.path))
        if handler is None:
            # only paths with a fixed listing get here (see `find`)
            key, names = method.index or ("", ())
            return Reply(data=[{key: name} for name in names])
        call = Call(self.host, identity, method.verb, found.path, params)
        try:
            data = await handler(call)
        except OSError as error:
            # what a failed system call is on a real server: the end of the handler, told in its words
            what = f"'{error.filename}' - " if error.filename else ""
            raise AgentError(f"unable to open file {what}{error.strerror or error}") from error
        if isinstance(data, StreamResponse):
            return data
        siblings = dict(call.extra)
        # a total of 0 is left out (facts §1.2)
        if call.total:
            siblings["total"] = call.total
        if call.changes is not None:
            siblings["changes"] = call.changes
        return Reply(data=data, siblings=siblings)
