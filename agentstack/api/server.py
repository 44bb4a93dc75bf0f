# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server of a host: HTTPS on 8006, every request through the same steps (facts §1)."""

from __future__ import annotations

import importlib
import pkgutil
import re
import zlib
from email.utils import formatdate
from typing import TYPE_CHECKING, Protocol, TypeVar

from aiohttp import hdrs, web
from aiohttp.web import BaseRequest, Response, StreamResponse

from agentstack.access.identity import Identity, Unauthorized
from agentstack.access.roles import privileges
from agentstack.api import formats, permissions, request
from agentstack.api.access_log import AccessLog
from agentstack.api.dialect import PVE, Dialect
from agentstack.api.dispatch import Dispatcher, Found
from agentstack.api.disturb import Disturber
from agentstack.api.pages import Pages
from agentstack.api.proxy import HEADER, Answer, Proxy, ProxyError
from agentstack.api.reply import JSON_TYPE, TYPES, Reply, refusal
from agentstack.api.transport import Listener
from agentstack.errors import AgentError, ParameterError

if TYPE_CHECKING:
    from agentstack.host import Host

_R = TypeVar("_R", bound=StreamResponse)

PAUSE_AFTER_401 = 3.0
"""Stack seconds before every 401."""

COMPRESS_FROM = 1024
"""Bodies longer than this are compressed if the client can read it."""

LARGEST_LINE = 64 * 1024
"""What the parser takes; how large a head may really be is said in `request`, in the server's words."""

SHUTDOWN = 1.0
"""Real seconds for running requests at the end."""

ANYBODY = Identity("")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What a caller's words may hold, but no line of a head."""


def load_branches(package: str) -> None:
    """Import every branch of an API tree, so that its behaviours are registered."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


class Accounts(permissions.Accounts, Protocol):
    """Who callers are and what they may do: `agentstack.access.Access`, or that of the backup server."""

    def by_ticket(self, ticket: str) -> Identity:
        """Who comes with a ticket; raises Unauthorized."""

    def by_token(self, text: str) -> Identity:
        """Who comes with a token and its secret; raises Unauthorized."""

    def verify_csrf(self, identity: Identity, token: str) -> bool:
        """Whether a write may be made on the strength of a ticket."""


class ApiServer:
    """The HTTPS server of one host."""

    branches = "agentstack.api.pve"
    dialect: Dialect = PVE

    def __init__(self, host: Host, accounts: Accounts | None = None) -> None:
        load_branches(self.branches)
        self.host = host
        self.accounts: Accounts = accounts or host.access
        self.renew()
        self.proxy = Proxy(host, self.dialect.port)
        self.disturber = Disturber(host, self._answers_nothing)

    def _answers_nothing(self, verb: str, path: str) -> bool:
        found = self.dispatcher.find(verb, path)
        return found is not None and found.method.returns == "null"

    def renew(self) -> None:
        """Take up the tree and the privileges of the release that the host has now."""
        self.dispatcher = Dispatcher(self.host, self.accounts, self.dialect)
        self.pages = Pages(self.host, self.dispatcher)
        if self.dialect is PVE:
            known = privileges(self.host.release)
            formats.register("pve-priv", lambda text: _known_privilege(text, known))

    async def start(self) -> None:
        """Listen on the host's management address; raises OSError if the port is taken."""
        await self.proxy.start()
        self.log = AccessLog(self.host.root / self.dialect.access_log)
        self.host.faults.subscribe("api", apply=self.disturber.apply)
        await self.open()

    async def open(self) -> None:
        """Begin to listen."""
        self._http = web.Server(
            self.serve,
            access_log=None,
            max_line_size=LARGEST_LINE,
            max_field_size=LARGEST_LINE,
            keepalive_timeout=75.0,
        )
        self._listener = Listener(self.host.address, self.dialect.port, self.host.certificates.context, self._http)
        await self._listener.start()

    async def stop(self) -> None:
        """End for good."""
        await self.close()
        await self.proxy.stop()
        self.log.close()

    async def close(self) -> None:
        """Close the socket, then the connections."""
        await self._listener.stop()
        await self._http.shutdown(SHUTDOWN)

    async def serve(self, incoming: BaseRequest) -> StreamResponse:
        """Answer one HTTP request."""
        form = "json"
        try:
            if not request.is_api(incoming):
                return self._finish(await self.pages.answer(incoming), incoming, failed=False)
            target = request.target(incoming, self.dialect)
            form = target.form
            result = await self.disturber.answer(incoming, target.path, lambda: self._answer(incoming, target))
        except ParameterError as error:
            result = self.dialect.parameter_reply(error) or refusal(error)
        except (Unauthorized, ProxyError) as error:
            # neither has a body (observed); a failed login comes as a plain AgentError
            result = Reply(error.status, error.message)
        except AgentError as error:
            result = refusal(AgentError(error.message, status=self.dialect.status(error)))
        if isinstance(result, StreamResponse):
            return self._finish(result, incoming, failed=False)
        if isinstance(result, Answer):
            return self._pass_on(result, incoming)
        if result.status == 401:
            await self.host.clock.sleep(PAUSE_AFTER_401)
        elif result.status == 403:
            await self.host.clock.sleep(self.dialect.denied_pause)
        return self._write(result, form, incoming)

    async def _answer(self, incoming: BaseRequest, target: request.Target) -> Reply | StreamResponse | Answer:
        verb, path = incoming.method, target.path
        if verb not in request.VERBS:
            raise self.dispatcher.unknown(verb, path)
        found = self.dispatcher.find(verb, path)
        if found is not None and _takes_files(found):
            return await self._take_file(incoming, found)
        given = await request.parameters(incoming)
        identity = self._identify(incoming, found)
        if found is None:
            raise self.dispatcher.unknown(verb, path)
        raw = self.dispatcher.admit(found, identity, given)
        node = self.dispatcher.node_of(found, raw)
        if node is None:
            return await self.dispatcher.execute(found, identity, raw)
        if incoming.headers.get(HEADER):
            raise AgentError("proxy loop detected")
        kept = (hdrs.COOKIE, hdrs.AUTHORIZATION, "CSRFPreventionToken")
        headers = {name: incoming.headers[name] for name in kept if name in incoming.headers}
        sent = {name: value for name, value in raw.items() if name not in found.values}
        return await self.proxy.forward(node, verb, f"/api2/{target.form}{path}", sent, headers)

    async def _take_file(self, incoming: BaseRequest, found: Found) -> Reply | StreamResponse:
        """An upload: who sends it is asked before the file is taken, and what is refused is not kept."""
        identity = self._identify(incoming, found)
        given = await request.parameters(incoming, self.host.root / "var/tmp")
        try:
            return await self.dispatcher.execute(found, identity, self.dispatcher.admit(found, identity, given))
        except AgentError:
            if "tmpfilename" in given:
                (self.host.root / "var/tmp" / given["tmpfilename"].rpartition("/")[2]).unlink(missing_ok=True)
            raise

    def _identify(self, incoming: BaseRequest, found: Found | None) -> Identity:
        if found is not None and found.method.user == "world":
            return ANYBODY
        shown = request.credentials(incoming, self.dialect)
        access = self.accounts
        if shown.ticket is not None:
            identity = access.by_ticket(shown.ticket)
            # a form with a file is sent by browsers, which set no headers of their own (facts §3.1)
            if incoming.method != "GET" and not _takes_files(found) and not access.verify_csrf(identity, shown.csrf):
                raise Unauthorized("Permission denied - invalid csrf token")
            return identity
        if shown.token is not None:
            return access.by_token(shown.token)
        raise Unauthorized("No ticket")

    def _write(self, reply: Reply, form: str, incoming: BaseRequest) -> Response:
        failed, reason = reply.failed, _CONTROL.sub(" ", reply.reason)
        if failed and reply.message is None:
            return self._finish(Response(status=reply.status, reason=reason), incoming, failed=True)
        body = self.dialect.writers[form](reply)
        if form in ("extjs", "htmljs") and reply.message is not None:
            # extjs clients look into the body only (facts §1.1)
            reply, failed, reason = Reply(), False, "OK"
        kind = TYPES.get(form, JSON_TYPE)
        response = Response(status=reply.status, reason=reason, headers={hdrs.CONTENT_TYPE: kind})
        response.body = _compress(body, response, incoming)
        return self._finish(response, incoming, failed=failed)

    def _pass_on(self, answer: Answer, incoming: BaseRequest) -> Response:
        response = Response(status=answer.status, reason=answer.reason)
        if answer.body:
            response.headers[hdrs.CONTENT_TYPE] = answer.headers.get(hdrs.CONTENT_TYPE, JSON_TYPE)
            if hdrs.CONTENT_DISPOSITION in answer.headers:
                response.headers[hdrs.CONTENT_DISPOSITION] = answer.headers[hdrs.CONTENT_DISPOSITION]
            response.body = _compress(answer.body, response, incoming)
        return self._finish(response, incoming, failed=answer.status >= 400)

    def _finish(self, response: _R, incoming: BaseRequest, *, failed: bool) -> _R:
        closes = failed or not incoming.keep_alive
        date = formatdate(self.host.clock.now(), usegmt=True)
        response.headers.update(
            {
                hdrs.SERVER: self.dialect.server,
                hdrs.DATE: date,
                hdrs.EXPIRES: date,
                hdrs.CACHE_CONTROL: "max-age=0",
                hdrs.PRAGMA: "no-cache",
                hdrs.CONNECTION: "close" if closes else "Keep-Alive",
            }
        )
        if closes:
            response.force_close()
        self.log.write(incoming, response, self.host.clock.now())
        return response


def _takes_files(found: Found | None) -> bool:
    return found is not None and found.method.verb == "POST" and found.path.endswith("/upload")


def _known_privilege(text: str, known: frozenset[str]) -> None:
    if text not in known:
        raise ValueError(f"invalid privilege '{text}'")


def _compress(body: bytes, response: Response, incoming: BaseRequest) -> bytes:
    accepted = incoming.headers.get(hdrs.ACCEPT_ENCODING, "")
    if len(body) <= COMPRESS_FROM:
        return body
    for name, window in (("gzip", zlib.MAX_WBITS | 16), ("deflate", zlib.MAX_WBITS)):
        if name in accepted:
            response.headers[hdrs.CONTENT_ENCODING] = name
            packer = zlib.compressobj(level=1, wbits=window)
            return packer.compress(body) + packer.flush()
    return body
