# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories of stacks that a test has made itself, and runs of the site's playbook on them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from ..stacks import RunningStack, descendants, wait_until
from .conftest import BIN, PATIENCE, ROOT, Lab, Run, reasons_first

LOCKED = "pool:quorate-run"
"""A line of user.cfg while a run holds its lock."""


class Site:
    """All nodes of a stack as one cluster `test`. `sites`: where hosts stand; `variables`: of the cluster's group."""

    def __init__(
        self, stack: RunningStack, directory: Path, variables: dict[str, Any], sites: dict[str, str] | None = None
    ) -> None:
        self.stack = stack
        self.lab = Lab(directory / "lab")
        self.directory = directory
        resolved, secrets = stack.resolved, stack.secrets
        self.hosts: dict[str, dict[str, Any]] = {
            name: {
                "pve_address": host["address"],
                "pve_fingerprint": secrets["hosts"][name]["fingerprint"],
                "pve_ssh_host_key": secrets["hosts"][name]["ssh_host_key"],
                **({"pve_site": sites[name]} if sites else {}),
            }
            for name, host in resolved["hosts"].items()
            if host["kind"] == "pve"
        }
        self.network = resolved["networks"]["mgmt"]["cidr"]
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            **{"pve_api_user": "root@pam", "pve_api_password": secrets["root_password"], "pve_ssh_port": 2222},
            **{"pve_cluster_name": "test", "pve_cluster_group": "test"},
            "pve_trust_file": str(directory / "trust.json"),
            "pve_links": [{"number": 0, "network": self.network}],
            **variables,
        }

    def write(self, **more: Any) -> Path:
        """The inventory, with `more` instead of its own variables."""
        inventory = {"pve": {"children": {"test": {"hosts": self.hosts, "vars": {**self.variables, **more}}}}}
        file = self.directory / "hosts.yml"
        file.write_text(yaml.safe_dump(inventory, sort_keys=False))
        return file

    def run(
        self, *tags: str, playbook: str | Path = "site.yml", said: dict[str, Any] | None = None, **more: Any
    ) -> Run:
        """One run of a playbook (those tasks with the tags) with `more` instead of the inventory's variables, and with
        what is `said` on the command line."""
        file = self.write(**more)
        words = ["--tags", ",".join(tags)] if tags else []
        words += ["--extra-vars", json.dumps(said)] if said else []
        return self.lab.playbook("-i", str(file), str(playbook), *words)

    def foretell(self, playbook: str | Path, **more: Any) -> Run:
        """A run with ``--check``, which has to end well and must write nothing: not by the API, not into a file of a
        host, nor into its own records."""
        # that the run before has let go of its lock is known to every host a moment later
        before = wait_until(lambda: None if LOCKED in str(written := self._written()) else written, 60)
        run = self.lab.playbook("-i", str(self.write(**more)), str(playbook), "--check")
        assert run.status == 0, run.output
        after = self._written()
        differ = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        assert differ == [], {name: (before.get(name), after.get(name)) for name in differ}
        return run

    def _written(self) -> dict[str, str]:
        """What is written by hand, by the name of its file, and what was asked of the API."""
        hosts = Lab(self.stack.dir)
        files = {name: content for name, content in hosts.files().items() if "/root/etc/" in name}
        notes = sorted((self.directory / "records").rglob("*.json"))
        return {
            "calls": "\n".join(hosts.written()),
            **{name: content.decode(errors="replace") for name, content in files.items()},
            **{str(note): note.read_text(encoding="utf-8") for note in notes},
        }

    @contextmanager
    def running(self, playbook: str | Path, **more: Any) -> Iterator[subprocess.Popen[str]]:
        """A run that goes on meanwhile; what is left of it at the end is killed, with all that it has started."""
        command = [BIN / "ansible-playbook", "-i", self.write(**more), playbook]
        output = self.directory / "running.log"
        with (
            output.open("w") as log,
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.lab.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            ) as run,
        ):
            try:
                yield run
            finally:
                # workers have sessions of their own
                for pid in descendants(run.pid) if run.poll() is None else ():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def end_of(self, run: subprocess.Popen[str]) -> Run:
        """Wait until such a run ends by itself."""
        status = run.wait(PATIENCE)
        return Run(status, reasons_first((self.directory / "running.log").read_text()))


def recognised(stack: RunningStack, host: str) -> dict[str, Any]:
    """What an administrator reads off a new machine's console."""
    certificate = ssl.get_server_certificate((stack.resolved["hosts"][host]["address"], 8006))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest().upper()
    key = (stack.dir / "hosts" / host / "root/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    return {
        "pve_fingerprint": ":".join(digest[at : at + 2] for at in range(0, 64, 2)),
        "pve_ssh_host_key": " ".join(key.split()[:2]),
    }
