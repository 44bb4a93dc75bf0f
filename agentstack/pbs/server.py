# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup server of a host: accounts, datastores, jobs, and the API on 8007 (facts §20)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp.web import BaseRequest, Response, StreamResponse

from agentstack.access.identity import Identity, Unauthorized
from agentstack.api.dialect import PBS
from agentstack.api.dispatch import Dispatcher, Found
from agentstack.api.proxy import Answer
from agentstack.api.reply import Reply
from agentstack.api.request import Target
from agentstack.api.server import PAUSE_AFTER_401, ApiServer
from agentstack.errors import AgentError, ParameterError
from agentstack.pbs.access import DENIED, FAILED, Access
from agentstack.pbs.datastores import Datastores
from agentstack.pbs.jobs import Jobs
from agentstack.pbs.notify import JobNotifications
from agentstack.pbs.traffic import Traffic
from agentstack.pbs.transfer import PREFIX, Transfer

if TYPE_CHECKING:
    from agentstack.host import Host


class PbsDispatcher(Dispatcher):
    """The API tree of a backup server, which knows no node but itself."""

    def admit(self, found: Found, identity: Identity, given: Mapping[str, Any]) -> dict[str, Any]:
        raw = super().admit(found, identity, given)
        node = found.values.get("node", "localhost")
        if node not in ("localhost", self.host.name):
            raise ParameterError({"node": f"no such node '{node}'"})
        return raw


class PbsApiServer(ApiServer):
    """The HTTPS server of a backup server."""

    branches = "agentstack.api.pbs"
    dialect = PBS

    def __init__(self, host: Host, accounts: Access, transfer: Transfer) -> None:
        super().__init__(host, accounts)
        self.dispatcher = PbsDispatcher(host, accounts, self.dialect)
        self.transfer = transfer

    async def serve(self, incoming: BaseRequest) -> StreamResponse:
        """Answer one request of the API, or one of the transfers between agents."""
        if not incoming.path.startswith(PREFIX):
            return await super().serve(incoming)
        try:
            identity = self._identify(incoming, None)
            address, user, traffic = incoming.remote or "127.0.0.1", identity.userid, self.host.pbs.traffic
            await traffic.pass_through(address, user, "in", incoming.content_length or 0)
            answer = await self.transfer.serve(incoming, identity)
            await traffic.pass_through(address, user, "out", answer.content_length or 0)
            return answer
        except AgentError as error:
            failure = error
        if isinstance(failure, Unauthorized):
            failure = AgentError(FAILED, status=failure.status)
            await self.host.clock.sleep(PAUSE_AFTER_401)
        return Response(status=self.dialect.status(failure), text=failure.text)

    async def _answer(self, incoming: BaseRequest, target: Target) -> Reply | StreamResponse | Answer:
        try:
            return await super()._answer(incoming, target)
        except Unauthorized as error:
            # one text for all of them, and a body (facts §20.2)
            raise AgentError(FAILED, status=error.status) from error
        except ParameterError:
            raise
        except AgentError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                raise AgentError(DENIED, status=error.status) from error
            raise

    def _write(self, reply: Reply, form: str, incoming: BaseRequest) -> Response:
        return super()._write(replace(reply, reason=HTTPStatus(reply.status).phrase), form, incoming)


class BackupServer:
    """Everything of a host that makes it a backup server."""

    def __init__(self, host: Host) -> None:
        self.host = host
        host.pbs = self
        self.access = Access(host)
        self.datastores = Datastores(host)
        self.notifications = JobNotifications(host)
        self.jobs = Jobs(host)
        self.traffic = Traffic(host)
        self.transfer = Transfer(host)
        self.api = PbsApiServer(host, self.access, self.transfer)

    async def start(self) -> None:
        """Make what is missing, then serve."""
        await asyncio.to_thread(self.access.install)
        await self.jobs.start()
        await self.api.start()

    async def stop(self) -> None:
        """Stop serving, then the jobs and what they tell."""
        await self.api.stop()
        await self.jobs.stop()
        await self.notifications.stop()
