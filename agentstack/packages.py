# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian packages of a host, as far as anybody asks for them: `host.packages`, kept in dpkg's own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.stack import Kind

STATUS = "var/lib/dpkg/status"

VERSIONS = {
    "chrony": "4.6.1-3",
    "corosync": "3.1.9-pve2",
    "corosync-qdevice": "3.0.3-1",
    "corosync-qnetd": "3.0.3-1",
    "openssh-server": "1:10.0p1-7",
    "watchdog": "5.16-1",
}
"""Those that the package sources offer."""

FROM_THE_START: dict[Kind, tuple[str, ...]] = {
    "pve": ("chrony", "corosync", "openssh-server"),
    "pbs": ("chrony", "openssh-server"),
    "witness": ("chrony", "openssh-server"),
}


class Packages:
    """What is installed."""

    def __init__(self, host: Host) -> None:
        self.path = host.root / STATUS
        self._first = tuple(sorted({*FROM_THE_START[host.kind], *host.spec.packages}))

    async def start(self) -> None:
        """Begin with what the installer brings."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write(set(self._first))

    async def stop(self) -> None:
        """Nothing to end."""

    @property
    def installed(self) -> set[str]:
        """Names."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return {line.partition(": ")[2] for line in lines if line.startswith("Package: ")}

    def has(self, name: str) -> bool:
        """Whether a package is installed."""
        return name in self.installed

    def add(self, name: str) -> None:
        """Note that a package is installed."""
        self._write(self.installed | {name})

    def remove(self, name: str) -> None:
        """Note that a package is gone."""
        self._write(self.installed - {name})

    def _write(self, names: set[str]) -> None:
        draft = self.path.with_suffix(".new")
        draft.write_text(
            "".join(
                f"Package: {name}\nStatus: install ok installed\nVersion: {VERSIONS.get(name, '1.0-1')}\n\n"
                for name in sorted(names)
            )
        )
        draft.replace(self.path)
