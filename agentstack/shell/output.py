# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the Proxmox commands print what the API answers: `--output-format text|json|json-pretty|yaml` (observed)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

FORMATS = ("text", "json", "json-pretty", "yaml")


def pretty(data: Any) -> str:
    """JSON as the commands indent it, keys by name."""
    return json.dumps(data, indent=3, sort_keys=True, separators=(",", " : "), ensure_ascii=False) + "\n"


def render(data: Any, form: str) -> str:
    """An answer in one of FORMATS; nothing for null."""
    if data is None:
        return ""
    if form == "json":
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False) + "\n"
    if form == "json-pretty":
        return pretty(data)
    if form == "yaml":
        return yaml.safe_dump(data, explicit_start=True, default_flow_style=False)
    if isinstance(data, Mapping):
        return table([{"key": key, "value": data[key]} for key in sorted(data)], ["key", "value"]) if data else ""
    if isinstance(data, list) and data and isinstance(data[0], Mapping):
        return table(data, sorted({key for row in data for key in row}))
    if isinstance(data, list):
        return "".join(f"{_cell(item)}\n" for item in data)
    return f"{_cell(data)}\n"


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows in a frame; numbers stand at the right."""
    texts = [{column: _cell(row.get(column)) for column in columns} for row in rows]
    widths = {column: max([len(column), *(len(text[column]) for text in texts)]) for column in columns}
    right = {column for column in columns if any(_is_number(row.get(column)) for row in rows)}
    line = "+" + "+".join("-" * (widths[column] + 2) for column in columns) + "+\n"
    head = "|" + "|".join(f" {column:<{widths[column]}} " for column in columns) + "|\n"
    found = line + head + line.replace("-", "=")
    for text in texts:
        cells = (
            f" {text[column]:>{widths[column]}} " if column in right else f" {text[column]:<{widths[column]}} "
            for column in columns
        )
        found += "|" + "|".join(cells) + "|\n" + line
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return str(int(value) if isinstance(value, bool) else value)
