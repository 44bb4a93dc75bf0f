# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From paths to declarations, and declarations of several releases."""

from __future__ import annotations

import pytest

from agentstack.api.routes import Routes
from agentstack.api.tables import load

TEMPLATES = (
    "/",
    "/nodes",
    "/nodes/{node}",
    "/nodes/{node}/tasks/{upid}/log",
    "/nodes/{node}/storage/{storage}/content",
    "/nodes/{node}/storage/{storage}/content/{volume}",
    "/cluster/config/nodes/{node}",
    "/x/fixed",
    "/x/{any}",
)


@pytest.mark.parametrize(
    ("path", "template", "values"),
    [
        ("/", "/", {}),
        ("/nodes", "/nodes", {}),
        ("//nodes///pve1/", "/nodes/{node}", {"node": "pve1"}),
        ("/nodes/a/tasks/UPID:x:/log", "/nodes/{node}/tasks/{upid}/log", {"node": "a", "upid": "UPID:x:"}),
        (
            "/nodes/a/storage/local/content/local:iso/x.iso",
            "/nodes/{node}/storage/{storage}/content/{volume}",
            {"node": "a", "storage": "local", "volume": "local:iso/x.iso"},
        ),
        ("/x/fixed", "/x/fixed", {}),
        ("/x/other", "/x/{any}", {"any": "other"}),
    ],
)
def test_match(path: str, template: str, values: dict[str, str]) -> None:
    assert Routes(TEMPLATES).match(path) == (template, values)


@pytest.mark.parametrize("path", ["/nosuch", "/nodes/a/tasks", "/x", "/nodes/a/b/c/d", "/x/fixed/more"])
def test_no_match(path: str) -> None:
    assert Routes(TEMPLATES).match(path) is None


def test_8_is_laid_over_9() -> None:
    nine, eight = load("pve9"), load("pve8")
    token = "/access/users/{userid}/token/{tokenid}"
    assert "regenerate" in nine[token]["PUT"].params
    assert "regenerate" not in eight[token]["PUT"].params
    assert "privsep" in eight[token]["PUT"].params
    crs = nine["/cluster/options"]["PUT"].params["crs"], eight["/cluster/options"]["PUT"].params["crs"]
    assert [crs[n]["format"]["ha"]["enum"] for n in (0, 1)] == [["basic", "static", "dynamic"], ["basic", "static"]]


def test_indexed_parameters() -> None:
    create = load("pve9")["/cluster/config"]["POST"]
    assert create.param("link0") is create.param("link7")
    assert create.param("link") is None
    assert create.param("link07") is None
