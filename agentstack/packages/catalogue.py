# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages there are: those of each point of a release, and those that a repository holds now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from agentstack.ha.groups import version_key
from agentstack.stack import RELEASES

MANAGER = "pve-manager"
_KERNEL_IMAGE = re.compile(r"proxmox-kernel-(\d\S*-pve)-signed")
_ORIGINS = {"proxmox": "Proxmox", "debian": "Debian"}
OPTIONAL = "optional"
_BASIC = ("base-files", "bash", "chrony", "libc6", "openssh-server", "openssl", "systemd")
"""What every Debian has from the start."""


@dataclass(frozen=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    section: str
    title: str
    origin: str

    @property
    def arch(self) -> str:
        """`all` for what is only text and scripts."""
        return "all" if self.section in ("doc", "perl", "web", "localization") else "amd64"

    @property
    def kernel(self) -> str | None:
        """The release of the kernel that the package is the image of: `6.17.4-2-pve`."""
        match = _KERNEL_IMAGE.fullmatch(self.name)
        return match[1] if match else None


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((files(__package__) / "catalogue.yml").read_text(encoding="utf-8"))
    return found


def suite_of(release: str) -> str:
    """The Debian suite that a release of Proxmox VE is made for."""
    return str(_read()["suites"][release])


def release_of(suite: str) -> str | None:
    """The release of Proxmox VE that is made for a Debian suite."""
    return next((release for release, name in _read()["suites"].items() if name == suite), None)


def points(release: str) -> list[str]:
    """The versions of a release that there have been, the oldest first."""
    newest = RELEASES["pve"][release]
    return [*(point.version for point in newest.earlier), newest.version]


def packages(release: str, point: int = -1, group: str | None = None) -> Iterator[Package]:
    """The packages at a point of a release (default: the newest), of one group or of all."""
    catalogue = _read()
    for name in (group,) if group else _ORIGINS:
        for package, about in catalogue[name].items():
            if versions := about.get(release):
                version = versions[point if len(versions) > 1 else 0]
                yield Package(package, version, about["section"], about["title"], _ORIGINS.get(name, "Debian"))
    if group in (None, "proxmox"):
        kernel = catalogue["kernels"][release]
        version = kernel["versions"][point]
        yield Package(kernel["meta"], version, "admin", "Latest Proxmox Kernel Image", "Proxmox")
        image = f"proxmox-kernel-{version}-pve-signed"
        yield Package(image, version, "admin", "Proxmox Kernel Image (signed)", "Proxmox")


def at(version: str) -> list[Package]:
    """Everything that a host of that version has installed: `9.2.4`."""
    release = ".".join(version.split(".")[:2])
    return list(packages(release, points(release).index(version)))


def debian() -> list[Package]:
    """What a host that is a plain Debian has installed."""
    return [package for package in packages(next(iter(RELEASES["pve"])), group="debian") if package.name in _BASIC]


def is_newer(version: str, than: str) -> bool:
    """Compare two versions in Debian's order."""
    return version_key(version) > version_key(than)
