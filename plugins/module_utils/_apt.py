# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's packages: what is pending, what runs, and the change to another major release (facts §18).

Private to this collection. The API tells what is pending and fetches the lists; it has no upgrade.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ._api import Api
from ._errors import ApiError, StateError, TaskError
from ._plan import CREATE, UPDATE, Change, simple_change
from ._releases import major_of
from ._shell import Shell

KERNEL = re.compile(r"(?:proxmox|pve)-kernel-(\d\S*-pve)(?:-signed)?")
SUITES = {"8": "bookworm", "9": "trixie"}
"""The Debian suite that each major release is made for."""

MAIN, DIRECTORY = "/etc/apt/sources.list", "/etc/apt/sources.list.d"
CHECKLISTS = {"9": "pve8to9"}
NOBODY_THERE = "DEBIAN_FRONTEND=noninteractive"
FORCE = ["--force-confdef", "--force-confold"]
"""A configuration file that was changed here stays: nobody is there to be asked."""

LOCK_PATIENCE = 600
"""Seconds for another one's installation, such as that of a run that was killed, to end (apt.conf(5))."""


@dataclass(frozen=True)
class Node:
    """One node's packages. ``pending``: package -> (installed version or None, offered version)."""

    name: str
    version: str
    running_kernel: str
    newest_kernel: str
    pending: Mapping[str, tuple[str | None, str]]

    @property
    def major(self) -> str:
        return str(major_of(self.version))

    @property
    def next_kernel(self) -> str:
        """The newest kernel that is installed or would be by an upgrade."""
        kernels = [match[1] for name in self.pending if (match := KERNEL.fullmatch(name))]
        return max((*kernels, self.newest_kernel), key=_order)

    @property
    def needs_reboot(self) -> bool:
        """Whether another kernel would run after a boot."""
        return _order(self.next_kernel) > _order(self.running_kernel)

    def changes(self) -> Iterator[Change]:
        """An upgrade, package by package."""
        for package, (old, new) in sorted(self.pending.items()):
            before = {"version": old} if old else None
            yield simple_change(
                UPDATE if old else CREATE, "package", f"{package} on {self.name}", {"version": new}, before
            )


def look(api: Api, node: str) -> Node:
    """What the node says of its packages, as of its last look at the repositories."""
    versions = api.client.get(f"/nodes/{node}/apt/versions")
    kernels = [match[1] for each in versions if (match := KERNEL.fullmatch(str(each["Package"])))]
    running = next((str(each["RunningKernel"]) for each in versions if each.get("RunningKernel")), "")
    return Node(
        node,
        str(api.client.get(f"/nodes/{node}/version")["version"]),
        running,
        max(kernels, key=_order, default=""),
        {
            str(each["Package"]): (str(each["OldVersion"]) if each.get("OldVersion") else None, str(each["Version"]))
            for each in api.client.get(f"/nodes/{node}/apt/update")
        },
    )


def refresh(api: Api, node: str, timeout: float) -> None:
    """Let the node ask its repositories (apt-get update): a write, though one that changes nothing of the cluster."""
    api.approve([simple_change(UPDATE, "package lists of", node, {"fresh": True})])
    try:
        api.finish_task(api.client.post(f"/nodes/{node}/apt/update"), timeout)
    except TaskError as error:
        if any("401" in line for line in error.log):
            error.hint = (
                "A repository wants a subscription: disable it, and enable no-subscription, or enter the key"
                " (roles base, node_repositories)."
            )
        raise


def check_release(api: Api, node: Node, release: str) -> None:
    """Refuse a step over a release, back, or beside members that are further behind. Raises StateError."""
    errors = []
    if int(release) != int(node.major) + 1:
        errors.append(f"{node.name} has {node.version}: from there the next release is {int(node.major) + 1}")
    for name in api.nodes:
        if name != node.name and api.online(name):
            version = str(api.client.get(f"/nodes/{name}/version")["version"])
            if major_of(version) < int(release) - 1:
                errors.append(f"{name} has {version}: no two nodes may be more than one release apart")
    errors += [f"{name} is offline" for name in api.nodes if not api.online(name)]
    if release == "9":
        errors += [
            f"{daemon} is of Ceph {version}: Ceph comes first, and has to be 19 (Squid)"
            for daemon, version in _ceph_versions(api)
            if major_of(version) < 19
        ]
    if errors:
        raise StateError("; ".join(errors), where="release")


def _ceph_versions(api: Api) -> Iterator[tuple[str, str]]:
    try:
        found = api.client.get("/cluster/ceph/metadata")
    except ApiError:
        # without Ceph the path answers an error of one kind or another, and a Ceph that fails is found by its health
        return
    for kind in ("mon", "mgr", "osd"):
        rows = found.get(kind) or {}
        for each in rows.values() if isinstance(rows, dict) else rows:
            version = each.get("ceph_version_short")
            if version:
                yield f"{kind}.{each.get('name') or each.get('id')}", str(version)


def checklist(shell: Shell, release: str) -> list[str]:
    """What the node's own checklist for the next release warns of. Raises StateError for what it forbids."""
    command = CHECKLISTS[release]
    done = shell.attempt([command, "--full"])
    found: dict[str, list[str]] = {"WARN": [], "FAIL": []}
    for line in done.text.splitlines():
        kind, _colon, text = line.partition(": ")
        if kind in found:
            found[kind].append(text)
    if found["FAIL"]:
        raise StateError(
            "; ".join(found["FAIL"]), where="release", hint=f"Put that right first ({CHECKLISTS[release]})."
        )
    if done.status and not found["WARN"]:
        raise StateError(f"{CHECKLISTS[release]} ended with {done.status}: {done.complaint.strip()}", where="release")
    return found["WARN"]


def sources(shell: Shell) -> dict[str, str]:
    """The repository files of a node and what is in them."""
    names = [f"{DIRECTORY}/{name}" for name in shell.list(DIRECTORY) if name.endswith((".list", ".sources"))]
    return {path: text for path in (MAIN, *names) if (text := shell.read(path)) is not None}


def for_release(text: str, old: str, new: str) -> str:
    """A repository file with the suites of another release; comments stay as they are."""
    pattern = re.compile(rf"\b{SUITES[old]}(?=[-/\s]|$)")
    return "".join(
        line if line.lstrip().startswith("#") else pattern.sub(SUITES[new], line) for line in text.splitlines(True)
    )


def move_sources(shell: Shell, old: str, new: str) -> None:
    """Let a node's repositories be those of the next release. A file is written only if it changes."""
    for path, text in sources(shell).items():
        moved = for_release(text, old, new)
        if moved != text:
            shell.write(path, moved)


def half_installed(shell: Shell) -> bool:
    """Whether an installation was broken off (dpkg(1), ``--audit``); nothing of that is pending, and apt refuses."""
    return bool(shell.attempt(["dpkg", "--audit"]).text.strip())


def finish_installation(shell: Shell) -> None:
    """Set up what an installation that was broken off has left; apt refuses to do anything until then."""
    shell.run([NOBODY_THERE, "dpkg", *FORCE, "--configure", "-a"])


def upgrade(shell: Shell) -> str:
    """Install what is pending, after what an installation that was broken off has left; what was said."""
    finish_installation(shell)
    options = [f"Dpkg::Options::={option}" for option in FORCE] + [f"DPkg::Lock::Timeout={LOCK_PATIENCE}"]
    words = [word for option in options for word in ("-o", option)]
    return shell.run([NOBODY_THERE, "apt-get", "-y", "--fix-broken", *words, "dist-upgrade"])


def guests_running(api: Api, node: str) -> list[int]:
    """The guests that run on the node, as the node itself says."""
    found: list[int] = []
    for kind in ("qemu", "lxc"):
        rows = api.client.get(f"/nodes/{node}/{kind}")
        found += [int(each["vmid"]) for each in rows if each.get("status") == "running"]
    return sorted(found)


def _order(kernel: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", kernel))
