#!/usr/bin/env python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/variables.md from the argument specs and defaults of the roles; `--check` only compares."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "variables.md"
HEAD = """\
<!-- SPDX-FileCopyrightText: Quorate contributors -->
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by scripts/variables_table.py from roles/*/meta/argument_specs.yml: change it there, then `make docs`. -->
# Variables

All roles share one namespace ([why](decisions/one-namespace-of-variables.md)). `null`, or leaving a variable out,
means: leave alone. `ansible-doc quorate.pve.MODULE` shows the fields of the lists' elements.

| variable | type | default | roles | |
|---|---|---|---|---|
"""


@dataclass
class Variable:
    """One variable as the roles that read it declare it."""

    spec: dict[str, Any]
    default: str
    roles: list[str] = field(default_factory=list)


def variables(root: Path) -> dict[str, Variable]:
    """All variables by name; ValueError if two roles declare one of them differently."""
    table: dict[str, Variable] = {}
    for path in sorted((root / "roles").glob("*/meta/argument_specs.yml")):
        role = path.parent.parent
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
        defaults_file = role / "defaults" / "main.yml"
        defaults = yaml.safe_load(defaults_file.read_text(encoding="utf-8")) if defaults_file.exists() else {}
        if unknown := set(defaults or {}) - set(spec):
            raise ValueError(
                f"{defaults_file.relative_to(root)}: not in any argument spec: {', '.join(sorted(unknown))}"
            )
        for name, options in spec.items():
            shown = "required" if options.get("required") else _default((defaults or {}).get(name))
            variable = table.setdefault(name, Variable(options, shown))
            if variable.spec != options:
                raise ValueError(f"{role.name} declares {name} differently from {', '.join(variable.roles)}")
            variable.roles.append(role.name)
    return table


def render(table: dict[str, Variable]) -> str:
    """The whole page."""
    rows = []
    for name, variable in sorted(table.items()):
        kind = variable.spec["type"]
        if "elements" in variable.spec:
            kind = f"{kind} of {variable.spec['elements']}"
        cells = [f"`{name}`", kind, variable.default, ", ".join(variable.roles), _prose(variable.spec["description"])]
        rows.append("| " + " | ".join(cells) + " |\n")
    return HEAD + "".join(rows)


def _default(value: Any) -> str:
    return "" if value is None else f"`{value}`"


def _prose(description: str | list[str]) -> str:
    text = description if isinstance(description, str) else " ".join(description)
    text = re.sub(r"[COV]\(([^)]*)\)", r"`\1`", text)
    return re.sub(r"M\(([^)]*)\)", r"`\1`", text)


def main() -> int:
    """Exit status 1: the page is not what it should be."""
    page = render(variables(ROOT))
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(page, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page:
        print("docs/variables.md is not what the argument specs say: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
