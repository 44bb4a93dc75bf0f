# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the wire: long answers compressed, and one connection for all calls of a task."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ansible_collections.quorate.pve.plugins.module_utils._http import Serializer, open_session

ANSWER = json.dumps({"data": [{"userid": f"user{number}@pve"} for number in range(500)]}).encode()


def test_answers_are_compressed_and_the_connection_is_kept() -> None:
    asked: list[tuple[int, str]] = []

    class Web(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append((self.client_address[1], self.headers["Accept-Encoding"] or ""))
            body = gzip.compress(ANSWER)
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = open_session(None)
        found = [session.request("GET", f"http://127.0.0.1:{server.server_port}/users") for _ in range(3)]
        session.close()
        server.shutdown()
    assert all(Serializer().loads(answer)[499] == {"userid": "user499@pve"} for answer in found)
    assert all("gzip" in accepted for _, accepted in asked)
    assert len({port for port, _ in asked}) == 1
