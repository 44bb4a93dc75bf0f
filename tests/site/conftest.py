# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole site as a user runs it: the command line, an inventory, and agents of the test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATIENCE = 300
"""Seconds for one run of a playbook, ten times what it takes."""

RECAP = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)
VOLATILE = re.compile(
    r"/etc/pve/(priv/lock|authkey\.pub|priv/authkey\.key|\.|nodes/[^/]+/lrm_status|ha/manager_status)|/tasks/active$"
)


REASON = re.compile(r"^(?:\[ERROR\]|fatal:).*?(?=^$|\Z)", re.MULTILINE | re.DOTALL)


def reasons_first(output: str) -> str:
    """What a playbook printed, after what went wrong: reports of failed tests are cut at their end."""
    return "\n".join([*REASON.findall(output), output])


@dataclass(frozen=True)
class Run:
    """How one run of a playbook ended. `hosts`: ok, changed, failed … of each host in the recap."""

    status: int
    output: str

    @property
    def hosts(self) -> dict[str, dict[str, int]]:
        return {
            host: {name: int(number) for name, number in (pair.split("=") for pair in counts.split())}
            for host, counts in RECAP.findall(self.output)
        }

    @property
    def changed(self) -> int:
        return sum(counts["changed"] for counts in self.hosts.values())

    def says(self, *words: str) -> bool:
        """Whether the output has the words in this order, however it is wrapped."""
        text = " ".join(self.output.split())
        return re.search(".*".join(re.escape(word) for word in words), text) is not None


@dataclass
class Lab:
    """A lab of the test's own under `directory`; it is started by the first run, or by `up`."""

    directory: Path
    net: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_", "MAKE"))}
        self.environment = {
            **clean,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "QUORATE_LAB_DIR": str(self.directory),
            "QUORATE_LAB_NET": self.net,
            "ANSIBLE_NOCOLOR": "1",
        }

    def playbook(self, *arguments: str, cwd: Path = ROOT) -> Run:
        """Run ansible-playbook to its end."""
        try:
            done = subprocess.run(
                [BIN / "ansible-playbook", *arguments],
                cwd=cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            # bytes, also of text (Popen.communicate)
            said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout
            pytest.fail(f"not at its end after {PATIENCE} s:\n{said}")
        return Run(done.returncode, reasons_first(done.stdout))

    def site(self, *arguments: str, **variables: Any) -> Run:
        """Run site.yml, with `variables` over those of the inventory."""
        extra = ["--extra-vars", json.dumps(variables)] if variables else []
        return self.playbook("site.yml", *arguments, *extra)

    def agentstack(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "agentstack", *arguments, "--dir", self.directory],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def up(self) -> None:
        net = ["--net", self.net] if self.net else []
        done = self.agentstack("up", "--file", str(ROOT / "inventory/lab/stack.yml"), *net)
        assert done.returncode == 0, done.stderr

    def address(self, node: str) -> str:
        stack = json.loads((self.directory / "stack.json").read_text(encoding="utf-8"))
        return f"127.{stack['net']}.0.{10 + int(node[-1])}"

    @property
    def password(self) -> str:
        return str(yaml.safe_load((self.directory / "secrets.yml").read_text(encoding="utf-8"))["root_password"])

    def api(self, node: str, method: str, path: str, **data: Any) -> Any:
        """One call to a node, without any code of the collection."""
        with requests.Session() as session:
            session.trust_env = False
            session.verify = False
            base = f"https://{self.address(node)}:8006/api2/json"
            login = session.post(
                f"{base}/access/ticket", data={"username": "root@pam", "password": self.password}, timeout=30
            )
            login.raise_for_status()
            ticket = login.json()["data"]
            session.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
            session.cookies.set("PVEAuthCookie", ticket["ticket"])
            answer = session.request(method, f"{base}{path}", data=data or None, timeout=30)
            assert answer.ok, f"{method} {path}: {answer.status_code} {answer.reason} {answer.text}"
            return answer.json()["data"]

    def task(self, node: str, method: str, path: str, **data: Any) -> None:
        """A call that starts a task, and the task's end."""
        upid = self.api(node, method, path, **data)
        deadline = time.monotonic() + 30
        while (status := self.api(node, "GET", f"/nodes/{node}/tasks/{upid}/status"))["status"] == "running":
            assert time.monotonic() < deadline, status
        assert status["exitstatus"] == "OK", status

    def written(self) -> list[str]:
        """What the hosts' own logs say that root has sent, beside reads and logins."""
        logs = [*self.directory.glob("hosts/*/root/var/log/pveproxy/access.log")]
        logs += self.directory.glob("hosts/*/root/var/log/proxmox-backup/api/access.log")
        lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if "root@pam" in line and '"GET ' not in line and "/access/ticket" not in line]

    def files(self) -> dict[str, bytes]:
        """What is written on the hosts: configuration and the logs of tasks, without what changes by itself."""
        found = {}
        for host in sorted(self.directory.glob("hosts/*/root")):
            for part in ("etc", "var/log/pve/tasks"):
                for path in sorted((host / part).rglob("*")):
                    name = str(path.relative_to(self.directory))
                    if path.is_file() and not VOLATILE.search(name):
                        found[name] = path.read_bytes()
        return found


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab that nothing has been done to, not up yet."""
    lab = Lab(tmp_path / "lab")
    yield lab
    if lab.directory.exists():
        lab.agentstack("down")


@pytest.fixture(scope="module")
def module_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for all tests of a file, up, with nothing done to it yet."""
    lab = Lab(tmp_path_factory.mktemp("site") / "lab")
    lab.up()
    yield lab
    lab.agentstack("down")
