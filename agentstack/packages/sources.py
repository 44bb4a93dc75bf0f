# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories that a host's package manager asks: `etc/apt`, in both forms that apt reads (facts §18)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentstack.errors import AgentError

DIRECTORY = "etc/apt/sources.list.d"
MAIN = "etc/apt/sources.list"
KEYRING = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ENTERPRISE, PUBLIC = "https://enterprise.proxmox.com/debian", "http://download.proxmox.com/debian"

TEXTS = {
    "handle": "unknown repository handle '{handle}'",
    "path": "invalid path - no such repository file '{path}'",
    "index": "invalid index - no such repository",
}


@dataclass
class Repository:
    """One entry of a file; `suites` and the like as they are written."""

    types: list[str]
    uris: list[str]
    suites: list[str]
    components: list[str]
    options: dict[str, list[str]] = field(default_factory=dict)
    comment: str = ""
    enabled: bool = True

    def answer(self, form: str) -> dict[str, Any]:
        """As the API shows it."""
        row: dict[str, Any] = {
            "Types": self.types,
            "URIs": self.uris,
            "Suites": self.suites,
            "Components": self.components,
            "Comment": self.comment,
            "FileType": form,
            "Enabled": int(self.enabled),
        }
        if self.options:
            row["Options"] = [{"Key": key, "Values": values} for key, values in self.options.items()]
        return row


@dataclass
class SourceFile:
    """One file; `path` as the host names it."""

    path: str
    repositories: list[Repository]

    @property
    def form(self) -> str:
        """`sources` (deb822) or `list` (one line)."""
        return "sources" if self.path.endswith(".sources") else "list"

    def render(self) -> str:
        """The file's text."""
        if self.form == "list":
            return "".join(_line(repository) for repository in self.repositories)
        return "\n".join(_stanza(repository) for repository in self.repositories)

    def digest(self) -> bytes:
        """SHA-256 of the text."""
        return hashlib.sha256(self.render().encode()).digest()

    def answer(self) -> dict[str, Any]:
        """As the API shows it; the digest as numbers."""
        rows = [repository.answer(self.form) for repository in self.repositories]
        return {"path": self.path, "file-type": self.form, "repositories": rows, "digest": list(self.digest())}


def _stanza(repository: Repository) -> str:
    lines = [f"#{line}" for line in repository.comment.splitlines()]
    lines.append(f"Types: {' '.join(repository.types)}")
    lines.append(f"URIs: {' '.join(repository.uris)}")
    lines.append(f"Suites: {' '.join(repository.suites)}")
    lines.append(f"Components: {' '.join(repository.components)}")
    lines += [f"{key}: {' '.join(values)}" for key, values in repository.options.items()]
    if not repository.enabled:
        lines.append("Enabled: false")
    return "\n".join(lines) + "\n"


def _line(repository: Repository) -> str:
    text = "".join(f"#{line}\n" for line in repository.comment.splitlines())
    options = " ".join(f"{key}={','.join(values)}" for key, values in repository.options.items())
    words = [repository.types[0], f"[{options}]" if options else "", repository.uris[0], repository.suites[0]]
    line = " ".join([*(word for word in words if word), *repository.components])
    return f"{text}{'' if repository.enabled else '# '}{line}\n"


def _parse_stanzas(text: str) -> list[Repository]:
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        comment, values = "", {}
        for line in stanza.splitlines():
            if line.startswith("#"):
                comment += f"{line[1:]}\n"
            elif match := re.fullmatch(r"([A-Za-z-]+):\s*(.*?)\s*", line):
                values[match[1]] = match[2].split()
        if "URIs" in values:
            enabled = values.pop("Enabled", ["yes"])[0].lower() not in ("no", "false", "0")
            types, uris, suites, components = (values.pop(key, []) for key in ("Types", "URIs", "Suites", "Components"))
            found.append(Repository(types, uris, suites, components, values, comment, enabled))
    return found


_ONE_LINE = re.compile(r"(#\s*)?(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*?)\s*(?:#.*)?")


def _parse_lines(text: str) -> list[Repository]:
    found, comment = [], ""
    for line in text.splitlines():
        if match := _ONE_LINE.fullmatch(line):
            options = dict(part.partition("=")[::2] for part in (match[3] or "").split())
            found.append(
                Repository(
                    [match[2]],
                    [match[4]],
                    [match[5]],
                    match[6].split(),
                    options={key: value.split(",") for key, value in options.items()},
                    comment=comment,
                    enabled=match[1] is None,
                )
            )
            comment = ""
        elif line.startswith("#"):
            comment += f"{line[1:]}\n"
        elif not line.strip():
            comment = ""
    return found


def read(root: Path) -> list[SourceFile]:
    """The repository files of the host with that root."""
    paths = [root / MAIN, *sorted((root / DIRECTORY).glob("*.list")), *sorted((root / DIRECTORY).glob("*.sources"))]
    found = []
    for path in paths:
        if path.exists():
            text = path.read_text(encoding="utf-8")
            parse = _parse_stanzas if path.suffix == ".sources" else _parse_lines
            found.append(SourceFile(f"/{path.relative_to(root)}", parse(text)))
    return found


def write(root: Path, file: SourceFile) -> None:
    """Put a file down."""
    path = root / file.path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.render(), encoding="utf-8")


def digest(found: list[SourceFile]) -> str:
    """The digest of all files together."""
    total = hashlib.sha256()
    for file in found:
        total.update(file.path.encode() + file.digest())
    return total.hexdigest()


# ---- what the products bring along ----------------------------------------------------------------------------------

_CEPH = {"8": ("quincy", "reef", "squid"), "9": ("squid", "tentacle")}


def standard(release: str, suite: str) -> dict[str, tuple[str, str, Repository]]:
    """The standard repositories of a release: name, file and entry, by handle."""
    new = not release.startswith("8.")
    end = "sources" if new else "list"
    options = {"Signed-By": [KEYRING]} if new else {}

    def entry(base: str, component: str) -> Repository:
        return Repository(["deb"], [base], [suite], [component], dict(options))

    public = f"/{DIRECTORY}/proxmox.sources" if new else f"/{MAIN}"
    customers = f"/{DIRECTORY}/pve-enterprise.{end}"
    found = {
        "enterprise": ("Enterprise", customers, entry(f"{ENTERPRISE}/pve", "pve-enterprise")),
        "no-subscription": ("No-Subscription", public, entry(f"{PUBLIC}/pve", "pve-no-subscription")),
        "test": ("Test", public, entry(f"{PUBLIC}/pve", "pve-test" if new else "pvetest")),
    }
    for ceph in _CEPH[release.partition(".")[0]]:
        path, title = f"/{DIRECTORY}/ceph.{end}", f"Ceph {ceph.capitalize()}"
        bases = {"enterprise": ENTERPRISE, "no-subscription": PUBLIC, "test": PUBLIC}
        for component, base in bases.items():
            words = " ".join(word.capitalize() for word in component.split("-"))
            name = f"{title} {words.replace(' ', '-')}"
            found[f"ceph-{ceph}-{component}"] = (name, path, entry(f"{base}/ceph-{ceph}", component))
    return found


def installed(release: str, suite: str) -> list[SourceFile]:
    """The files of a fresh installation: Debian, and the repositories for customers."""
    known = standard(release, suite)
    ceph = "ceph-squid-enterprise" if not release.startswith("8.") else "ceph-quincy-enterprise"
    enterprise = [SourceFile(path, [entry]) for _, path, entry in (known["enterprise"], known[ceph])]
    if release.startswith("8."):
        components = ["main", "contrib"]
        debian = [
            Repository(["deb"], ["http://deb.debian.org/debian"], [name], components)
            for name in (suite, f"{suite}-updates")
        ]
        security = Repository(["deb"], ["http://security.debian.org"], [f"{suite}-security"], components)
        return [SourceFile(f"/{MAIN}", [*debian, security]), *enterprise]
    options = {"Signed-By": [DEBIAN_KEYRING]}
    components = ["main", "contrib", "non-free-firmware"]
    suites = [suite, f"{suite}-updates"]
    debian = [
        Repository(["deb"], [uri], names, components, dict(options))
        for uri, names in (
            ("http://deb.debian.org/debian/", suites),
            ("http://security.debian.org/debian-security/", [f"{suite}-security"]),
        )
    ]
    return [SourceFile(f"/{DIRECTORY}/debian.sources", debian), *enterprise]


def same(one: Repository, other: Repository) -> bool:
    """Tell whether an entry is that of a standard repository, enabled or not."""
    return (
        {uri.rstrip("/").replace("https:", "http:") for uri in one.uris}
        == {uri.rstrip("/").replace("https:", "http:") for uri in other.uris}
        and one.suites == other.suites
        and set(other.components) <= set(one.components)
    )


def add(root: Path, release: str, suite: str, handle: str) -> None:
    """Add a standard repository, or enable it where it is written down already."""
    known = standard(release, suite)
    if handle not in known:
        raise AgentError(TEXTS["handle"].format(handle=handle))
    _, path, wanted = known[handle]
    found = read(root)
    for file in found:
        for repository in file.repositories:
            if same(repository, wanted):
                repository.enabled = True
                write(root, file)
                return
    file = next((file for file in found if file.path == path), SourceFile(path, []))
    file.repositories.append(wanted)
    write(root, file)


def switch(root: Path, path: str, index: int, enabled: bool) -> None:
    """Enable or disable an entry."""
    file = next((file for file in read(root) if file.path == path), None)
    if file is None:
        raise AgentError(TEXTS["path"].format(path=path))
    if not 0 <= index < len(file.repositories):
        raise AgentError(TEXTS["index"])
    file.repositories[index].enabled = enabled
    write(root, file)
