# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anything that the OpenAPI document allows, and much that it forbids: the agents answer, in the server's words.

A fault of an agent's own shows as aiohttp's `Internal Server Error`, as a connection that ends without an answer, or
as a traceback in its log. A 500 with a text is an answer: that is how the real server says no (facts §1.3).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.errors import InvalidSchema
from schemathesis.generation import GenerationMode

from ..stacks import RunningStack, StackFactory

pytestmark = [
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
    pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning"),
]

NOT_CALLED = re.compile(
    "|".join(
        [
            r"POST /nodes/\{node\}/status",  # ends the host
            r"POST /nodes/\{node\}/services/.*",  # ends its API
            r"(PUT|POST|DELETE) /nodes/\{node\}/network.*",  # takes its address away
            r"POST /cluster/config(/join|/nodes/\{node\})?",  # another cluster, another certificate
            r"DELETE /cluster/config/nodes/\{node\}",
            r"(POST|DELETE) /nodes/\{node\}/certificates/.*",
            r"PUT /access/password",  # root's password and account
            r"(PUT|DELETE) /access/users/\{userid\}",
            r"POST /access/ticket",  # a failure is a 401, and meant
        ]
    )
)
"""What would end the stack rather than a call."""

KNOWN = {
    "node": ["pve1", "localhost"],
    "vmid": ["100", "101"],
    "storage": ["local"],
    "sid": ["vm:100"],
    "userid": ["root@pam"],
    "disk": ["/dev/sdb"],
    "name": ["tank"],
    "snapname": ["s1"],
    "store": ["store1"],
    "iface": ["vmbr0"],
}
"""Names that mean something in the stack: without them no call gets past the first lookup."""

FEW = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Target:
    """A host, its document, and a session as root."""

    base: str
    session: requests.Session
    schema: Any
    log: Path

    def operations(self) -> list[Any]:
        """What may be called."""
        found = [result.ok() for result in self.schema.get_all_operations()]
        return [one for one in found if not NOT_CALLED.fullmatch(f"{one.method.upper()} {one.path}")]

    def tracebacks(self) -> str:
        """What went wrong in the host."""
        text = self.log.read_text(errors="replace")
        return text[text.index("Traceback") - 300 :][:6000] if "Traceback" in text else ""


def _target(stack: RunningStack, host: str) -> Target:
    definition = stack.resolved["hosts"][host]
    port = 8007 if definition["kind"] == "pbs" else 8006
    root = f"https://{definition['address']}:{port}"
    session = requests.Session()
    session.verify, session.trust_env = False, False
    document = session.get(f"{root}/openapi.json", timeout=30).json()
    credentials = {"username": "root@pam", "password": stack.secrets["root_password"]}
    ticket = session.post(f"{root}/api2/json/access/ticket", data=credentials, timeout=30).json()["data"]
    session.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
    session.headers["Cookie"] = f"{'PBSAuthCookie' if port == 8007 else 'PVEAuthCookie'}={ticket['ticket']}"
    log = stack.dir / "hosts" / host / "agent.log"
    return Target(f"{root}/api2/json", session, schemathesis.openapi.from_dict(document), log)


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    guests = {100: {"node": "pve1"}, 101: {"node": "pve1", "type": "ct"}}
    disks = [{"size": "8G"}, {"size": "4G", "count": 3}]
    return stack_factory(
        {"pve1": {"disks": disks}, "old": {"version": "8.4"}, "pbs1": {"kind": "pbs", "disks": disks}},
        # calls may put guests under HA: the watchdog shall not bite because this machine is busy
        scale=2,
        start={"clustered": {"name": "fuzz", "nodes": ["pve1"], "guests": guests}},
    )


@pytest.fixture(scope="module", params=["pve1", "old", "pbs1"])
def target(request: pytest.FixtureRequest, stack: RunningStack) -> Iterator[Target]:
    found = _target(stack, request.param)
    yield found
    found.session.close()


def _meaningful(case: Case, known: Any) -> None:
    """Let a call be about something that is there, most of the time."""
    for name in case.path_parameters or {}:
        if name == "node" or (name in KNOWN and known.draw(st.integers(0, 3))):
            case.path_parameters[name] = known.draw(st.sampled_from(KNOWN[name]))


def _fuzz(target: Target, operation: Any, mode: GenerationMode) -> None:
    @FEW
    @given(operation.as_strategy(generation_mode=mode), st.data())
    def answers(case: Case, known: st.DataObject) -> None:
        _meaningful(case, known)
        response = case.call(base_url=target.base, session=target.session, timeout=60, verify=False)
        said = f"{case.method} {case.path}: {response.status_code} {response.message}"
        assert response.message != "Internal Server Error", f"{said}\n{target.tracebacks()}"
        assert response.status_code != 401, said

    answers()


def _all(target: Target, operations: list[Any], modes: Iterable[GenerationMode]) -> None:
    failed = []
    for operation, mode in itertools.product(operations, modes):
        try:
            _fuzz(target, operation, mode)
        except (Unsatisfiable, InvalidSchema):
            # nothing can be wrong with a call that takes nothing; and not every pattern can be turned round
            continue
        except (AssertionError, requests.RequestException) as error:
            failed.append(f"{operation.method.upper()} {operation.path} ({mode.value}): {error}")
    assert not failed, "\n".join(failed)
    assert not target.tracebacks()


def test_some_methods(target: Target) -> None:
    _all(target, random.Random(1).sample(target.operations(), 12), [GenerationMode.POSITIVE])


@pytest.mark.soak
def test_many_methods(target: Target) -> None:
    _all(target, random.Random(3).sample(target.operations(), 150), [GenerationMode.POSITIVE])


@pytest.mark.soak
def test_what_the_document_forbids(target: Target) -> None:
    _all(target, random.Random(2).sample(target.operations(), 40), [GenerationMode.NEGATIVE])
