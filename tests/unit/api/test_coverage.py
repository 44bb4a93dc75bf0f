# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`agentstack coverage`: what of the published APIs is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentstack.commands.coverage import measure


@pytest.mark.parametrize(("release", "least"), [("pve9", 400), ("pve8", 400), ("pbs4", 200)])
def test_enough_is_there(release: str, least: int, tmp_path: Path) -> None:
    found = measure(release, release, tmp_path)
    assert found.known == "tables"
    assert len(found.implemented) >= least
    assert not found.implemented & found.missing


def test_the_schema_says_what_is_missing(tmp_path: Path) -> None:
    paths = {"/version": {"GET": {}, "DELETE": {}}, "/moon": {"GET": {}}, "/": {"GET": {}}}
    (tmp_path / "pve9-schema.json").write_text(json.dumps({"paths": paths}))
    found = measure("Proxmox VE 9.2", "pve9", tmp_path)
    assert found.known == "schema"
    assert found.missing == {("/version", "DELETE"), ("/moon", "GET")}
    document = found.to_json()
    assert document["missing"] == 2
    assert document["methods"]["missing"] == ["GET /moon", "DELETE /version"]
    assert "GET /version" in document["methods"]["implemented"]
