# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power button, and the ways to ask for a guest."""

from __future__ import annotations

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError, StateError
from ansible_collections.quorate.pve.plugins.module_utils._power import CommandError, fill, run
from ansible_collections.quorate.pve.plugins.module_utils._probe import Felt, Probe

from agentstack import x509


def button(tmp_path: Path, **more: Any) -> dict[str, Any]:
    state = tmp_path / "power"
    if not state.exists():
        state.write_text("on\n")

    def write(text: str) -> list[str]:
        return ["sh", "-c", f"echo {text} > {state}"]

    return {"node": "pve1", "on": write("on"), "off": write("off"), "status": ["cat", str(state)], **more}


def press(action: str, element: dict[str, Any], *, confirm: bool = True, check: bool = False) -> dict[str, Any]:
    return run({"action": action, "nodes": [element], "confirm": confirm, "timeout": 10}, check)


def test_off_is_confirmed_and_pressed_once(tmp_path: Path) -> None:
    element = button(tmp_path)
    with pytest.raises(StateError, match="pve1 away at once"):
        press("off", element, confirm=False)
    assert press("off", element, check=True) == {
        "changed": True,
        "power": {"pve1": "on"},
        "pressed": ["pve1"],
        "calls": 0,
    }
    assert press("status", element)["power"] == {"pve1": "on"}
    assert press("off", element)["power"] == {"pve1": "off"}
    assert not press("off", element, confirm=False)["changed"]
    assert press("on", element)["power"] == {"pve1": "on"}
    assert press("cycle", element)["pressed"] == ["pve1"]


def test_the_password_is_not_in_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "ipmitool"
    tool.write_text(f'#!/bin/sh\necho "$@ $IPMI_PASSWORD" >> {tmp_path}/said\necho "Chassis Power is on"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    ipmi = {"host": "192.0.2.1", "user": "u", "password": "geheim", "interface": "lanplus"}
    assert press("status", {"node": "pve1", "ipmi": ipmi})["power"] == {"pve1": "on"}
    said = (tmp_path / "said").read_text()
    assert said == "-I lanplus -H 192.0.2.1 -U u -E chassis power status geheim\n"


def test_what_cannot_be_pressed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no way to the power button of pve1"):
        press("on", {"node": "pve1"})
    with pytest.raises(CommandError, match="no command nonesuch"):
        press("off", {"node": "pve1", "off": ["nonesuch"]})
    with pytest.raises(CommandError, match="ended with status 3: no"):
        press("off", {"node": "pve1", "off": ["sh", "-c", "echo no >&2; exit 3"]})
    with pytest.raises(CommandError, match="neither on nor off"):
        press("off", button(tmp_path, status=["echo", "perhaps"]))


def test_names_in_commands() -> None:
    assert fill(["a", "{node}", "{other}"], {"node": "pve1"}) == ["a", "pve1", "{other}"]


def test_all_ways_must_say_yes(tmp_path: Path) -> None:
    record = tmp_path / "101"
    record.touch()
    probe = Probe.of({"vmid": 101, "record": str(tmp_path / "{vmid}"), "command": ["test", "101", "=", "{vmid}"]})
    assert probe.ask(1, 60) == {"record": True, "command": True}
    assert not Felt(101, probe.ask(1, -1)).alive
    assert Felt(101, {"api": False, "ping": True}).alive
    assert not Felt(101, {"api": False}).alive
    assert Probe.of({"vmid": 1, "url": "http://127.0.0.1:1/", "command": ["false"]}).ask(1, 1) == {
        "url": False,
        "command": False,
    }


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/broken" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _says(url: str) -> bool:
    return Probe.of({"vmid": 1, "url": url}).ask(60, 1)["url"]


def test_whoever_answers_is_there(tmp_path: Path) -> None:
    """Its certificate may be its own; a server's error is that of what stands before it."""
    pair = x509.make_self_signed("Example", "Test", "guest.example.org", [], time.time())
    (tmp_path / "crt").write_bytes(pair.certificate)
    (tmp_path / "key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    for scheme in ("http", "https"):
        with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
            if scheme == "https":
                server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
            try:
                assert _says(f"{url}/page")
                assert _says(f"{url}/broken") is (scheme == "https")
            finally:
                server.shutdown()
                thread.join()
        assert not _says(url)
