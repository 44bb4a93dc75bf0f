# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands print (observed: commands)."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.shell.output import render


@pytest.mark.parametrize(
    ("data", "form", "text"),
    [
        (None, "json", ""),
        ("100", "text", "100\n"),
        ("100", "json", '"100"\n'),
        (
            [{"id": "quorum", "quorate": 1}, {"results": {}}],
            "json-pretty",
            '[\n   {\n      "id" : "quorum",\n      "quorate" : 1\n   },\n   {\n      "results" : {}\n   }\n]\n',
        ),
        ({"a": 1}, "yaml", "---\na: 1\n"),
        (
            [{"userid": "ops@pve", "expire": 0}, {"userid": "root@pam"}],
            "text",
            "+--------+----------+\n"
            "| expire | userid   |\n"
            "+========+==========+\n"
            "|      0 | ops@pve  |\n"
            "+--------+----------+\n"
            "|        | root@pam |\n"
            "+--------+----------+\n",
        ),
        ({}, "text", ""),
        (["a", "b"], "text", "a\nb\n"),
    ],
)
def test_render(data: Any, form: str, text: str) -> None:
    assert render(data, form) == text
