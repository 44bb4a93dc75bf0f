# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of a host's API (`agentstack.faults.api`) as its server meets them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiohttp.web import BaseRequest, Response

from agentstack.api.reply import Reply
from agentstack.errors import AgentError
from agentstack.faults.api import pattern
from agentstack.tasks import Trouble
from agentstack.upid import Upid

if TYPE_CHECKING:
    from agentstack.host import Host

_T = TypeVar("_T")


class Fault(Protocol):
    """`agentstack.faults.kinds.Fault`, of which no more than this is needed."""

    @property
    def target(self) -> tuple[str, ...]:
        """The host and the pattern of paths."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is wrong."""


@dataclass(frozen=True)
class Disturbance:
    """What happens to one call. Durations in stack seconds; `die` after `after` of the task's time."""

    delay: float = 0.0
    status: int | None = None
    reason: str = ""
    drop: bool = False
    unanswered: bool = False
    ignored: bool = False
    fail: str = ""
    warn: str = ""
    die: str | None = None
    after: float = 0.0


class Rules:
    """The faults of one host's API, and how often each has struck."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, re.Pattern[str]]] = []
        self._struck: dict[tuple[str, ...], int] = {}

    def apply(self, faults: Sequence[Fault]) -> None:
        """Take these for the present ones; one that has gone or was ordered anew begins to count again."""
        kept = {fault.target for fault, _ in self._rules if fault in faults}
        self._struck = {target: number for target, number in self._struck.items() if target in kept}
        self._rules = [(fault, pattern(fault.target[1])) for fault in faults]

    def strike(self, verb: str, path: str) -> Disturbance | None:
        """What happens to this call; None: nothing."""
        for fault, expression in self._rules:
            settings = fault.settings
            if verb not in settings.get("method", verb).split(",") or expression.fullmatch(path) is None:
                continue
            struck = self._struck.get(fault.target, 0)
            if settings.get("count") and struck >= settings["count"]:
                continue
            self._struck[fault.target] = struck + 1
            code = settings.get("status")
            return Disturbance(
                delay=settings.get("delay", 0.0),
                status=code,
                reason=settings.get("reason") or _phrase(code),
                drop=bool(settings.get("drop")),
                unanswered=bool(settings.get("unanswered")),
                ignored=bool(settings.get("ignored")),
                fail=settings.get("fail", ""),
                warn=settings.get("warn", ""),
                die=settings.get("die"),
                after=settings.get("after", 0.0),
            )
        return None


def _phrase(code: int | None) -> str:
    try:
        return HTTPStatus(code).phrase if code else ""
    except ValueError:
        # 595 and its like have no phrase of their own
        return "Connection refused"


class Disturber:
    """Stands between the server of a host and its answers."""

    def __init__(self, host: Host, answers_nothing: Callable[[str, str], bool]) -> None:
        """`answers_nothing` says of a verb and a path whether the method returns null."""
        self._host = host
        self._answers_nothing = answers_nothing
        self._rules = Rules()
        self._dying: set[asyncio.Task[None]] = set()
        self.apply = self._rules.apply

    async def answer(
        self, incoming: BaseRequest, path: str, make: Callable[[], Awaitable[_T]]
    ) -> _T | Reply | Response:
        """The answer that `make` gives, unless something is wrong with this call."""
        fault = self._rules.strike(incoming.method, path)
        if fault is None:
            return await make()
        await self._host.clock.sleep(fault.delay)
        if fault.drop:
            return self._hang_up(incoming)
        if fault.status is not None:
            raise AgentError(fault.reason, status=fault.status)
        if fault.ignored and self._answers_nothing(incoming.method, path):
            return Reply()
        with self._host.tasks.troubled(Trouble(fault.fail, fault.warn)):
            result = await make()
        if fault.unanswered:
            return self._hang_up(incoming)
        upid = self._host.tasks.parse(str(result.data)) if isinstance(result, Reply) else None
        if fault.die is not None and upid is not None:
            dying = asyncio.create_task(self._die(fault.die, fault.after, upid))
            self._dying.add(dying)
            dying.add_done_callback(self._dying.discard)
        return result

    @staticmethod
    def _hang_up(incoming: BaseRequest) -> Response:
        if incoming.transport is not None:
            incoming.transport.abort()
        return Response()

    async def _die(self, victim: str, after: float, upid: Upid) -> None:
        await self._host.clock.sleep(after)
        if not self._host.tasks.is_running(upid):
            return
        if victim == "task":
            self._host.tasks.kill(upid)
        else:
            # as when the power goes: nobody gets to say a word
            os.killpg(0, signal.SIGKILL)
