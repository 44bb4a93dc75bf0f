# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads back what nodes order their certificates with. Private to this collection."""

from __future__ import annotations

from ._acme import DOMAINS, AcmeDomains
from ._acme_accounts import ACCOUNTS, AcmeAccounts
from ._api import Api
from ._export_special import element
from ._plan import Wanted
from ._pure.lists import natural_sorted
from ._spec import Item


def accounts(api: Api) -> list[Item] | None:
    """The accounts: whoever registered them has agreed to the terms."""
    names = sorted(str(each["name"]) for each in api.client.get(ACCOUNTS.path))
    seen = AcmeAccounts(api, {}).observe([Wanted({"name": name}, name) for name in names])
    return [{**element(ACCOUNTS, item), "terms_agreed": True} for item in seen.values()] or None


def domains(api: Api) -> list[Item] | None:
    """The domains of the nodes that have some."""
    nodes = AcmeDomains(api, {})
    seen = [item for node in natural_sorted(api.nodes) if api.online(node) for item in nodes.read(node)]
    return [element(DOMAINS, item) for item in seen if item.get("domains")] or None
