# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack coverage`: which methods of the real servers' APIs the agents have, and which they answer with 501."""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

SCHEMAS = Path(__file__).resolve().parents[2].parent / "shared" / "reference"
"""The published schemas; developers keep them beside the checkout."""

VERBS = ("GET", "POST", "PUT", "DELETE")
ROOT = "/"
"""Declared for pvesh; the schemas of PVE begin below it."""

MethodName = tuple[str, str]
"""Path and verb."""


class PveVersion(enum.StrEnum):
    """The versions of Proxmox VE that agents stand in for."""

    nine = "9.2"
    eight = "8.4"


@dataclass(frozen=True)
class Coverage:
    """What of one product's methods is there. `known`: what the rest is measured by, the schema or our own tables."""

    product: str
    known: str
    implemented: frozenset[MethodName]
    missing: frozenset[MethodName]

    def to_json(self) -> dict[str, Any]:
        """{product, known, implemented: count, missing: count, methods: {implemented: ["GET /version"], missing}}."""
        return {
            "product": self.product,
            "known": self.known,
            "implemented": len(self.implemented),
            "missing": len(self.missing),
            "methods": {"implemented": _names(self.implemented), "missing": _names(self.missing)},
        }


def measure(product: str, release: str, schemas: Path = SCHEMAS) -> Coverage:
    """Compare what behaves with what the schema of `release` (`pve9`, `pve8`, `pbs4`) shows, or else our tables."""
    # the whole server: other commands shall not wait for its import
    from agentstack.api.dialect import PBS, PVE
    from agentstack.api.server import load_branches
    from agentstack.api.tables import load

    dialect = PBS if release.startswith("pbs") else PVE
    load_branches("agentstack.api.pbs" if dialect is PBS else "agentstack.api.pve")
    declared = {
        (path, verb): method for path, verbs in load(release).items() for verb, method in verbs.items() if path != ROOT
    }
    behaving = {
        (path, verb)
        for (path, verb), method in declared.items()
        if method.index is not None or (verb, path) in dialect.registry.handlers
    }
    published = schemas / f"{release}-schema.json"
    if published.is_file():
        paths = json.loads(published.read_text())["paths"]
        known, every = "schema", {(path, verb) for path, verbs in paths.items() for verb in verbs if path != ROOT}
    else:
        known, every = "tables", set(declared)
    return Coverage(product, known, frozenset(behaving), frozenset(every - behaving))


def _names(methods: Iterable[MethodName]) -> list[str]:
    ordered = sorted(methods, key=lambda method: (method[0], VERBS.index(method[1])))
    return [f"{verb} {path}" for path, verb in ordered]


def _branch(path: str) -> str:
    """What a method is counted under: the first two fixed words of its path."""
    words = [word for word in path.split("/") if word and not word.startswith("{")]
    return "/" + "/".join(words[:2])


def _sum(found: Coverage) -> str:
    total = len(found.implemented) + len(found.missing)
    of = "of the published API" if found.known == "schema" else "of those in the tables (the schemas are not at hand)"
    return f"{found.product}: {len(found.implemented)} of {total} methods {of}"


def _show(found: Coverage) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in ("branch", "there", "missing"):
        table.add_column(head, justify="left" if head == "branch" else "right")
    there = Counter(_branch(path) for path, _ in found.implemented)
    missing = Counter(_branch(path) for path, _ in found.missing)
    for branch in sorted(there | missing):
        table.add_row(branch, str(there[branch]), str(missing[branch] or ""))
    Console().print(table)


def coverage(
    pve: Annotated[PveVersion | None, typer.Option("--pve", help="Only this version of Proxmox VE.")] = None,
    pbs: Annotated[bool, typer.Option("--pbs", help="Only Proxmox Backup Server.")] = False,
    missing: Annotated[bool, typer.Option("--missing", help="List the methods that answer 501.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    schemas: Annotated[Path, typer.Option(help="Directory of the published schemas.", show_default=False)] = SCHEMAS,
) -> None:
    """Show which methods of the real servers' APIs the agents have."""
    wanted = [("Proxmox VE 9.2", "pve9", PveVersion.nine), ("Proxmox VE 8.4", "pve8", PveVersion.eight)]
    chosen = [(name, release) for name, release, version in wanted if pve is version or (pve is None and not pbs)]
    if pbs or pve is None:
        chosen.append(("Proxmox Backup Server 4", "pbs4"))
    found = [measure(name, release, schemas) for name, release in chosen]
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found], indent=2))
        return
    for one in found:
        if missing:
            for name in _names(one.missing):
                typer.echo(f"{one.product}  {name}" if len(found) > 1 else name)
        else:
            _show(one)
            typer.echo(_sum(one))
