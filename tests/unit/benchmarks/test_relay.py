# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of the benchmarks: how long a client waits for a server."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from ...benchmarks.relay import Relay, covered
from ...stacks import free_net


def test_time_that_is_covered_twice_counts_once() -> None:
    assert covered([(5, 6), (0, 3), (1, 2), (2.5, 4)]) == [(0, 4), (5, 6)]
    assert covered([]) == []


def test_what_a_server_takes_is_seen_and_what_the_client_takes_is_not(tmp_path: Path) -> None:
    net = free_net()
    there, here = f"127.{net}.0.1", f"127.{net}.250.1"
    asked, answer = threading.Event(), threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(4) == b"ping"
            asked.set()
            answer.wait(60)
            connection.sendall(b"pong")
            connection.recv(1)

    with socket.create_server((there, 8006)) as listening, Relay(here, 8006, there, str(tmp_path / "relay")) as relay:
        server = threading.Thread(target=serve)
        server.start()
        with socket.create_connection((here, 8006)) as client:
            assert relay.waited() == 0
            begun = time.monotonic()
            client.sendall(b"ping")
            assert asked.wait(60)
            held = time.monotonic()
            answer.set()
            released = time.monotonic()
            assert client.recv(4) == b"pong"
            ended = time.monotonic()
            waited = relay.waited()
            assert 0 < waited <= ended - begun
            assert waited >= released - held
            # nothing is asked any more
            assert relay.waited() == waited
        server.join(60)
