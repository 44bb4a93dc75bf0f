# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the report goes: into files, or back to the playbook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils import _report_data
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError
from ansible_collections.quorate.pve.plugins.modules.report_data import ARGUMENT_SPEC

from ...report_models import raw

TEMPLATES = str(Path(__file__).resolve().parents[3] / "roles/report/templates")


@pytest.fixture(autouse=True)
def sick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report_data, "read_all", lambda api, params: raw())


def run(check: bool = False, **parameters: Any) -> dict[str, Any]:
    given = {"api_hosts": ["192.0.2.11"], "api_password": "x", **parameters}
    checked = ArgumentSpecValidator(ARGUMENT_SPEC).validate(given)
    assert not checked.error_messages
    return _report_data.run(checked.validated_parameters, check)


def test_without_files_all_of_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report_data, "SHOWN", 5)
    result = run()
    assert result["report"]["guests"]
    summary = result["summary"]
    assert summary["counts"] == result["report"]["counts"]
    assert {one["severity"] for one in summary["findings"]} <= {"error", "warning"}
    serious = summary["counts"]["error"] + summary["counts"]["warning"]
    assert (len(summary["findings"]), summary["more"]) == (5, serious - 5)


def test_files_are_written_for_the_owner_and_the_group(tmp_path: Path) -> None:
    page, data = tmp_path / "new/page.html", tmp_path / "new/data.json"
    result = run(page_file=str(page), data_file=str(data), templates=TEMPLATES)
    assert "report" not in result
    assert json.loads(data.read_text()) == run()["report"]
    assert page.read_text().lstrip().startswith("<!")
    assert {oct(file.stat().st_mode & 0o777) for file in (page, data)} == {"0o640"}
    assert sorted(file.name for file in page.parent.iterdir()) == ["data.json", "page.html"]


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    run(check=True, page_file=str(tmp_path / "new/page.html"), templates=TEMPLATES)
    assert not (tmp_path / "new").exists()


def test_a_page_needs_templates(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="drawn with templates"):
        run(page_file=str(tmp_path / "page.html"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written") as caught:
        run(data_file=str(tmp_path / "file" / "data.json"))
    assert caught.value.where == "data_file"
