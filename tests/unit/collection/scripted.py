# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A script of HTTP exchanges: the only calls that a module may make, in their order, with the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

BASE = "/api2/json"


@dataclass(frozen=True)
class Step:
    """One expected call. ``params`` None: not looked at. An ``error`` is raised instead of an answer."""

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    data: Any = None
    status: int = 200
    reason: str = "OK"
    body: Mapping[str, Any] | None = None
    error: Exception | None = None
    host: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None


def get(path: str, data: Any, /, **params: Any) -> Step:
    """A read and what it gives."""
    return Step("GET", path, params, data)


def post(path: str, data: Any = None, /, **params: Any) -> Step:
    return Step("POST", path, params, data)


def put(path: str, data: Any = None, /, **params: Any) -> Step:
    return Step("PUT", path, params, data)


def delete(path: str, data: Any = None, /, **params: Any) -> Step:
    return Step("DELETE", path, params, data)


def refused(
    method: str, path: str, status: int, reason: str, message: str = "", errors: Mapping[str, str] | None = None
) -> Step:
    """An error as the server words it: the first line in the reason, all of it in the body."""
    body = {"data": None, "message": (message or reason) + "\n", **({"errors": errors} if errors else {})}
    return Step(method, path, None, None, status, reason, {} if status == 401 else body)


def broken(method: str, path: str, error: Exception) -> Step:
    """An exchange that breaks."""
    return Step(method, path, error=error)


class Script:
    """Stands where `requests.Session` would. Calls beyond the script fail the test."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.made: list[tuple[str, str]] = []
        self.headers: list[Mapping[str, str]] = []

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        address, path = url.split(BASE, 1)
        params = dict(more.get("params") or more.get("data") or {})
        self.made.append((method, path))
        self.headers.append(more["headers"])
        assert self.steps, f"a call too many: {method} {path} {params}"
        step = self.steps.pop(0)
        assert (method, path) == (step.method, step.path), f"{method} {path} instead of {step.method} {step.path}"
        if step.params is not None:
            assert params == dict(step.params), (method, path)
        if step.host:
            assert step.host in address
        if step.error:
            raise step.error
        answer = requests.Response()
        answer.status_code, answer.reason = step.status, step.reason
        body = {"data": step.data} if step.body is None else step.body
        answer._content = json.dumps(body).encode() if body else b""
        if step.text is not None:
            answer._content = step.text.encode()
        answer._content_consumed = True
        return answer

    def close(self) -> None:
        """Sessions are closed."""

    def finished(self) -> None:
        """Every call of the script must have been made."""
        left: Sequence[Step] = self.steps
        assert not left, f"never asked: {[(step.method, step.path) for step in left]}"
