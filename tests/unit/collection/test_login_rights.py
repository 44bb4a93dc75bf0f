# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a login may do, from what the server says of it: paths that hand on, and what a guest has from its pool."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._errors import StateError
from ansible_collections.quorate.pve.plugins.module_utils._login_rights import require

HELD = {
    "/": {"Sys.Audit": 0, "Sys.Console": 1},
    "/vms": {"VM.Audit": 1, "VM.PowerMgmt": 1},
    "/vms/102": {"VM.Audit": 1},
}
POOL = {"/vms/102": {"VM.Audit": 1, "VM.PowerMgmt": 1}}


class Server:
    """Notes what is asked; `exact` is what it says of single paths."""

    def __init__(self, **exact: Any) -> None:
        self.client, self.asked, self.exact = self, list[str](), exact

    def call(self, method: str, path: str, params: dict[str, str | None]) -> dict[str, Any]:
        assert (method, path) == ("GET", "/access/permissions")
        self.asked.append(params["path"] or "all")
        return self.exact if params["path"] else HELD


@pytest.mark.parametrize(
    "pair", [("/", "Sys.Audit"), ("/vms", "VM.Audit"), ("/vms/101", "VM.PowerMgmt"), ("/nodes/pve1", "Sys.Console")]
)
def test_a_path_hands_on(pair: tuple[str, str]) -> None:
    server: Any = Server()
    require(server, [pair, pair])
    assert server.asked == ["all"]


def test_nothing_is_asked_if_nothing_is_wanted() -> None:
    server: Any = Server()
    require(server, [])
    assert server.asked == []


def test_a_guest_has_rights_from_its_pool() -> None:
    server: Any = Server(**POOL)
    require(server, [("/vms/102", "VM.PowerMgmt")])
    assert server.asked == ["all", "/vms/102"]


def test_all_that_is_missing_is_named() -> None:
    server: Any = Server()
    wanted = [("/nodes/pve1", "Sys.Audit"), ("/vms/101", "VM.Audit"), ("/vms/102", "VM.PowerMgmt")]
    with pytest.raises(StateError) as told:
        require(server, wanted, "Nothing was broken.")
    assert told.value.message == "this login lacks Sys.Audit on /nodes/pve1, VM.PowerMgmt on /vms/102"
    assert told.value.hint.endswith("Nothing was broken.")


def test_many_are_counted() -> None:
    server: Any = Server()
    with pytest.raises(StateError, match=r"VM\.Migrate on /vms/7 and 2 more"):
        require(server, [(f"/vms/{number}", "VM.Migrate") for number in range(10)])
