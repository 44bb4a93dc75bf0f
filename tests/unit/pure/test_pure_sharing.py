# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection and the agents use the same files, and those need nothing but the standard library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import agentstack

ROOT = Path(__file__).resolve().parents[3]
PURE = ROOT / "plugins" / "module_utils" / "_pure"
SHARED = ROOT / "agentstack" / "_shared"


def test_every_module_is_shared_by_a_relative_link() -> None:
    modules = {path.name for path in PURE.glob("*.py")} - {"__init__.py"}
    links = {path.name: path.readlink() for path in SHARED.glob("*.py") if path.is_symlink()}
    assert links == {name: Path("../../plugins/module_utils/_pure") / name for name in modules}


def test_the_agents_import_the_links() -> None:
    assert Path(agentstack.__file__ or "").parent / "_shared" == SHARED


def test_imports_are_relative_or_standard() -> None:
    for path in PURE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 1 or (node.level == 0 and node.module is not None)
                names = [] if node.level else [str(node.module)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names, path.name
