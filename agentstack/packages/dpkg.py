# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of packages as Debian keeps them: the installed ones in `var/lib/dpkg/status`, offered ones in apt's lists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agentstack.durable import write_durably
from agentstack.packages.catalogue import MANAGER, Package, is_newer

STATUS = "var/lib/dpkg/status"
_FIELDS = ("Package", "Version", "Section", "Description", "Origin")


def parse(text: str) -> list[Package]:
    """The packages of a list."""
    found = []
    for stanza in text.split("\n\n"):
        values = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if "Package" in values and "deinstall" not in values.get("Status", ""):
            found.append(Package(*(values.get(field, "") for field in _FIELDS)))
    return found


def render(packages: Iterable[Package], *, installed: bool) -> str:
    """The list of these packages."""
    stanzas = []
    for package in packages:
        lines = [f"Package: {package.name}"]
        if installed:
            lines.append("Status: install ok installed")
        lines += [
            "Priority: optional",
            f"Section: {package.section}",
            f"Origin: {package.origin}",
            f"Architecture: {package.arch}",
            f"Version: {package.version}",
            f"Description: {package.title}",
        ]
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)


def read(root: Path) -> dict[str, Package]:
    """What is installed on the host with that root, by name; several versions of a kernel have several names."""
    path = root / STATUS
    if not path.exists():
        return {}
    return {package.name: package for package in parse(path.read_text(encoding="utf-8"))}


def write(root: Path, packages: Iterable[Package]) -> None:
    """Put down what is installed."""
    path = root / STATUS
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(packages, key=lambda package: package.name)
    write_durably(path, render(ordered, installed=True).encode(), 0o644)


def newest_kernel(root: Path) -> str | None:
    """The kernel that the host boots: the newest installed one; None where there is no such list."""
    kernels = [package.kernel for package in read(root).values() if package.kernel]
    newest = None
    for kernel in kernels:
        if newest is None or is_newer(kernel, newest):
            newest = kernel
    return newest


def manager_version(root: Path) -> str | None:
    """The installed version of Proxmox VE; None where the host has no such list."""
    package = read(root).get(MANAGER)
    return package.version if package is not None else None
