# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a path to its template: `/nodes/pve1/qemu/100` is `/nodes/{node}/qemu/{vmid}`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

TAKES_REST = (
    "/nodes/{node}/storage/{storage}/content/{volume}",
    "/cluster/firewall/ipset/{name}/{cidr}",
    "/nodes/{node}/qemu/{vmid}/firewall/ipset/{name}/{cidr}",
    "/nodes/{node}/lxc/{vmid}/firewall/ipset/{name}/{cidr}",
)
"""Templates whose last parameter takes the rest of the path, slashes and all (facts §1.1; networks have a slash)."""


@dataclass
class _Step:
    """What may follow at one place of a path."""

    words: dict[str, _Step] = field(default_factory=dict)
    parameter: str | None = None
    below: _Step | None = None
    template: str | None = None


class Routes:
    """The path templates of one product; fixed words win over parameters."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._root = _Step()
        for template in templates:
            step = self._root
            for word in _segments(template):
                if word.startswith("{"):
                    step.parameter = word[1:-1]
                    step.below = step.below or _Step()
                    step = step.below
                else:
                    step = step.words.setdefault(word, _Step())
            step.template = template

    def match(self, path: str) -> tuple[str, dict[str, str]] | None:
        """The template that a decoded path fits and the values of its parameters; None if there is none."""
        step = self._root
        values: dict[str, str] = {}
        words = _segments(path)
        for position, word in enumerate(words):
            below = step.words.get(word)
            if below is None and step.parameter is not None and step.below is not None:
                values[step.parameter] = word
                below = step.below
                if below.template in TAKES_REST:
                    values[step.parameter] = "/".join(words[position:])
                    return below.template, values
            if below is None:
                return None
            step = below
        return (step.template, values) if step.template is not None else None


def _segments(path: str) -> list[str]:
    return [word for word in path.split("/") if word]
