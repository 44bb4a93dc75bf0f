# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""datacenter.cfg, and other files of its form: options as text (facts §8; observed: files)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.cluster.files import ClusterFiles

FILE = "datacenter.cfg"

_LINE = re.compile(r"([a-z0-9_-]+):\s*(.*?)\s*")


def parse_options(text: str) -> dict[str, str]:
    """The file's options as text; the comment lines at its head are the description, a line feed after each."""
    options: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            options["description"] = f"{options.get('description', '')}{line[1:]}\n"
        elif match := _LINE.fullmatch(line):
            options[match[1]] = match[2]
    return options


def format_options(options: Mapping[str, str]) -> str:
    """Write the file: the description as comment, an empty line, options by name."""
    lines = [f"#{line}" for line in options.get("description", "").splitlines()]
    if lines:
        lines.append("")
    lines += [f"{name}: {options[name]}" for name in sorted(options) if name != "description"]
    return "\n".join(lines) + "\n" if lines else ""


def read_options(files: ClusterFiles) -> dict[str, str]:
    """The options as text."""
    return parse_options(files.read_text(FILE, default=""))


def option_parts(options: Mapping[str, str], name: str) -> dict[str, str]:
    """The parts of an option that is a property string, without a look at its schema; empty if it is not set."""
    return dict(part.strip().partition("=")[::2] for part in options.get(name, "").split(",") if part)
