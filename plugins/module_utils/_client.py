# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to the API of Proxmox VE, or in another dialect. Private to this collection.

Reads are tried again, at the next of the hosts if need be. Writes never are, unless it is certain that the server did
nothing: it was not reached, refused the login, or gave up waiting for a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn
from urllib.parse import quote

from . import _run, _tickets
from ._dialect import PVE, Dialect
from ._errors import LOCK_TIMEOUT, ApiError, ConnectError, InputError, LoginError, StateError
from ._http import NotSentError, Serializer, Server
from ._libraries import Library
from ._wait import CLOCK, Clock

if TYPE_CHECKING:
    import proxmoxer.core as proxmoxer
else:
    proxmoxer = Library("proxmoxer.core")

ATTEMPTS = 3
PAUSE = 0.5

# Set by the action plugin; a module that runs as a process of its own keeps nothing.
ticket_store = _tickets.TicketStore()


@dataclass(frozen=True)
class Connection:
    """Where to, as whom, and whom to trust: the options of the documentation fragment ``connection``."""

    hosts: tuple[str, ...]
    port: int = 8006
    user: str = "root@pam"
    password: str | None = field(default=None, repr=False)
    otp: str | None = field(default=None, repr=False)
    token_id: str | None = None
    token_secret: str | None = field(default=None, repr=False)
    fingerprints: tuple[str, ...] = ()
    trust_file: Path | None = None
    ca_file: Path | None = None
    validate: bool = True
    timeout: float = 30
    dialect: Dialect = PVE

    @classmethod
    def from_params(cls, params: Mapping[str, Any], dialect: Dialect = PVE) -> Connection:
        """Read the connection's options. Raises :class:`InputError` if there are no credentials."""
        connection = cls(
            hosts=tuple(params["api_hosts"] or ()),
            port=params["api_port"],
            user=params["api_user"],
            password=params["api_password"],
            otp=params["api_otp"],
            token_id=params["api_token_id"],
            token_secret=params["api_token_secret"],
            fingerprints=tuple(params["api_fingerprints"] or ()),
            trust_file=Path(params["api_trust_file"]) if params["api_trust_file"] else None,
            ca_file=Path(params["api_ca_file"]) if params["api_ca_file"] else None,
            validate=params["api_validate_certs"],
            timeout=params["api_timeout"],
            dialect=dialect,
        )
        if not (connection.password or (connection.token_id and connection.token_secret)):
            raise InputError(
                "no credentials: neither a password nor an API token with its secret is given",
                where="api_password",
                hint=f"Set api_password ({dialect.environment}_PASSWORD), or api_token_id and api_token_secret.",
            )
        return connection

    def to(
        self, address: str, *, fingerprint: str | None = None, user: str | None = None, password: str | None = None
    ) -> Connection:
        """The connection to one node that is no member yet: its own fingerprint and login, no token of the cluster."""
        return replace(
            self,
            hosts=(address,),
            user=user or self.user,
            password=password or self.password,
            token_id=None,
            token_secret=None,
            fingerprints=(fingerprint,) if fingerprint else (),
        )


class Client:
    """Calls to the first live host of a connection."""

    def __init__(self, connection: Connection, *, clock: Clock = CLOCK) -> None:
        self.connection = connection
        self.clock = clock
        self.dialect = connection.dialect
        #: of the files that lists stand in, by path, where a server says them beside the data (facts §20.1)
        self.digests: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self._server: Server | None = None
        self._ticket: _tickets.Ticket | None = None
        self._lock = threading.RLock()
        self._dead: dict[str, str] = {}
        self._reached = False
        self.may_log_in_again = True
        self.read_only = False

    @property
    def host(self) -> str:
        """Address of the host that is used; ``""`` before the first call."""
        return self._server.address if self._server else ""

    def get(self, path: str, **params: Any) -> Any:
        """Read. Raises :class:`ApiError`, :class:`ConnectError`, :class:`TrustError` or :class:`LoginError`."""
        return self.call("GET", path, params)

    def post(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Create or start something."""
        return self.call("POST", path, params)

    def put(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Change something."""
        return self.call("PUT", path, params)

    def delete(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Remove something; the parameters go into the query string (facts §1.1)."""
        return self.call("DELETE", path, params)

    def call(self, method: str, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """One call, with what the head of this file says about trying again. Values of None are left out."""
        if method != "GET":
            self._check_write(method, path)
        sent = {key: int(value) if isinstance(value, bool) else value for key, value in (params or {}).items()}
        logins = attempt = 0
        while True:
            attempt += 1
            try:
                return self._call_once(method, path, sent)
            except ApiError as error:
                if error.status == 401 and self.may_log_in_again and not logins and not self._uses_token:
                    # the ticket is too old, or from before the cluster's key changed
                    logins += 1
                    self._forget_ticket()
                elif _passes(error, method) and attempt < ATTEMPTS:
                    self.clock.sleep(PAUSE)
                elif error.status == 401:
                    raise self._not_accepted(error.text or "no text") from error
                else:
                    raise
            except NotSentError as error:
                self._give_up_host(error)
                if not self._hosts_left():
                    if not self._reached or attempt >= ATTEMPTS + len(self.connection.hosts):
                        raise self._nobody_there() from error
                    self._dead.clear()
                    self.clock.sleep(PAUSE)
            except ConnectError as error:
                self._give_up_host(error)
                if not self._hosts_left():
                    self._dead.clear()
                if method != "GET":
                    raise ConnectError(
                        f"{error.message}. Whether {method} {path} was carried out is not known",
                        hint="Run again: what was done is found, what was not is made up for.",
                    ) from error
                if attempt >= ATTEMPTS:
                    raise
                self.clock.sleep(PAUSE)

    def download(self, path: str, sink: BinaryIO, **params: Any) -> int:
        """Write what a path answers into ``sink``, as it is and piece by piece; gives the number of bytes.

        It is not tried again. Raises :class:`ApiError`, :class:`ConnectError` or :class:`TrustError`.
        """
        server = self._connected()
        self.calls.append(("GET", path))
        answer = server.send("GET", f"{server.url}{path}", self._headers("GET"), params=params, stream=True)
        if answer.status_code >= 400:
            body = self._serializer().loads_errors(answer)
            text = str(body.get("message") or answer.reason)
            raise ApiError("GET", path, answer.status_code, text, body.get("errors"), server=server.address)
        return sum(sink.write(piece) for piece in server.pieces(answer))

    def close(self) -> None:
        """Close the connections; the next call starts at the first of the hosts again."""
        with self._lock:
            if self._server:
                self._server.close()
            self._server = None

    @property
    def _uses_token(self) -> bool:
        return bool(self.connection.token_id and self.connection.token_secret)

    @property
    def _who(self) -> str:
        return (self.connection.token_id if self._uses_token else None) or self.connection.user

    def _call_once(self, method: str, path: str, params: dict[str, Any]) -> Any:
        server = self._connected()
        exchange = _Exchange(server, self._headers(method))
        serializer = self._serializer()
        resource = proxmoxer.ProxmoxResource(base_url=server.url, session=exchange, serializer=serializer)
        path = path.strip("/")
        self.calls.append((method, f"/{path}"))
        _run.current.counts.called(method)
        try:
            answer = getattr(resource(path), method.lower())(**params)
        except proxmoxer.ResourceException as error:
            self._reached = True
            _raise_api_error(error, method, f"/{path}", server.address)
        self._reached = True
        if serializer.digest:
            self.digests[f"/{path}"] = serializer.digest
        if method != "GET" and str(answer).startswith("UPID:"):
            _run.current.counts.tasks.append(str(answer))
        return answer

    def _serializer(self) -> Serializer:
        return Serializer(plain_errors=self.dialect.plain_errors)

    def _check_write(self, method: str, path: str) -> None:
        """Nothing is written in check mode, nor by a module that has not shown the run what it is about to do."""
        if self.read_only:
            raise StateError(f"in check mode nothing is written: {method} {path}")
        task = _run.current
        _run.check_alive()
        if task.safety is not None and not task.approved:
            raise StateError(
                f"{task.module} writes without having been compared with the run's plan and limits: {method} {path}",
                hint="Run it without pve_safety.",
            )

    def _headers(self, method: str) -> dict[str, str]:
        connection = self.connection
        if self._uses_token:
            token = f"{connection.token_id}{self.dialect.token_separator}{connection.token_secret}"
            return {"Authorization": f"{self.dialect.token_scheme}={token}"}
        with self._lock:
            ticket = self._ticket or self._log_in(self._connected())
            self._ticket = ticket
            headers = {"Cookie": f"{self.dialect.cookie}={_quoted(ticket.ticket)}"}
            return headers if method == "GET" else {**headers, "CSRFPreventionToken": ticket.csrf}

    def _not_accepted(self, text: str) -> LoginError:
        if self._uses_token:
            hint = "Check the token's id, its secret, and whether it has expired."
            return LoginError(f"{self.host} does not accept the API token {self._who} ({text})", hint=hint)
        return LoginError(f"{self.host} does not accept the login of {self._who} any more ({text})")

    def _forget_ticket(self) -> None:
        with self._lock:
            if self._server:
                self._ticket = self._log_in(self._server)

    def _connected(self) -> Server:
        """The first of the hosts that answers. An unexpected certificate is an error, not a dead host."""
        with self._lock:
            while self._server is None:
                address = next(iter(self._hosts_left()), None)
                if address is None:
                    raise self._nobody_there()
                connection = self.connection
                self._server = Server(
                    address,
                    connection.port,
                    fingerprints=connection.fingerprints,
                    trust_file=connection.trust_file,
                    ca_file=connection.ca_file,
                    validate=connection.validate,
                    timeout=connection.timeout,
                )
                if self._ticket is None and not self._uses_token:
                    self._ticket = ticket_store.load(*self._login_key(address)) or self._log_in(self._server)
            return self._server

    def _hosts_left(self) -> list[str]:
        return [address for address in self.connection.hosts if address not in self._dead]

    def _give_up_host(self, error: ConnectError) -> None:
        """Not the one that is used now, if another thread's call has found out before."""
        with self._lock:
            address = error.address or self.host
            if address:
                self._dead[address] = error.message
            if address == self.host:
                self.close()

    def _nobody_there(self) -> ConnectError:
        if not self.connection.hosts:
            return ConnectError(
                "no host is given", where="api_hosts", hint=f"Set api_hosts, or {self.dialect.environment}_HOST."
            )
        return ConnectError("; ".join(self._dead.values()), hint="Is the node up, and its address right?")

    def _login_key(self, address: str) -> tuple[str, ...]:
        connection = self.connection
        return address, str(connection.port), connection.user, connection.password or ""

    def _log_in(self, server: Server) -> _tickets.Ticket:
        """POST /access/ticket, with a second factor if there is one (facts §3.1, §3.2)."""
        connection = self.connection
        login = {"username": connection.user, "password": connection.password}
        if connection.otp:
            login["otp"] = connection.otp if ":" in connection.otp else f"totp:{connection.otp}"
        resource = proxmoxer.ProxmoxResource(
            base_url=server.url, session=_Exchange(server, {}), serializer=self._serializer()
        )
        self.calls.append(("POST", "/access/ticket"))
        try:
            answer = resource("access/ticket").post(**login)
        except proxmoxer.ResourceException as error:
            if error.status_code != 401:
                _raise_api_error(error, "POST", "/access/ticket", server.address)
            raise LoginError(
                f"{server.address} refuses the login of {connection.user}: {_said(error) or 'authentication failure'}",
                hint="Check the user and the password.",
            ) from error
        if answer.get("NeedTFA") or "!tfa!" in answer["ticket"]:
            raise LoginError(
                f"{server.address} wants a second factor for {connection.user}",
                hint="Give api_otp, or use an API token.",
            )
        ticket = _tickets.Ticket(answer["ticket"], answer["CSRFPreventionToken"], time.time())
        ticket_store.save(ticket, *self._login_key(server.address))
        return ticket


@lru_cache(maxsize=8)
def _quoted(ticket: str) -> str:
    """A ticket as it stands in a cookie: a long text, the same with every call."""
    return quote(ticket, safe="")


class _Exchange:
    """What proxmoxer's resource calls for one request."""

    def __init__(self, server: Server, headers: Mapping[str, str]) -> None:
        self._server, self._headers = server, headers

    def request(self, method: str, url: str, data: Any = None, params: Any = None) -> Any:
        return self._server.send(method, url, self._headers, data=data or None, params=params or None)


def _passes(error: ApiError, method: str) -> bool:
    """Whether another attempt is safe and may fare better."""
    return error.node_offline if method == "GET" else error.says(LOCK_TIMEOUT)


def _raise_api_error(error: proxmoxer.ResourceException, method: str, path: str, server: str) -> NoReturn:
    errors = (error.errors or {}).get("errors")
    raise ApiError(
        method, path, error.status_code, _said(error), errors if isinstance(errors, dict) else None, server=server
    ) from error


def _said(error: proxmoxer.ResourceException) -> str:
    """All that the server said; the reason phrase carries the first line only (facts §1.3)."""
    body: dict[str, Any] = error.errors or {}
    return str(body.get("message") or error.content or "").strip()
