# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's files and formats (facts §19)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.firewall import formats
from agentstack.firewall.config import (
    Alias,
    FirewallConfig,
    Group,
    IpSet,
    Member,
    format_config,
    format_rule,
    parse,
    parse_rule,
)
from agentstack.firewall.rules import move

FILE = """\
[OPTIONS]

enable: 1
policy_in: DROP

[ALIASES]

office 192.0.2.0/24 # home

[IPSET admins] # people

198.51.100.0/24
!198.51.100.9 # not him

[RULES]

IN SSH(ACCEPT) -i vmbr0 -source +admins -log nolog # from us
|OUT DROP -p tcp -dport 25
GROUP web

[group web]

IN ACCEPT -p tcp -dport 80,443
"""


def test_a_file() -> None:
    config = parse(FILE)
    assert config.options == {"enable": "1", "policy_in": "DROP"}
    assert config.aliases == {"office": Alias("192.0.2.0/24", "home")}
    members = [Member("198.51.100.0/24"), Member("198.51.100.9", nomatch=True, comment="not him")]
    assert config.ipsets == {"admins": IpSet(members, "people")}
    assert config.rules[0] == {
        **{"type": "in", "macro": "SSH", "action": "ACCEPT", "enable": 1, "iface": "vmbr0", "source": "+admins"},
        **{"log": "nolog", "comment": "from us"},
    }
    assert [rule["enable"] for rule in config.rules] == [1, 0, 1]
    assert config.groups["web"].rules[0]["dport"] == "80,443"
    assert format_config(config) == FILE


def test_what_cannot_be_read_is_skipped() -> None:
    assert parse("[RULES]\nNONSENSE\nIN ACCEPT -nosuch 1\nIN DROP\n[OPTIONS]\n???\n").rules == [
        {"type": "in", "action": "DROP", "enable": 1}
    ]


_word = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{1,10}", fullmatch=True)
_comment = st.from_regex(r"(?:[a-zA-Z0-9äöü,.]+(?: [a-z0-9]+){0,3})?", fullmatch=True)
_rules = st.fixed_dictionaries(
    {"type": st.sampled_from(["in", "out", "forward"]), "action": _word, "enable": st.sampled_from([0, 1])},
    optional={"proto": _word, "dport": st.from_regex(r"\d{1,4}", fullmatch=True), "iface": _word, "comment": _comment},
)


@given(_rules)
def test_rules_read_back(rule: dict[str, Any]) -> None:
    assert parse_rule(format_rule(rule)) == {name: value for name, value in rule.items() if value != ""}


@given(st.dictionaries(_word.map(str.lower), _comment, max_size=4), st.lists(_rules, max_size=3))
def test_files_read_back(names: dict[str, str], rules: list[dict[str, Any]]) -> None:
    rules = [{name: value for name, value in rule.items() if value != ""} for rule in rules]
    config = FirewallConfig(
        {"enable": "1"},
        {name: Alias("192.0.2.1", comment) for name, comment in names.items()},
        {name: IpSet([Member("192.0.2.1", comment=comment)], comment) for name, comment in names.items()},
        rules,
        {name: Group(list(rules), comment) for name, comment in names.items()},
    )
    assert parse(format_config(config)) == config


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1), st.integers(0, n))))
def test_a_moved_rule_stands_before_the_one_it_was_moved_to(case: tuple[int, int, int]) -> None:
    count, pos, target = case
    rules: list[dict[str, Any]] = [{"action": str(number)} for number in range(count)]
    order = [rule["action"] for rule in rules]
    move(rules, pos, target)
    found = [rule["action"] for rule in rules]
    assert sorted(found) == order
    behind = found[found.index(str(pos)) + 1 :]
    assert target in (pos, pos + 1) or (behind[0] if behind else None) == (str(target) if target < count else None)


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "192.0.2.0/24,192.0.2.9-192.0.2.11", "+set", "+dc/set", "dc/alias", "a1"]
)
def test_addresses(text: str) -> None:
    formats.check_address(text)


@pytest.mark.parametrize("text", ["192.0.2.300", "192.0.2.9-192.0.2.1", "192.0.2.1,2001:db8::1", "a b", "+", ""])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|range"):
        formats.check_address(text)


@pytest.mark.parametrize("text", ["22", "80,443,1000:2000", "ssh", "0"])
def test_ports(text: str) -> None:
    formats.check_ports(text)


@pytest.mark.parametrize("text", ["65536", "nosuch", "20:10", "x:20", ",".join(["1"] * 16), ""])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|ascending"):
        formats.check_ports(text)
