# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack upgrade NODE`: bring a running host to another release, as its administrator would.

Over the host's own shell: its repositories are set to the public ones of the release, its packages upgraded, and it is
booted anew for the kernel. All that a host holds stays; a cluster is mixed until its last node is through.
"""

from __future__ import annotations

import asyncio
import posixpath
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh

from agentstack import control, statedir
from agentstack.packages import catalogue, sources
from agentstack.reader import StackError
from agentstack.stack import RELEASES, SSH_PORT, HostSpec, releases

BOOT = 120.0
"""Real seconds in which a host has to be back."""

Say = Callable[[str], None]


def upgrade(state: Path, name: str, release: str, say: Say) -> str:
    """Upgrade a Proxmox VE host to the newest point of a release; returns the version that it runs then.

    Raises StackError if the host is not up, refuses, or does not come back.
    """
    stack = statedir.read_stack(state)
    spec = stack.hosts.get(name)
    if spec is None:
        raise StackError(f"no host '{name}' in this stack (there are {', '.join(stack.hosts)})")
    if spec.kind != "pve":
        raise StackError(f"{name} is not a Proxmox VE host")
    if release not in RELEASES["pve"]:
        raise StackError(f"there is no release '{release}' (there are {', '.join(RELEASES['pve'])})")
    present = _status(state, name)
    if not present["ready"]:
        raise StackError(f"{name} is not up")
    if not catalogue.is_newer(releases("pve")[release].version, str(present["version"])):
        raise StackError(f"{name} has {present['version']}: nothing to upgrade")
    asyncio.run(_over_shell(spec, statedir.root_password(state), release, say))
    _wait_for_boot(state, name, int(present["pid"]))
    return str(_status(state, name)["version"])


def _status(state: Path, name: str) -> dict[str, Any]:
    hosts = control.request(state, {"do": "status"})["hosts"]
    found: dict[str, Any] = next(host for host in hosts if host["name"] == name)
    return found


async def _over_shell(spec: HostSpec, password: str, release: str, say: Say) -> None:
    options = {"username": "root", "password": password, "known_hosts": None, "client_keys": None, "agent_path": None}
    try:
        async with asyncssh.connect(spec.address, SSH_PORT, **options) as connection:
            await _set_repositories(connection, release)
            for command in ("apt-get update", "apt-get -y dist-upgrade"):
                say(f"{spec.name}: {command}")
                done = await connection.run(command)
                if done.exit_status != 0:
                    raise StackError(f"{spec.name}: {command} ended with {done.exit_status}\n{done.stderr!s}")
            say(f"{spec.name}: reboot")
            await connection.run("reboot")
    except asyncssh.PermissionDenied as error:
        raise StackError(f"{spec.name}: root's password is not the one in secrets.yml any more") from error
    except (OSError, asyncssh.Error) as error:
        raise StackError(f"{spec.name}: {error}") from error


async def _set_repositories(connection: asyncssh.SSHClientConnection, release: str) -> None:
    """Replace what stands in /etc/apt: Debian's suite and the public repository of the release."""
    suite = catalogue.suite_of(release)
    files = {file.path: file for file in sources.installed(release, suite)}
    for file in files.values():
        for repository in file.repositories:
            repository.enabled = all("enterprise.proxmox.com" not in uri for uri in repository.uris)
    _, path, public = sources.standard(release, suite)["no-subscription"]
    files.setdefault(path, sources.SourceFile(path, [])).repositories.append(public)
    async with connection.start_sftp_client() as sftp:
        directory = f"/{sources.DIRECTORY}"
        names = [str(name) for name in await sftp.listdir(directory) if str(name) not in (".", "..")]
        old = [*(posixpath.join(directory, name) for name in names), f"/{sources.MAIN}"]
        for place in old:
            if place not in files and await sftp.exists(place):
                await sftp.remove(place)
        for place, file in files.items():
            async with sftp.open(place, "w") as stream:
                await stream.write(file.render())


def _wait_for_boot(state: Path, name: str, pid: int) -> None:
    deadline = time.monotonic() + BOOT
    while True:
        host = _status(state, name)
        if host["ready"] and host["pid"] != pid:
            return
        if time.monotonic() > deadline:
            raise StackError(f"{name} has not come back within {BOOT:.0f} s")
        time.sleep(0.05)
