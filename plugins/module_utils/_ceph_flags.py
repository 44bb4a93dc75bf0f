# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's cluster-wide flags. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._api import Api, Result
from ._ceph import read
from ._errors import InputError, VerifyError
from ._plan import UPDATE, simple_change

PATH = "/cluster/ceph/flags"
FLAGS = (
    *("nobackfill", "nodeep-scrub", "nodown", "noin", "noout", "norebalance", "norecover", "noscrub", "notieragent"),
    *("noup", "pause"),
)


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    wanted = {str(name): bool(value) for name, value in params["flags"].items()}
    unknown = sorted(set(wanted) - set(FLAGS))
    if unknown:
        raise InputError(f"{', '.join(unknown)} is no flag", where="flags", hint=f"There are: {', '.join(FLAGS)}.")
    with Api.open(params, check_mode) as api:
        now = present(api)
        differ = {name: value for name, value in wanted.items() if now.get(name, False) != value}
        changes = [
            simple_change(UPDATE, "flag", name, {"set": value}, {"set": not value}) for name, value in differ.items()
        ]
        api.approve(changes)
        if changes and not api.check_mode:
            write(api, differ, float(params["timeout"]))
        return api.result(changes)


def write(api: Api, flags: Mapping[str, bool], timeout: float) -> None:
    """Set and clear flags. Raises :class:`VerifyError` if that does not show."""
    answer = api.client.put(PATH, {name: int(value) for name, value in flags.items()})
    api.finish_task(answer, timeout)
    now = present(api)
    wrong = [name for name, value in flags.items() if now.get(name) != value]
    if wrong:
        raise VerifyError(f"the server said yes, and {', '.join(wrong)} did not change", where="flags")


def present(api: Api) -> dict[str, bool]:
    """The flags, and whether each is set."""
    return {str(flag["name"]): bool(int(flag.get("value") or 0)) for flag in read(api, PATH, "flags") or ()}
