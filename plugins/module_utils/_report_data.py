# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module report_data: read everything, make the report's model of it, and write that. Private to this collection.

The model of a thousand guests is megabytes: to hand it back to Ansible takes longer than to make it, so that files are
written here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._ages import max_age_of
from ._api import Api, Result
from ._errors import InputError
from ._report_model import build
from ._report_page import render
from ._report_raw import BackupClass, Wishes
from ._report_read import read_all
from ._report_words import INFO
from ._whole_files import replace_file

SHOWN = 12
"""How many findings a summary has."""


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    if params["page_file"] is not None and params["templates"] is None:
        raise InputError("a page is drawn with templates", where="templates", hint="Give their directory.")
    age = max_age_of({"max_age": params["backup_max_age"]})
    wishes = Wishes(
        title=params["title"] or "",
        nodes=params["nodes"],
        backup_max_age=age or Wishes.backup_max_age,
        services_known=params["services_known"],
        classes=params["classes"],
        backup_classes=[BackupClass(each["name"], max_age_of(each)) for each in params["backup_classes"]],
        recovery_promised=params["recovery_promised"],
        service_promised=params["service_promised"],
    )
    with Api.open(params, check_mode) as api:
        report = build(read_all(api, params), wishes)
        answer = {"changed": False, "summary": summary(report), "calls": len(api.client.calls)}
    if params["page_file"] is None and params["data_file"] is None:
        return {**answer, "report": report}
    if not check_mode:
        if params["data_file"] is not None:
            _write(params["data_file"], json.dumps(report, indent=1, ensure_ascii=False) + "\n", "data_file")
        if params["page_file"] is not None:
            _write(params["page_file"], render(report, params["templates"]), "page_file")
    return answer


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a report at once: its head, and the worst of its findings."""
    serious = [one for one in report["findings"] if one["severity"] != INFO]
    kept = ("format", "title", "cluster", "generated", "generated_text", "severity", "counts", "protected")
    return {
        **{name: report[name] for name in kept},
        "quorum": report["quorum"]["text"],
        "findings": serious[:SHOWN],
        "more": max(len(serious) - SHOWN, 0),
    }


def _write(path: str, text: str, where: str) -> None:
    """Replace a file at once, readable for the owner and the group, in a directory that is made if it is not there."""
    place = Path(path).expanduser()
    try:
        place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        replace_file(place, text, 0o640)
    except OSError as error:
        raise InputError(f"{place} cannot be written: {error}", where=where) from error
