# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls handed on to other nodes, and what becomes of those that cannot be (facts §1.4)."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from agentstack import x509
from agentstack.api import proxy
from agentstack.api.proxy import Proxy, ProxyError
from agentstack.api.transport import Listener, redirection
from agentstack.clock import Clock
from agentstack.errors import AgentError

ADDRESS = "127.0.0.1"


class Node:
    """Another node: answers with what it was asked, or not at all."""

    def __init__(self) -> None:
        self.silent = False
        self.seen: list[tuple[str, str, dict[str, str], str]] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if self.silent:
            await asyncio.Event().wait()
        headers = {name: request.headers.get(name, "") for name in ("PVEDisableProxy", "Cookie")}
        self.seen.append((request.method, request.raw_path, headers, (await request.read()).decode()))
        return web.Response(status=500, reason="no such thing", body=b"{}", content_type="application/json")


@pytest.fixture
def pair() -> x509.Pair:
    return x509.make_self_signed("o", "u", "pve2.test", [ADDRESS], time.time())


@pytest.fixture
async def node(pair: x509.Pair, tmp_path: Path) -> AsyncIterator[tuple[Node, Proxy, dict[str, bytes]]]:
    """The node, a proxy to it and what lies in /etc/pve."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pair.key + pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    found = Node()
    server = web.Server(found.answer)  # type: ignore[arg-type]
    listener = Listener(ADDRESS, 0, context, server)
    await listener.start()
    stored = {"nodes/pve2/pve-ssl.pem": pair.certificate}

    host: Any = SimpleNamespace(
        address=ADDRESS,
        clock=Clock(scale=1000),
        cluster=SimpleNamespace(address_of={"pve2": ADDRESS}.get),
        files=SimpleNamespace(exists=stored.__contains__, read=stored.__getitem__),
        network=SimpleNamespace(look_for=_is_there),
    )
    tested = Proxy(host, listener.port)
    await tested.start()
    yield found, tested, stored
    await tested.stop()
    await listener.stop()
    await server.shutdown(0.1)


async def _is_there(address: str) -> None:
    """As on a network without a cut cable."""


async def test_passes_everything_on(node: tuple[Node, Proxy, dict[str, bytes]]) -> None:
    seen = node[0].seen
    given = {"a": "ä b", "list": ["1", "2"], "yes": True}
    answer = await node[1].forward("pve2", "POST", "/api2/json/nodes/pve2/x y", given, {"Cookie": "c"})
    assert (answer.status, answer.reason, answer.body) == (500, "no such thing", b"{}")
    await node[1].forward("pve2", "DELETE", "/api2/json/x", {"a": "1"}, {})
    sent = {"PVEDisableProxy": "true", "Cookie": "c"}
    assert seen[0] == ("POST", "/api2/json/nodes/pve2/x%20y", sent, "a=%C3%A4+b&list=1&list=2&yes=1")
    assert seen[1] == ("DELETE", "/api2/json/x?a=1", {**sent, "Cookie": ""}, "")


async def refusal(tested: Proxy, name: str = "pve2") -> tuple[int, str]:
    with pytest.raises(AgentError) as caught:
        await tested.forward(name, "GET", "/api2/json/version", {}, {})
    return caught.value.status, caught.value.message


async def test_a_certificate_that_is_not_the_nodes(node: tuple[Node, Proxy, dict[str, bytes]]) -> None:
    node[2]["nodes/pve2/pve-ssl.pem"] = x509.make_self_signed("o", "u", "x.test", [ADDRESS], time.time()).certificate
    status, reason = await refusal(node[1])
    assert (status, "certificate verify failed" in reason) == (596, True)
    node[2].clear()
    assert (await refusal(node[1]))[0] == 596


async def test_no_answer_in_time(node: tuple[Node, Proxy, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "GRACE", 0.2)
    node[0].silent = True
    assert await refusal(node[1]) == (596, "Connection timed out")


async def test_nobody_listens(node: tuple[Node, Proxy, dict[str, bytes]]) -> None:
    nobody = Proxy(node[1]._host, 1)
    await nobody.start()
    assert await refusal(nobody) == (595, "Connection refused")
    await nobody.stop()


async def test_unknown_names_are_plain_errors(node: tuple[Node, Proxy, dict[str, bytes]]) -> None:
    with pytest.raises(AgentError) as caught:
        await node[1].forward("nosuch", "GET", "/x", {}, {})
    assert not isinstance(caught.value, ProxyError)
    assert caught.value.message.startswith("hostname lookup 'nosuch' failed - ")


@pytest.mark.parametrize(
    ("head", "status", "location"),
    [
        (b"GET /a?b HTTP/1.1\r\nHost: x:8006\r\n\r\n", "301 Moved Permanently", "https://x:8006/a?b"),
        (b"HEAD / HTTP/1.1\r\n\r\n", "301 Moved Permanently", "https://1.2.3.4:8006/"),
        (b"POST / HTTP/1.0\r\nhost: y\r\n\r\n", "308 Permanent Redirect", "https://y/"),
        (b"\r\n\r\n", "308 Permanent Redirect", "https://1.2.3.4:8006/"),
    ],
)
def test_redirection(head: bytes, status: str, location: str) -> None:
    lines = redirection(head, "1.2.3.4", 8006).decode().split("\r\n")
    assert lines[0] == f"HTTP/1.1 {status}"
    assert f"Location: {location}" in lines
