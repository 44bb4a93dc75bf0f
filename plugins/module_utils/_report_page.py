# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing the report. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._libraries import Library
from ._report_words import listed, moment, span

if TYPE_CHECKING:
    import jinja2
else:
    jinja2 = Library("jinja2")

PAGE = "page.html.j2"


def render(report: Mapping[str, Any], templates: str | Path) -> str:
    """The page that the templates of a directory make of a report. Everything is escaped: names come from a cluster."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(templates)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"span": span, "moment": moment, "listed": listed}
    return environment.get_template(PAGE).render(report=report)
