# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a request: where it goes, with which parameters and credentials (facts §1.1)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import BodyPartReader, hdrs
from aiohttp.web import BaseRequest

from agentstack.api.dialect import Dialect
from agentstack.errors import AgentError

VERBS = ("GET", "POST", "PUT", "DELETE")
LARGEST_BODY = 512 * 1024
MOST_HEADERS = 64
LARGEST_HEAD = 8 * 1024
"""Bytes of all header lines together (facts §1.1)."""

DEEPEST = 512
"""Objects and arrays of a JSON body inside each other, the parser's own limit there."""

_FORM, _JSON, _MULTIPART = "application/x-www-form-urlencoded", "application/json", "multipart/form-data"


@dataclass(frozen=True)
class Target:
    """What a request is for: `path` is decoded and without doubled slashes, `form` the output format."""

    form: str
    path: str


@dataclass(frozen=True)
class Credentials:
    """What a client shows; at most one of ticket and token counts, the ticket before the token."""

    ticket: str | None
    token: str | None
    csrf: str


def unsupported(text: str, status: int = 501) -> AgentError:
    """A request that the HTTP layer itself refuses."""
    return AgentError(text, status=status)


def is_api(request: BaseRequest) -> bool:
    """Whether a request is for the API and not for a page."""
    return request.raw_path.partition("?")[0].lstrip("/").split("/")[0] == "api2"


def target(request: BaseRequest, dialect: Dialect) -> Target:
    """Where a request goes; raises 501 for what is outside of the tree."""
    path = unquote(request.raw_path.partition("?")[0])
    words = [word for word in path.split("/") if word]
    if len(words) < 2 or words[0] != "api2":
        raise unsupported("no such uri")
    if words[1] not in dialect.writers:
        raise unsupported(f"no formatter for uri {path}")
    return Target(words[1], "/" + "/".join(words[2:]))


def credentials(request: BaseRequest, dialect: Dialect) -> Credentials:
    """Ticket or token, and the CSRF token. Half a ticket (second factor missing) is none (facts §3.2)."""
    ticket: str | None = None
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(request.headers.get(hdrs.COOKIE, ""))
    except CookieError:
        cookies.clear()
    for name in dialect.cookies:
        if name in cookies:
            ticket = unquote(cookies[name].value)
            break
    authorization = request.headers.get(hdrs.AUTHORIZATION, "")
    for name in dialect.cookies:
        if ticket is None and authorization.startswith(f"{name}="):
            ticket = unquote(authorization.removeprefix(f"{name}="))
    token: str | None = None
    if authorization.startswith((f"{dialect.token_scheme}=", f"{dialect.token_scheme} ")):
        token = authorization[len(dialect.token_scheme) + 1 :].strip()
    if ticket is not None and ticket.startswith(dialect.half_ticket):
        ticket = None
    return Credentials(ticket or None, token, request.headers.get("CSRFPreventionToken", ""))


async def parameters(request: BaseRequest, spool: Path | None = None) -> dict[str, Any]:
    """Query and body parameters by name; a repeated key gives a list. The query wins over the body.

    `spool`: where the file of an upload is put aside; without it no file is taken.
    """
    _check_head(request)
    found = await _body(request, spool)
    found |= _collect(parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True))
    found.pop("_dc", None)
    return found


def _check_head(request: BaseRequest) -> None:
    if len(request.headers) > MOST_HEADERS:
        raise unsupported("too many http header lines")
    # each line has a colon, a blank and its end besides
    if sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > LARGEST_HEAD:
        raise unsupported("http header too large")


async def _body(request: BaseRequest, spool: Path | None) -> dict[str, Any]:
    if "chunked" in request.headers.get(hdrs.TRANSFER_ENCODING, "").lower():
        raise unsupported("chunked transfer encoding not supported")
    length = request.content_length or 0
    if not length:
        return {}
    if request.method in ("GET", "DELETE"):
        raise unsupported(f"Unexpected content for method '{request.method}'")
    kind = request.headers.get(hdrs.CONTENT_TYPE, _FORM).partition(";")[0].strip().lower()
    if kind == _MULTIPART and spool is not None:
        return await _upload(request, spool)
    if length > LARGEST_BODY:
        raise unsupported("for data too large")
    if kind not in (_FORM, _JSON):
        raise unsupported(f"unexpected content type '{kind}'", status=506)
    text = (await request.read()).decode(errors="replace")
    if kind == _FORM:
        return _collect(parse_qsl(text, keep_blank_values=True))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise unsupported("malformed JSON string") from None
    if not isinstance(document, dict):
        raise unsupported("malformed JSON string: not an object")
    if _depth(document) > DEEPEST:
        raise unsupported("json text or perl structure exceeds maximum nesting level")
    return document


def _depth(document: Any) -> int:
    """How many objects and arrays lie inside each other; no recursion, whose limit a caller could reach."""
    depth, level = 0, [document]
    while level := [found for found in level if isinstance(found, (dict, list))]:
        depth += 1
        level = [inner for found in level for inner in (found.values() if isinstance(found, dict) else found)]
    return depth


async def _upload(request: BaseRequest, spool: Path) -> dict[str, Any]:
    """The fields of a form with a file; its content goes into a file of its own, however long it is."""
    found: dict[str, Any] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise unsupported("unable to parse the upload's parts", status=400)
        if part.filename is None:
            found[str(part.name)] = await part.text()
            continue
        path = spool / f"pveupload-{secrets.token_hex(16)}"
        with path.open("wb") as stream:
            while piece := await part.read_chunk(1 << 20):
                stream.write(piece)
        found |= {"filename": part.filename, "tmpfilename": f"/var/tmp/{path.name}"}
    return found


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
