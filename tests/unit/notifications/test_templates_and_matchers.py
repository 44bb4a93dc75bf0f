# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from agentstack.errors import AgentError
from agentstack.notifications.config import MATCHER, Configuration
from agentstack.notifications.matchers import check_matcher, fits, targets
from agentstack.notifications.message import Notification
from agentstack.notifications.templates import render, variables

# a Sunday, 02:19 UTC
TOLD = Notification("error", 'A "bad" day', "line\nline", 1_795_313_940.0, {"type": "verify", "datastore": "main"})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ title }}", 'A "bad" day'),
        ('{"t": {{ json title }}}', '{"t": "A \\"bad\\" day"}'),
        ('"{{ escape message }}"', '"line\\nline"'),
        ("{{{title}}}", 'A "bad" day'),
        ("/{{ url-encode title }}", "/A%20%22bad%22%20day"),
        ("{{ fields.datastore }} {{ fields.none }} {{ secrets.key }} {{ severity }} {{ timestamp }}",
         "main  horse error 1795313940"),
        ("{{ json fields }}", '{"type": "verify", "datastore": "main"}'),
    ],
)  # fmt: skip
def test_places_are_filled_in(template: str, expected: str) -> None:
    assert render(template, variables(TOLD, {"key": "horse"})) == expected


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ({}, True),
        ({"match-severity": ["warning,error"]}, True),
        ({"match-severity": ["info"]}, False),
        ({"match-field": ["exact:type=gc,verify"]}, True),
        ({"match-field": ["regex:datastore=^ma"]}, True),
        ({"match-field": ["exact:job-id=x"]}, False),
        ({"match-field": ["exact:job-id=x"], "match-severity": ["error"]}, False),
        ({"match-field": ["exact:job-id=x"], "match-severity": ["error"], "mode": "any"}, True),
        ({"match-severity": ["error"], "invert-match": True}, False),
        ({"match-calendar": ["sun 2:00-3:00"]}, True),
        ({"match-calendar": ["mon..sat 0:00-23:59"]}, False),
    ],
)
def test_matchers_choose(matcher: dict[str, Any], *, expected: bool) -> None:
    assert fits(matcher, TOLD, "UTC") is expected
    assert targets([{**matcher, "target": ["a", "a"]}], TOLD, "UTC") == (["a"] if expected else [])
    assert targets([{**matcher, "target": ["a"], "disable": True}], TOLD, "UTC") == []


@pytest.mark.parametrize(
    "matcher", [{"match-severity": ["bad"]}, {"match-field": ["type=gc"]}, {"match-field": ["regex:a=("]}]
)
def test_rules_that_cannot_be_read(matcher: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_matcher(matcher)


def test_the_configuration_keeps_secrets_apart() -> None:
    found = Configuration()
    found.create(("smtp", "mail"), {"server": "mail.test", "port": 25, "password": "horse", "mailto": ["a@b", "c@d"]})
    found.create((MATCHER, "all"), {"target": ["mail"], "invert-match": True})
    public, private = found.format()
    assert "horse" not in public
    assert "horse" in private
    assert Configuration.parse(public, private).entries == found.entries
    with pytest.raises(AgentError, match="same name already exists"):
        found.create(("gotify", "all"), {})
    with pytest.raises(AgentError, match="referenced by: all"):
        found.remove(("smtp", "mail"))
    with pytest.raises(AgentError, match="endpoint 'nobody' does not exist"):
        found.create((MATCHER, "none"), {"target": ["nobody"]})
    assert found.origin((MATCHER, "default-matcher")) == "builtin"
    found.put((MATCHER, "default-matcher"), {"disable": True})
    assert found.origin((MATCHER, "default-matcher")) == "modified-builtin"
    found.remove((MATCHER, "default-matcher"))
    assert found.all()[MATCHER, "default-matcher"]["target"] == ["mail-to-root"]
