# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server and a mail server that keep what they are sent, on free ports of 127.0.0.1.

As a program, `python -m tests.receiver DIRECTORY`, it writes DIRECTORY/ports.json (`web`, `mail`) and a line of JSON
for each thing received to DIRECTORY/received, and ends with the directory.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOOK_AFTER = 0.5


@dataclass(frozen=True)
class Post:
    """What came by HTTP."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """What came, in the order in which it did."""

    web_port: int = 0
    mail_port: int = 0
    posts: list[Post] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"


@contextmanager
def receiving(told: Callable[[Post | str], None] = lambda _: None) -> Iterator[Receiver]:
    """Take in what comes, and tell of each; paths that begin with /broken are answered 503."""
    found = Receiver()

    class Web(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            found.posts.append(Post(self.path, dict(self.headers), body))
            told(found.posts[-1])
            self.send_response(503 if self.path.startswith("/broken") else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be silent."""

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            lines: list[str] = []
            taking = False
            for raw in self.rfile:
                line = raw.decode().rstrip("\r\n")
                if taking and line != ".":
                    lines.append(line)
                    continue
                if taking:
                    found.mails.append("\n".join(lines))
                    told(found.mails[-1])
                    lines = []
                taking = line.upper() == "DATA"
                if line.upper() == "QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                self.wfile.write(b"354 go on\r\n" if taking else b"250 fine\r\n")

    class MailServer(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as web, MailServer(("127.0.0.1", 0), Mail) as mail:
        found.web_port, found.mail_port = web.server_address[1], mail.server_address[1]
        for server in (web, mail):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        web.shutdown()
        mail.shutdown()


def main(directory: Path) -> None:
    lock = threading.Lock()

    def write(what: Post | str) -> None:
        line = json.dumps({"mail": what} if isinstance(what, str) else asdict(what))
        with lock, (directory / "received").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    with receiving(write) as found:
        (directory / "received").touch()
        ports = directory / "ports.new"
        ports.write_text(json.dumps({"web": found.web_port, "mail": found.mail_port}))
        ports.rename(directory / "ports.json")
        ended = threading.Event()
        while directory.exists():
            ended.wait(LOOK_AFTER)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
