# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access log of an API server: one line for each request, as administrators read it with tail."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import unquote

from aiohttp import hdrs
from aiohttp.web import BaseRequest, Response, StreamResponse

_TICKET = re.compile(r"AuthCookie=(?:PVE|PBS)(?::|%3A)([^:;]+?)(?::|%3A)", re.IGNORECASE)
_TOKEN = re.compile(r"APIToken[= ]([^=:]+![^=:]+)")


class AccessLog:
    """`::ffff:ADDRESS - USER [22/11/2026:04:53:39 +0000] "GET /api2/json/version HTTP/1.1" 200 123` (documentation).

    The size of a body that is streamed is `-`, and so is a user who was refused.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # each line is written at once: who reads the file finds every request that was answered
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, request: BaseRequest, response: StreamResponse, now: float) -> None:
        """Write one line; `now` is the host's wall clock."""
        peer = request.remote or "-"
        address = peer if ":" in peer else f"::ffff:{peer}"
        user = "-" if response.status == 401 else _user(request)
        size = len(response.body) if isinstance(response, Response) and isinstance(response.body, bytes) else "-"
        moment = time.strftime("%d/%m/%Y:%H:%M:%S +0000", time.gmtime(now))
        first = f"{request.method} {request.raw_path} HTTP/1.1".replace('"', "%22")
        self._file.write(f'{address} - {user} [{moment}] "{first}" {response.status} {size}\n')

    def close(self) -> None:
        """End of the server."""
        self._file.close()


def _user(request: BaseRequest) -> str:
    match = _TICKET.search(request.headers.get(hdrs.COOKIE, "")) or _TOKEN.search(
        request.headers.get(hdrs.AUTHORIZATION, "")
    )
    return unquote(match[1]) if match else "-"
