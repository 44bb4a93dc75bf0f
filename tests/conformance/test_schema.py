# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared equals the published schemas; what behaves is declared."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentstack.api.dialect import PBS, PVE, Dialect
from agentstack.api.server import load_branches
from agentstack.api.tables import load, raw_methods

PRODUCTS = {"pve9": "pve", "pve8": "pve", "pbs4": "pbs"}
OUTSIDE = {"/"}
"""Declared paths that the schemas do not show: they begin below the root."""


@pytest.fixture(scope="module")
def take_table() -> ModuleType:
    """The tool that took the declarations over; it knows what the short form of a schema is."""
    path = Path(__file__).parents[2] / "scripts" / "take-table"
    spec = importlib.util.spec_from_loader("take_table", SourceFileLoader("take_table", str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _declared(release: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    return (found for found in raw_methods(release) if found[0] not in OUTSIDE)


@pytest.mark.parametrize("release", PRODUCTS)
def test_declarations_equal_the_schema(release: str, shared_dir: Path, take_table: ModuleType) -> None:
    schema = json.loads((shared_dir / "reference" / f"{release}-schema.json").read_text())["paths"]
    different = [
        f"{verb} {path}"
        for path, verb, found in _declared(release)
        if found != take_table.compact(schema, path, verb, PRODUCTS[release])
    ]
    assert different == []


@pytest.mark.parametrize("dialect", [PVE, PBS], ids=["pve", "pbs"])
def test_what_behaves_is_declared(dialect: Dialect) -> None:
    load_branches("agentstack.api.pve" if dialect is PVE else "agentstack.api.pbs")
    declared = {
        (verb, path) for release in dialect.tables.values() for path, verbs in load(release).items() for verb in verbs
    }
    assert set(dialect.registry.handlers) <= declared
