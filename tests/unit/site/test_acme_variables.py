# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about certificates from authorities."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._site_checks import problems
from ansible_collections.quorate.pve.plugins.module_utils._site_nodes import node_table

NODES = node_table(["pve1", "pve2"], {f"pve{n}": {"pve_address": f"192.0.2.{n}"} for n in (1, 2)})
GOOD: dict[str, Any] = {
    "pve_acme_accounts": [{"name": "company", "eab_kid": "1", "eab_hmac_key": "x"}, {"name": "old", "state": "absent"}],
    "pve_acme_plugins": [{"id": "zone", "api": "cf"}],
    "pve_acme_domains": [
        {"node": "pve1", "account": "company", "domains": ["a.example.org", "*.example.org"], "plugin": "zone"},
        {"node": "pve2", "account": "company", "domains": ["b.example.org"], "plugin": "standalone"},
    ],
    "pve_acme_certificates": [{"node": "*"}],
}


def test_nothing_is_wrong() -> None:
    assert problems(GOOD, NODES) == []
    # what others look after is not known
    wanted = {name: GOOD[name] for name in ("pve_acme_domains", "pve_acme_certificates")}
    assert problems(wanted, NODES) == []
    assert problems({"pve_acme_certificates": [{"node": "*"}]}, NODES) == []


WILDCARD = [{"node": "*", "account": "company", "domains": ["*.example.org"]}]
TWICE = [{"node": each, "account": "company", "domains": ["a.example.org"]} for each in ("pve1", "pve2")]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("accounts", [{"name": "company", "eab_kid": "1"}], "accounts[0] (company): eab_kid and eab_hmac_key"),
        ("accounts", [{"name": "x"}], "domains[0] (pve1): the account company is not in pve_acme_accounts (x)"),
        ("plugins", [], "domains[0] (pve1): the plugin zone is not in pve_acme_plugins (none)"),
        ("domains", WILDCARD, "by a DNS plugin only"),
        ("domains", TWICE, "domains[1] (pve2): a.example.org is a domain of pve_acme_domains[0] (pve1) too"),
        ("domains", GOOD["pve_acme_domains"][:1], "certificates[0] (*): pve2 has no domains"),
        ("certificates", [{"node": "pve9"}], "pve9, which is no node of this cluster"),
    ],
)
def test_what_does_not_fit_is_named(variable: str, value: Any, said: str) -> None:
    found = problems({**GOOD, f"pve_acme_{variable}": value}, NODES)
    assert any(said in each for each in found), found


def test_a_certificate_has_one_origin() -> None:
    found = problems({**GOOD, "pve_certificates": [{"node": "pve2", "certificate": "x"}]}, NODES)
    where = "pve_acme_certificates[0] (*): pve2 is given another certificate by pve_certificates."
    assert found == [f"{where} Decide for one of them."]
