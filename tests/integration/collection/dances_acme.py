# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules about accounts with an authority, and certificates from it."""

from __future__ import annotations

from typing import Any

from .dances import Dance, Parameters
from .dances_ha import CLUSTER

EAB_KEY = "b2ZmaWNlLW9mZmljZS1vZmZpY2Utb2ZmaWNlLW9mZmljZQ"
STACK: dict[str, Any] = {"authority": {"http_port": 8088, "external_accounts": {"office": EAB_KEY}}}
ACCOUNT: Parameters = {
    "name": "company",
    "contact": ["a@example.org"],
    "directory": "{authority}",
    "terms_agreed": True,
    "eab_kid": "office",
    "eab_hmac_key": EAB_KEY,
}
DOMAINS = [{"node": f"pve{number}", "account": "company", "domains": [f"pve{number}.test.test"]} for number in (1, 2)]

DANCES: dict[str, Dance] = {
    "acme_accounts": Dance(
        (
            {"accounts": [ACCOUNT, {"name": "none", "state": "ignore"}], "timeout": 120},
            {"accounts": [{**ACCOUNT, "contact": ["b@example.org", "c@example.org"]}]},
            {"accounts": [{"name": "company", "state": "absent"}]},
        ),
        before=CLUSTER[:2],
    ),
    "acme_certificates": Dance(
        (
            {"certificates": [{"node": "pve1", "renew_before": 20, "force": False}], "timeout": 120},
            {"certificates": [{"node": "*"}]},
            {"certificates": [{"node": "*", "state": "absent"}]},
        ),
        before=(("acme_accounts", {"accounts": [ACCOUNT]}), ("acme_domains", {"domains": DOMAINS})),
        after=(
            ("acme_domains", {"domains": [{"node": "*", "account": "", "domains": []}]}),
            ("acme_accounts", {"accounts": [{"name": "company", "state": "absent"}]}),
        ),
    ),
}
