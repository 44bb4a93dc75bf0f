# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules against scripts of HTTP exchanges, without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils import _client, _http, _wait
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome
from ansible_collections.quorate.pve.plugins.module_utils._tickets import TicketStore

from .scripted import Script, Step

MODULES = "ansible_collections.quorate.pve.plugins.modules"
TOKEN = {"api_hosts": ["192.0.2.11"], "api_token_id": "root@pam!t", "api_token_secret": "0000-secret"}


class FakeClock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.01)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(_wait.CLOCK, "sleep", fake.sleep, raising=False)
    monkeypatch.setattr(_wait.CLOCK, "monotonic", fake.monotonic, raising=False)
    return fake


@pytest.fixture(autouse=True)
def no_tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test logs in anew, whatever ran in this process before it; what a test sets is undone."""
    monkeypatch.setattr(_client, "ticket_store", TicketStore())


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Script]]:
    """`script(steps…)`: the calls that may be made from here on."""
    scripts: list[Script] = []

    def write(*steps: Step) -> Script:
        made = Script(*steps)
        scripts.append(made)
        monkeypatch.setattr(_http, "open_session", lambda context: made)
        return made

    yield write
    for made in scripts:
        made.finished()


@pytest.fixture
def run(script: Callable[..., Script]) -> Callable[..., dict[str, Any]]:
    """`run("storages", [steps…], check=False, **parameters)`: what the module returns."""

    def call(name: str, steps: list[Step], /, check: bool = False, **parameters: Any) -> dict[str, Any]:
        module = import_module(f"{MODULES}.{name}")
        arguments = {**({} if "api_password" in parameters else TOKEN), **parameters}
        arguments.setdefault("api_hosts", ["192.0.2.11"])
        checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(arguments)
        assert not checked.error_messages, checked.error_messages
        script(*steps)
        return outcome(module.run, checked.validated_parameters, check, diff=True)

    return call


@pytest.fixture
def client(script: Callable[..., Script]) -> Callable[..., _client.Client]:
    """A client with a token, or with what is given."""

    def connect(**parameters: Any) -> _client.Client:
        given: dict[str, Any] = {"hosts": ("192.0.2.11",), **parameters}
        if "password" not in given:
            given |= {"token_id": "root@pam!t", "token_secret": "s"}
        return _client.Client(_client.Connection(**given))

    return connect
