# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about certificates from authorities. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._site_elements import listed, names_in, present
from ._site_nodes import Node

BUILT_IN = "standalone"
DEFAULT_ACCOUNT = "default"
EVERY = "*"
FOREIGN = "If others look after it, list it with state: ignore."


def acme_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Accounts, plugins and domains that something refers to and that are nowhere; certificates of two origins."""
    yield from _accounts(variables)
    yield from _domains(variables)
    yield from _certificates(variables, {node["name"] for node in nodes})


def _accounts(variables: Mapping[str, Any]) -> Iterator[str]:
    for index, account in enumerate(variables.get("pve_acme_accounts") or []):
        if account.get("state") in ("absent", "ignore"):
            continue
        where = f"pve_acme_accounts[{index}] ({account['name']})"
        if bool(account.get("eab_kid")) != bool(account.get("eab_hmac_key")):
            yield f"{where}: eab_kid and eab_hmac_key go together."


def _domains(variables: Mapping[str, Any]) -> Iterator[str]:
    accounts = names_in(variables, "pve_acme_accounts", "name")
    plugins = names_in(variables, "pve_acme_plugins", "id")
    owner: dict[str, str] = {}
    for index, wish in enumerate(variables.get("pve_acme_domains") or []):
        where = f"pve_acme_domains[{index}] ({wish['node']})"
        account, plugin = wish.get("account") or DEFAULT_ACCOUNT, wish.get("plugin")
        if wish.get("domains") and accounts is not None and account not in accounts:
            yield f"{where}: the account {account} is not in pve_acme_accounts ({listed(accounts)}). {FOREIGN}"
        if plugin and plugin != BUILT_IN and plugins is not None and plugin not in plugins:
            yield f"{where}: the plugin {plugin} is not in pve_acme_plugins ({listed(plugins)}). {FOREIGN}"
        for domain in wish.get("domains") or []:
            if str(domain).startswith("*.") and plugin in (None, "", BUILT_IN):
                yield f"{where}: {domain} can be proven by a DNS plugin only. Name one in plugin."
            if domain in owner:
                yield f"{where}: {domain} is a domain of {owner[domain]} too."
            owner.setdefault(domain, where)


def _certificates(variables: Mapping[str, Any], names: set[str]) -> Iterator[str]:
    ordered = variables.get("pve_acme_certificates") or []
    wishes = variables.get("pve_acme_domains")
    have = {wish["node"] for wish in wishes or [] if wish.get("domains")}
    uploaded = {str(each["node"]) for _where, each in present(variables, "pve_certificates")}
    skipped = {each["node"] for each in ordered if each["node"] != EVERY}
    for index, each in enumerate(ordered):
        if each.get("state") in ("absent", "ignore"):
            continue
        where = f"pve_acme_certificates[{index}] ({each['node']})"
        meant = names - skipped if each["node"] == EVERY else {each["node"]}
        if wishes is not None and EVERY not in have and (without := meant - have):
            yield f"{where}: {listed(without)} has no domains in pve_acme_domains. Give it some, or leave it out."
        if both := (meant if EVERY in uploaded else meant & uploaded):
            yield f"{where}: {listed(both)} is given another certificate by pve_certificates. Decide for one of them."
