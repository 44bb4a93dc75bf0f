# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firewalls: rules known by a key and not by their place, and nobody locked out. Predictions: no node is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._firewall_guard import is_on, own_address
from ansible_collections.quorate.pve.plugins.module_utils._firewall_rules import key_of

from .scripted import Step, get

Run = Callable[..., dict[str, Any]]
FW = "/cluster/firewall"
SSH = {"ssh_password": "x", "rollback_after": 60}
NODE = "127.0.0.1"
NODES = [{"node": "pve1", "address": NODE}]
MEMBERS = get("/nodes", [{"node": "pve1", "status": "online"}])
API = {"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "8006", "source": "127.0.0.1", "enable": 1}
SHELL = {**API, "dport": "22"}


def rows(*rules: dict[str, Any]) -> list[dict[str, Any]]:
    """Rules in the server's words."""
    return [{"pos": place, **rule} for place, rule in enumerate(rules)]


def guarded(options: dict[str, Any], *rules: dict[str, Any]) -> list[Step]:
    """What is read to know who is let in."""
    return [
        get(f"{FW}/aliases", []),
        get(f"{FW}/ipset", []),
        get(f"{FW}/groups", []),
        get(f"{FW}/rules", rows(*rules)),
        MEMBERS,
        get("/nodes/pve1/firewall/options", options),
        get("/nodes/pve1/firewall/rules", []),
        get("/nodes/pve1/network", [{"iface": "vmbr0", "address": NODE, "cidr": "192.0.2.0/24"}]),
    ]


def switch_on(run: Run, *steps: Step, **more: Any) -> dict[str, Any]:
    """The cluster's firewall is to be on."""
    given = {**SSH, "firewalls": [{"options": {"enable": True}}], "nodes": NODES, **more}
    return run("firewall_options", [get(f"{FW}/options", {"digest": "a"}), *steps], check=True, **given)


def test_nobody_switches_on_what_keeps_him_out(run: Run) -> None:
    result = switch_on(run, *guarded({}, API))
    assert result["failed"]
    assert f"127.0.0.1, this machine, would no longer reach port 22 of pve1 ({NODE})" in result["msg"]
    assert "port 8006" not in result["msg"]
    assert "dport 22, source 127.0.0.1" in result["msg"]


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, (API, SHELL)),
        # a node's own firewall is off
        ({"enable": 0}, ()),
        ({}, ({**API, "dport": "22,8006", "source": "127.0.0.0/8"},)),
    ],
)
def test_who_is_let_in_may_switch_on(run: Run, options: dict[str, Any], rules: tuple[dict[str, Any], ...]) -> None:
    steps = guarded(options, *rules)
    result = switch_on(run, *(steps[:6] if options else steps))
    assert result.get("changed"), result
    assert [change["object"] for change in result["plan"]] == ["firewall of the cluster"]


@pytest.mark.parametrize("rule", [{"enable": 0}, {"action": "DROP"}, {"proto": "udp"}, {"source": "192.0.2.1"}])
def test_a_rule_that_lets_in_others_does_not_help(run: Run, rule: dict[str, Any]) -> None:
    assert "port 8006" in switch_on(run, *guarded({}, {**API, **rule}, SHELL))["msg"]


def test_a_way_back_or_the_word_for_it(run: Run) -> None:
    assert "how the nodes are reached over SSH is not said" in switch_on(run, nodes=[])["msg"]
    assert switch_on(run, nodes=[], allow_lock_out=True)["changed"]


@pytest.mark.parametrize(
    ("has", "wanted", "changes"),
    [
        ({}, {"enable": False}, True),
        ({"enable": 0}, {"enable": False}, False),
        # on since that second
        ({"enable": 1760000000}, {"enable": True}, False),
        ({"policy_in": "DROP", "enable": 0}, {"policy_in": None}, True),
        ({"enable": 0}, {"policy_in": None}, False),
    ],
)
def test_options_that_are_as_wanted(run: Run, has: dict[str, Any], wanted: dict[str, Any], changes: bool) -> None:
    given = {**SSH, "firewalls": [{"options": wanted}], "nodes": [], "allow_lock_out": True}
    result = run("firewall_options", [get(f"{FW}/options", has)], check=True, **given)
    assert result["changed"] == changes, result


def test_keys_in_comments() -> None:
    assert key_of({"comment": "[web] for all"}) == ("web", "for all")
    assert key_of({"comment": "[web]"}) == ("web", "")
    assert key_of({"comment": "by hand"}) == ("", "by hand")
    assert key_of({}) == ("", "")


def ruled(run: Run, listed: list[dict[str, Any]], *rules: dict[str, Any], **more: Any) -> list[str]:
    """What would be done to the rules of a cluster whose firewall is off."""
    steps = [get(f"{FW}/rules", listed)]
    steps += [get(f"{FW}/options", {"enable": 0})] if more.pop("changes", True) else []
    result = run("firewall_rules", steps, check=True, **{**SSH, "rules": list(rules), "nodes": [], **more})
    assert not result.get("failed"), result
    return [f"{change['action']} {change['object']}" for change in result["plan"]]


A = {"key": "a", "type": "in", "action": "ACCEPT"}
B = {"key": "b", "type": "in", "action": "DROP"}
A_ROW = {"type": "in", "action": "ACCEPT", "enable": 1, "comment": "[a]"}
B_ROW = {"type": "in", "action": "DROP", "enable": 1, "comment": "[b]"}
FOREIGN = {"type": "out", "action": "ACCEPT", "enable": 1, "comment": "by hand"}


def test_rules_are_known_wherever_they_stand(run: Run) -> None:
    assert ruled(run, rows(FOREIGN, A_ROW, FOREIGN, B_ROW), A, B, changes=False) == []
    assert ruled(run, rows(B_ROW, FOREIGN, A_ROW), A, B) == ["update order of firewall rules of the cluster"]
    assert ruled(run, rows(FOREIGN, A_ROW), A, B) == ["create firewall rule b"]
    assert ruled(run, rows(A_ROW, B_ROW), {**A, "action": "DROP"}, B) == ["update firewall rule a"]


def test_a_purge_spares_what_is_not_ours(run: Run) -> None:
    assert ruled(run, rows(FOREIGN, A_ROW, B_ROW), A, purge=True, purge_limit="100%") == ["delete firewall rule b"]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({**A, "key": "a b"}, "key must be of letters"),
        ({**A, "scope": "node"}, "scope node goes with node"),
        ({**A, "guest": 101}, "scope cluster goes without guest"),
    ],
)
def test_elements_that_cannot_be(run: Run, rule: dict[str, Any], text: str) -> None:
    result = run("firewall_rules", [], check=True, **{**SSH, "rules": [rule], "nodes": []})
    assert text in result["msg"]


def test_members_of_a_set_that_cannot_be(run: Run) -> None:
    result = run("ip_sets", [], check=True, sets=[{"name": "s", "members": [{"cidr": "192.0.2.1", "more": 1}]}])
    assert "a member is an address, or has cidr, nomatch and comment" in result["msg"]


def test_this_machines_address() -> None:
    assert own_address("127.0.0.1") == "127.0.0.1"
    assert [is_on(value) for value in (0, "0", "no", "", 1, "1", 1760000000)] == [False] * 4 + [True] * 3
