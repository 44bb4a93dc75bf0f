# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages and updates of a host: what is installed, what its repositories were seen to offer, and the upgrade to it.

Only the public repositories can be reached from a stack: those for customers answer 401 to a host without an active
subscription, others have no address. A new version of Proxmox VE runs as soon as it is installed, a new kernel after
the next boot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentstack.durable import write_durably
from agentstack.errors import AgentError
from agentstack.packages import catalogue, dpkg, sources
from agentstack.packages.catalogue import Package
from agentstack.stack import RELEASES

if TYPE_CHECKING:
    from agentstack.host import Host

LISTS = "var/lib/apt/lists"
UNFINISHED = "var/lib/dpkg/updates/0000"
"""dpkg's own note of what it is at; a file is left there by one that was broken off."""

FETCH_TIME = 2.0
INSTALL_TIME = 0.5
"""Stack seconds for all lists, and for each package."""

UNKNOWN_VERSION = "1.0-1"
"""Of a package that a stack file names and no repository has."""

TEXTS = {
    "update": "command 'apt-get update' failed: exit code 100",
    "unauthorized": "Failed to fetch {uri}/dists/{suite}/InRelease  401  Unauthorized",
    "unsigned": "The repository '{uri} {suite} InRelease' is not signed.",
    "unknown": "Failed to fetch {uri}/dists/{suite}/InRelease  Could not resolve '{host}'",
    "interrupted": "dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
    "no_package": "Unable to locate package {name}",
}

_DEBIAN = ("deb.debian.org", "security.debian.org", "ftp.debian.org")

Log = Callable[[str], None]


@dataclass(frozen=True)
class Upgrade:
    """A package that is offered, and the installed version of it (None: it would be new)."""

    package: Package
    old: str | None


class Packages:
    """The packages of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def start(self) -> None:
        """What is installed is known from the first installation on."""
        if not dpkg.read(self.host.root):
            pve = self.host.kind == "pve"
            dpkg.write(self.host.root, catalogue.at(self.host.version) if pve else catalogue.debian())
            for name in self.host.spec.packages:
                self.add(name)

    async def stop(self) -> None:
        """Nothing runs."""

    # ---- what is installed ------------------------------------------------------------------------------------------

    def all(self) -> dict[str, Package]:
        """What is installed, by name."""
        return dpkg.read(self.host.root)

    def has(self, name: str) -> bool:
        """Whether a package is installed."""
        return name in self.all()

    def add(self, name: str) -> None:
        """Note that a package is installed."""
        package = self.offered().get(name) or Package(name, UNKNOWN_VERSION, "admin", name, "Debian")
        dpkg.write(self.host.root, [*(self.all() | {name: package}).values()])

    def remove(self, name: str) -> None:
        """Note that a package is gone."""
        dpkg.write(self.host.root, [package for package in self.all().values() if package.name != name])

    # ---- what is offered --------------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[tuple[str, str, list[str]]]:
        """Every (URI, suite, components) that is asked."""
        if self.host.kind != "pve":
            yield "http://deb.debian.org/debian", catalogue.suite_of(next(iter(RELEASES["pve"]))), ["main"]
            return
        for file in sources.read(self.host.root):
            for repository in file.repositories:
                if repository.enabled and "deb" in repository.types:
                    for uri in repository.uris:
                        for suite in repository.suites:
                            yield uri.rstrip("/"), suite, repository.components

    def _list_of(self, uri: str, suite: str, component: str) -> str:
        place = re.sub(r"^https?://", "", uri).replace("/", "_")
        return f"{LISTS}/{place}_dists_{suite}_{component}_binary-amd64_Packages"

    async def update(self, log: Log) -> None:
        """Ask every repository (apt-get update); raises AgentError if one does not answer, when all have been asked."""
        await self.host.clock.sleep(FETCH_TIME)
        errors = []
        for number, (uri, suite, components) in enumerate(self._entries(), start=1):
            problem = self._problem(uri, suite)
            log(f"{'Err' if problem else 'Hit'}:{number} {uri} {suite} InRelease")
            if problem:
                reason = "  401  Unauthorized" if "401" in problem else f"  {problem.partition('  ')[2]}"
                log(reason)
                errors.append(f"E: {problem}")
                if "401" in problem:
                    errors.append(f"E: {TEXTS['unsigned'].format(uri=uri, suite=suite)}")
                continue
            for component in components:
                path = self.host.root / self._list_of(uri, suite, component)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(dpkg.render(_content(uri, suite, component), installed=False), encoding="utf-8")
        log("Reading package lists...")
        for error in errors:
            log(error)
        if errors:
            raise AgentError(TEXTS["update"])

    def _problem(self, uri: str, suite: str) -> str | None:
        host = re.sub(r"^https?://", "", uri).partition("/")[0]
        if host == "enterprise.proxmox.com":
            return TEXTS["unauthorized"].format(uri=uri, suite=suite)
        if host == "download.proxmox.com" or host in _DEBIAN:
            return None
        return TEXTS["unknown"].format(uri=uri, suite=suite, host=host)

    def offered(self) -> dict[str, Package]:
        """The newest version of each package in the lists of the present repositories."""
        suite = self.host.release if self.host.kind == "pve" else next(iter(RELEASES["pve"]))
        # Debian's own main list is there from the installation on
        found = {package.name: package for package in catalogue.packages(suite, group=catalogue.OPTIONAL)}
        for uri, suite, components in self._entries():
            for component in components:
                path = self.host.root / self._list_of(uri, suite, component)
                if not path.exists():
                    continue
                for package in dpkg.parse(path.read_text(encoding="utf-8")):
                    known = found.get(package.name)
                    if known is None or catalogue.is_newer(package.version, known.version):
                        found[package.name] = package
        return found

    def pending(self) -> list[Upgrade]:
        """What an upgrade would change, new packages last (`dist-upgrade`)."""
        installed, offered = self.all(), self.offered()
        changed = [
            Upgrade(package, installed[name].version)
            for name, package in sorted(offered.items())
            if name in installed and catalogue.is_newer(package.version, installed[name].version)
        ]
        wanted = {upgrade.package.version for upgrade in changed if upgrade.package.name.startswith("proxmox-kernel-")}
        # a new series of kernels comes with what the whole product depends on
        if any(upgrade.package.name == "proxmox-ve" for upgrade in changed):
            wanted |= {package.version for package in offered.values() if package.kernel}
        new = [
            Upgrade(package, None)
            for name, package in sorted(offered.items())
            if name not in installed and name.startswith("proxmox-kernel-") and package.version in wanted
        ]
        return [*changed, *new]

    # ---- upgrades ---------------------------------------------------------------------------------------------------

    @property
    def interrupted(self) -> list[Package]:
        """What was unpacked by an installation that was broken off, and not set up."""
        path = self.host.root / UNFINISHED
        return dpkg.parse(path.read_text(encoding="utf-8")) if path.exists() else []

    async def configure(self, log: Log) -> None:
        """Bring an installation that was broken off to its end (`dpkg --configure -a`)."""
        installed = self.all()
        left = [
            Upgrade(each, installed[each.name].version if each.name in installed else None) for each in self.interrupted
        ]
        if left:
            await self._set_up(left, log)

    async def install(self, upgrades: list[Upgrade], log: Log) -> None:
        """Install what is given; services whose code is new are started anew, guests run on."""
        for upgrade in upgrades:
            package = upgrade.package
            over = f" over ({upgrade.old})" if upgrade.old else ""
            log(f"Unpacking {package.name} ({package.version}){over} ...")
        path = self.host.root / UNFINISHED
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, dpkg.render([upgrade.package for upgrade in upgrades], installed=True).encode(), 0o644)
        await self._set_up(upgrades, log)

    async def _set_up(self, upgrades: list[Upgrade], log: Log) -> None:
        """Who started it may be gone: then `log` raises, and the rest stays as it is."""
        installed = self.all()
        for upgrade in upgrades:
            await self.host.clock.sleep(INSTALL_TIME)
            log(f"Setting up {upgrade.package.name} ({upgrade.package.version}) ...")
            installed[upgrade.package.name] = upgrade.package
        dpkg.write(self.host.root, installed.values())
        (self.host.root / UNFINISHED).unlink(missing_ok=True)
        names = {upgrade.package.name for upgrade in upgrades}
        if self.host.kind != "pve":
            return
        if catalogue.MANAGER in names:
            await self.host.adopt(installed[catalogue.MANAGER].version)
        if "pve-ha-manager" in names:
            await self.host.manager.restart_daemons()


def _content(uri: str, suite: str, component: str) -> list[Package]:
    """What a repository that answers holds."""
    if "download.proxmox.com" in uri:
        release = catalogue.release_of(suite)
        if release is None or not uri.endswith("/pve"):
            return []
        return list(catalogue.packages(release, group="proxmox"))
    release = catalogue.release_of(suite.partition("-")[0])
    if release is None or component != "main" or suite.endswith("-updates"):
        return []
    # corrections come through the repository for security; what a release began with is in the main one
    newest = suite.endswith("-security")
    return list(catalogue.packages(release, -1 if newest else 0, group="debian"))
