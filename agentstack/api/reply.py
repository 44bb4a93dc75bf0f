# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call comes to, and how each product and output format writes it (facts §1.2, §1.3, §20.1)."""

from __future__ import annotations

import html
import http
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstack.api.endpoint import Json
from agentstack.errors import AgentError, ParameterError

JSON_TYPE = "application/json;charset=UTF-8"
TYPES = {"htmljs": "text/html;charset=UTF-8", "spiceconfig": "application/x-virt-viewer;charset=UTF-8"}
"""Content types of the output formats that are not JSON."""


@dataclass
class Reply:
    """An answer before it is written. `message` is the whole text of an error; None makes an empty body."""

    status: int = 200
    reason: str = "OK"
    data: Json = None
    siblings: Mapping[str, Json] = field(default_factory=dict)
    message: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it is an error."""
        return self.status >= http.HTTPStatus.BAD_REQUEST


def refusal(error: AgentError) -> Reply:
    """An error as a reply: the reason is its first line; all but 501 end in a line feed (observed)."""
    lines = error.message.strip().splitlines() or ["unknown error"]
    end = "" if error.status == http.HTTPStatus.NOT_IMPLEMENTED or error.message.endswith("\n") else "\n"
    errors = error.errors if isinstance(error, ParameterError) else {}
    return Reply(error.status, lines[0], message=error.message + end, errors=errors)


def dump(value: Any) -> bytes:
    """A JSON document, compact."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _pve_json(reply: Reply) -> bytes:
    document: dict[str, Any] = {"data": reply.data, **reply.siblings}
    if reply.message is not None:
        document["message"] = reply.message
    if reply.errors:
        document["errors"] = reply.errors
    return dump(document)


def _extjs(reply: Reply) -> bytes:
    document: dict[str, Any] = {"data": reply.data, **reply.siblings, "success": int(not reply.failed)}
    if reply.failed:
        document |= {"status": reply.status, "message": reply.message or reply.reason}
    if reply.errors:
        document["errors"] = reply.errors
    return dump(document)


def _htmljs(reply: Reply) -> bytes:
    """For forms that a browser sends by itself: it has to be able to show the answer."""
    text = html.escape(_extjs(reply).decode(), quote=False)
    return f"<html><body>{text}</body></html>".encode()


def _spiceconfig(reply: Reply) -> bytes:
    """The file that a viewer is started with; an error is its text."""
    if reply.failed:
        return (reply.message or reply.reason).encode()
    data = reply.data if isinstance(reply.data, dict) else {}
    return "".join(["[virt-viewer]\n", *(f"{name}={value}\n" for name, value in data.items())]).encode()


def _pbs_json(reply: Reply) -> bytes:
    """An error is plain text, whatever the content type says (facts §20.1)."""
    if reply.failed:
        return (reply.message or "").strip().encode()
    return dump({"data": reply.data, **reply.siblings})


Writer = Callable[[Reply], bytes]

PVE_WRITERS: Mapping[str, Writer] = {
    "json": _pve_json,
    "extjs": _extjs,
    "htmljs": _htmljs,
    "spiceconfig": _spiceconfig,
}
PBS_WRITERS: Mapping[str, Writer] = {"json": _pbs_json, "extjs": _extjs}
