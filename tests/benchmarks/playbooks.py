# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks run by ansible-playbook against a stack, and what each took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .relay import Relay

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ROOT / "build" / "bench-venv"
REQUIREMENTS = ("ansible==12.*", "proxmoxer", "requests")
"""The release that has the ansible-core of this project, and what community.proxmox needs."""

Task = dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """Of one task: seconds until it had ended, those of them in which it waited for the server's answers, the processor
    seconds of the servers, how often it changed something, and calls to the API where the module counts them."""

    wall: float
    server: float
    processor: float
    changed: int
    calls: int

    @property
    def outside(self) -> float:
        """What was not spent waiting for the server, in seconds: all that the client does, and how it starts."""
        return max(self.wall - self.server, 0.0)

    def __add__(self, other: Cost) -> Cost:
        seconds = (self.wall + other.wall, self.server + other.server, self.processor + other.processor)
        return Cost(*seconds, self.changed + other.changed, self.calls + other.calls)

    def __mul__(self, factor: float) -> Cost:
        seconds = (self.wall * factor, self.server * factor, self.processor * factor)
        return Cost(*seconds, round(self.changed * factor), round(self.calls * factor))


class NotToBeHad(Exception):
    """The other collection cannot be installed; the message says why."""


def others(*, install: bool) -> Path:
    """The ansible-playbook that knows community.proxmox; in an environment of its own, made at the first use.

    Raises NotToBeHad, also if there is none and `install` is not set.
    """
    program = OTHERS / "bin" / "ansible-playbook"
    if [*OTHERS.glob("lib/*/site-packages/ansible_collections/community/proxmox")] and program.exists():
        return program
    if not install:
        raise NotToBeHad(f"{OTHERS.relative_to(ROOT)} is not there; a run without --quick makes it")
    pip = [str(OTHERS / "bin" / "pip"), "install", "--quiet", "--no-compile", *REQUIREMENTS]
    try:
        for command in ([sys.executable, "-m", "venv", str(OTHERS)], pip):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise NotToBeHad(f"{' '.join(REQUIREMENTS)}: {(error.stderr.strip() or 'no reason given')[-200:]}") from error
    return program


class Playbooks:
    """Runs plays on this machine; `pids`: the processes of the servers; `relay`: what lies between."""

    def __init__(self, pids: list[int], relay: Relay, variables: dict[str, Any]) -> None:
        self.pids = pids
        self.relay = relay
        self.variables = variables

    def __call__(self, program: Path, task: Task) -> Cost:
        """Run one task. Raises RuntimeError with the play's output if it fails."""
        with tempfile.TemporaryDirectory(prefix="bench-play-") as folder:
            durations, play, variables = (Path(folder) / name for name in ("durations", "play.yml", "variables.yml"))
            local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
            head = {"hosts": "localhost", "gather_facts": False, "vars_files": [str(variables)], "vars": local}
            play.write_text(json.dumps([{**head, "tasks": [task]}]))
            variables.touch(0o600)
            variables.write_text(yaml.safe_dump(self.variables))
            done = subprocess.run(
                [str(program), "-i", "localhost,", str(play)],
                env={
                    **_environment(),
                    "BENCH_DURATIONS": str(durations),
                    "BENCH_PIDS": " ".join(map(str, self.pids)),
                    "BENCH_RELAY": self.relay.place,
                },
                cwd=ROOT,
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode or not durations.exists():
                raise RuntimeError(
                    f"{program} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
                )
            return Cost(**json.loads(durations.read_text()))


def _environment() -> dict[str, str]:
    """That of this process, without certificates and proxies that are for other servers."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith(("_proxy", "_ca_bundle"))}
    return {
        **kept,
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "durations",
    }
