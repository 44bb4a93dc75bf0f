# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else changes the same configuration between what a module reads and what it writes: nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._api import Api
from ansible_collections.quorate.pve.plugins.module_utils._client import Client, Connection
from ansible_collections.quorate.pve.plugins.module_utils._dialect import PBS, PVE

from ...stacks import StackFactory
from .dances import Parameters
from .stage import Stage

FW = "/cluster/firewall"
NOTIFY = "/cluster/notifications"
GUARDED: Parameters = {"ssh_password": "x", "nodes": [], "allow_lock_out": True}


class Case(NamedTuple):
    """What is there before, what is wanted then, and the call that somebody else makes in between."""

    before: Parameters
    wanted: Parameters
    call: tuple[str, str, Parameters]


def changed(option: str, element: Parameters, call: tuple[str, str, Parameters]) -> Case:
    """An element that gets another comment."""
    key = next(iter(element.items()))
    return Case({option: [element]}, {option: [dict([key]) | {"comment": "new"}]}, call)


CASES = {
    "storages": Case(
        {"storages": [{"storage": "store", "type": "dir", "path": "/srv/a", "content": ["iso"]}]},
        {"storages": [{"storage": "store", "content": ["images"]}]},
        ("PUT", "/storage/store", {"content": "backup"}),
    ),
    "realms": changed("realms", {"realm": "pve"}, ("PUT", "/access/domains/pve", {"comment": "theirs"})),
    "acme_plugins": Case(
        {"plugins": [{"id": "provider", "api": "cf", "data": {"CF_Token": "x"}}]},
        {"plugins": [{"id": "provider", "validation_delay": 60}]},
        ("PUT", "/cluster/acme/plugins/provider", {"disable": 1}),
    ),
    "notification_matchers": changed(
        "matchers",
        {"name": "errors", "targets": ["mail-to-root"]},
        ("PUT", f"{NOTIFY}/matchers/errors", {"comment": "theirs"}),
    ),
    "notification_endpoints": changed(
        "endpoints",
        {"name": "push", "type": "gotify", "server": "http://192.0.2.1", "token": "x"},
        ("PUT", f"{NOTIFY}/endpoints/gotify/push", {"comment": "theirs"}),
    ),
    "firewall_aliases": changed(
        "aliases",
        {"name": "office", "cidr": "192.0.2.1"},
        ("PUT", f"{FW}/aliases/office", {"cidr": "192.0.2.2", "comment": "theirs"}),
    ),
    "ip_sets": changed("sets", {"name": "set1"}, ("POST", f"{FW}/ipset/set1", {"cidr": "192.0.2.1"})),
    "security_groups": changed("groups", {"name": "group1"}, ("POST", f"{FW}/groups", {"group": "theirs"})),
    "firewall_options": Case(
        {"firewalls": [{"options": {"policy_in": "DROP"}}], **GUARDED},
        {"firewalls": [{"options": {"policy_in": "REJECT"}}], **GUARDED},
        ("PUT", f"{FW}/options", {"policy_in": "ACCEPT"}),
    ),
    "pbs_users": changed("users", {"userid": "a@pbs"}, ("PUT", "/access/users/a@pbs", {"comment": "theirs"})),
    "pbs_tokens": Case(
        {"tokens": [{"tokenid": "root@pam!t", "secret_file": "{directory}/t"}]},
        {"tokens": [{"tokenid": "root@pam!t", "secret_file": "{directory}/t", "comment": "new"}]},
        ("PUT", "/access/users/root@pam/token/t", {"comment": "theirs"}),
    ),
    "pbs_acls": Case(
        {"acls": []},
        {"acls": [{"path": "/", "auth_id": "a@pbs", "role": "Audit"}]},
        ("PUT", "/access/acl", {"path": "/datastore", "auth-id": "a@pbs", "role": "Audit"}),
    ),
    "pbs_traffic_controls": changed(
        "rules",
        {"name": "rule1", "network": ["192.0.2.0/24"]},
        ("PUT", "/config/traffic-control/rule1", {"comment": "theirs"}),
    ),
}


@pytest.fixture(scope="module")
def stage(stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    hosts = {"pve1": {"kind": "pve"}, "pbs1": {"kind": "pbs"}}
    stack = stack_factory(hosts, scale=50, networks={"mgmt": {}, "ring1": {}})
    directory: Path = tmp_path_factory.mktemp("stage")
    return Stage(stack, directory)


@pytest.mark.parametrize("module", CASES)
def test_what_somebody_changes_in_between_is_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    case = CASES[module]
    stage.good(module, case.before)
    backup = module.startswith("pbs_")
    address = stage.here["pbs1" if backup else "node1"]
    dialect = PBS if backup else PVE
    connection = Connection(
        (address,), port=dialect.port, password=stage.here["password"], validate=False, dialect=dialect
    )
    approve = Api.approve

    def meanwhile(api: Api, changes: Sequence[Any], **more: Any) -> None:
        """Between the plan and the first write."""
        approve(api, changes, **more)
        monkeypatch.setattr(Api, "approve", approve)
        assert changes
        Client(connection).call(*case.call)

    monkeypatch.setattr(Api, "approve", meanwhile)
    result = stage.run(module, case.wanted)
    assert result["failed"]
    assert not result["changed"]
    assert "omebody else changed" in result["msg"]
    assert "un again" in result["msg"]
    assert stage.good(module, case.wanted)["changed"]
    assert not stage.good(module, case.wanted)["changed"]
