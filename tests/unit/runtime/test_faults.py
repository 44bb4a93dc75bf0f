# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of `agentstack fault`, the desk that keeps faults, and the live view."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentstack import stackfile
from agentstack.commands.watch import watch
from agentstack.faults import desk
from agentstack.faults.desk import FaultDesk
from agentstack.faults.kinds import KINDS, Fault, parse
from agentstack.network import packet_filter
from agentstack.reader import StackError
from agentstack.statedir import host_status

STACK = stackfile.loads("networks: {mgmt: {}, ring0: {}}\nhosts: {pve1: {}, pve2: {networks: [mgmt]}}", net=77)


@pytest.mark.parametrize(
    ("kind", "words", "target", "settings"),
    [
        ("link", "pve1 ring0 cut", ("pve1", "ring0"), {"cut": True}),
        ("link", "pve1 ring0 restore", ("pve1", "ring0"), None),
        ("network", "ring0 latency=2ms jitter=1us loss=5% mtu=1400", ("ring0",), None),
        ("host", "pve1 cut", ("pve1",), {"cut": True}),
        ("partition", "pve1,pve2 pve3", (), {"sets": [["pve1", "pve2"], ["pve3"]]}),
        ("partition", "pve1 pve3 network=ring0", (), {"sets": [["pve1"], ["pve3"]], "network": "ring0"}),
        ("clock", "pve1 -1.5s", ("pve1",), {"offset": -1.5}),
        ("clock", "pve1 offset=+2min", ("pve1",), {"offset": 120.0}),
    ],
)
def test_words_become_a_fault(kind: str, words: str, target: tuple[str, ...], settings: dict[str, Any] | None) -> None:
    if "latency" in words:
        settings = {"latency": 0.002, "jitter": 1e-06, "loss": 0.05, "mtu": 1400}
    assert parse(kind, words.split()) == (target, settings)


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("nothing", "x", "no fault 'nothing' (there are link"),
        ("link", "pve1", "usage: agentstack fault link HOST NETWORK cut|restore"),
        ("link", "pve1 ring0 break", "'break' is not understood"),
        ("network", "ring0 loss=200%", "loss: '200%' is not a share"),
        ("network", "ring0 mtu=20", "mtu: '20' is not a packet size"),
        ("clock", "pve1 soon", "offset: 'soon' is not a duration"),
    ],
)
def test_other_words_are_refused(kind: str, words: str, message: str) -> None:
    with pytest.raises(StackError) as refused:
        parse(kind, words.split())
    assert message in str(refused.value)


def test_every_kind_tells_its_usage() -> None:
    for name, kind in KINDS.items():
        assert kind.help.endswith("."), name
        assert kind.usage(), name


def ask(there: FaultDesk, **request: Any) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    there.answer(request, answers.append)
    assert len(answers) == 1
    return answers[0]


def test_clocks_are_advanced_for_good(tmp_path: Path) -> None:
    there = FaultDesk(STACK, tmp_path, lambda version: [])
    assert desk.advanced(tmp_path) == 0
    assert ask(there, do="advance clock", seconds=3600)["advanced"] == 3600
    assert ask(there, do="advance clock", seconds=0.5)["advanced"] == 3600.5
    assert "by more than 0 seconds, not by -5" in ask(there, do="advance clock", seconds=-5)["error"]
    ask(there, do="clear faults", kind=None)
    assert ask(FaultDesk(STACK, tmp_path, lambda version: []), do="faults")["advanced"] == 3600.5


def test_settings_add_up_until_they_are_restored(tmp_path: Path) -> None:
    there = FaultDesk(STACK, tmp_path, lambda version: [])
    fault = {"do": "fault", "kind": "network", "target": ["ring0"]}
    assert ask(there, **fault, settings={"latency": 0.002})["faults"][0]["settings"] == {"latency": 0.002}
    ask(there, **fault, settings={"loss": 0.5})
    assert ask(there, **fault, settings={"latency": 0})["faults"][0]["settings"] == {"loss": 0.5}
    assert desk.read(tmp_path) == (3, [Fault("network", ("ring0",), {"loss": 0.5})])
    ask(there, do="fault", kind="host", target=["pve1"], settings={"cut": True})
    assert [fault["kind"] for fault in ask(there, do="clear faults", kind="network")["faults"]] == ["host"]
    assert ask(there, do="clear faults", kind=None)["faults"] == []
    assert "no cable" in ask(there, do="fault", kind="link", target=["pve2", "ring0"], settings={"cut": True})["error"]
    assert "no host 'x'" in ask(there, do="fault", kind="partition", target=[], settings={"sets": [["x"]]})["error"]


def test_the_answer_waits_for_all_who_have_to_know(tmp_path: Path) -> None:
    there = FaultDesk(STACK, tmp_path, lambda version: ["pve1", "pve2"])
    answers: list[dict[str, Any]] = []
    request = {"do": "fault", "kind": "host", "target": ["pve1"], "settings": {"cut": True}}
    there.answer(request, answers.append)
    there.taken("pve1", 1)
    assert (answers, len(there.deadlines())) == ([], 1)
    there.gone("pve2")
    assert (len(answers), there.deadlines()) == (1, [])


def test_a_filtered_socket_is_as_a_cut_cable() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = server.getsockname()
        client = socket.create_connection(address, source_address=("127.0.0.1", 0))
        served, _ = server.accept()
        with client, served:
            packet_filter.attach(served, packet_filter.by_source(packet_filter.not_from(["127.0.0.1"]), other=True))
            client.sendall(b"late")
            served.settimeout(0.05)
            with pytest.raises(TimeoutError):
                served.recv(4)
            packet_filter.attach(served, None)
            packet_filter.attach(served, None)
            served.settimeout(20)
            assert served.recv(4) == b"late"
        packet_filter.attach(server, packet_filter.only_from(["127.0.0.2"]))
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.05, source_address=("127.0.0.1", 0))
        with socket.create_connection(address, timeout=20, source_address=("127.0.0.2", 0)):
            pass
        assert server.fileno() in [found.fileno() for found in packet_filter.tcp_sockets()]


def test_the_live_view_ends_with_the_stack() -> None:
    hosts = [{**host_status(spec), "ready": True} for spec in STACK.hosts.values()]
    hosts[0]["power"] = "on"
    hosts[0]["guests"] = {"running": 2, "stopped": 1}
    up = {"stack": "s", "net": 77, "scale": 1, "state_dir": "/d", "up": True, "pid": 1, "hosts": hosts, "faults": []}
    cut = Fault("link", ("pve1", "ring0"), {"cut": True}).describe()
    answers = iter([up, {**up, "up": False, "pid": None, "faults": [json.loads(json.dumps(cut))]}])
    screen = io.StringIO()
    watch(lambda: next(answers), Console(file=screen, width=120, force_terminal=True, color_system=None))
    shown = screen.getvalue()
    assert "2 of 3" in shown
    assert "broken: link pve1 ring0 cut" in shown
