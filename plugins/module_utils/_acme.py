# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins for ACME challenges, and the domains that nodes want certificates for. Private to this collection."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._collection import Collection
from ._errors import InputError, QuorateError
from ._node_sets import NodeSet
from ._node_settings import NODE
from ._plan import Change, Wanted, raise_all
from ._spec import Field, Item, Key, Spec
from ._values import BOOLEAN, INTEGER, SET, Form, join_properties, split_properties

BUILT_IN = "standalone"
_NUMBERED = re.compile(r"acmedomain\d")


def _data(value: Any) -> str | None:
    """Lines of NAME=VALUE, by name, as the server stores and tells them."""
    lines = [f"{name}={value[name]}" for name in value] if isinstance(value, Mapping) else str(value).splitlines()
    return "\n".join(sorted(line.strip() for line in lines if line.strip())) or None


DATA = Form(_data, lambda text: base64.b64encode(text.encode()).decode(), "raw")

PLUGINS = Spec(
    kind="ACME plugin",
    option="plugins",
    keys=("id",),
    path="/cluster/acme/plugins",
    item_path="/cluster/acme/plugins/{id}",
    digest=True,
    kept=frozenset({(BUILT_IN,)}),
    fields=(
        Field("id", required=True),
        Field("type", choices=("dns", "standalone"), fixed=True, initial="dns"),
        Field("api"),
        Field("data", DATA, secret=True, told=True),
        Field("settings", DATA, listed=False, sent=False),
        Field("nodes", SET, refers="node"),
        Field("disable", BOOLEAN, default=False),
        Field("validation_delay", INTEGER, api="validation-delay", default=30),
    ),
)


class AcmePlugins(Collection):
    """Plugins. To the server, what is secret of their data and what is not are one text."""

    spec = PLUGINS

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """The settings join the credentials; a name may stand in one of them only."""
        joined: list[Wanted] = []
        errors: list[QuorateError] = []
        for want in wanted:
            item = dict(want.item)
            if settings := item.pop("settings", None):
                texts = [settings, *([item["data"]] if item.get("data") else [])]
                names = [line.partition("=")[0] for text in texts for line in text.splitlines()]
                if twice := sorted({name for name in names if names.count(name) > 1}):
                    errors.append(InputError(f"data and settings both have {', '.join(twice)}", where=want.where))
                item["data"] = _data("\n".join(texts))
            joined.append(replace(want, item=item))
        raise_all(errors)
        return joined

    def by_key(self, answers: Sequence[Mapping[str, Any]]) -> dict[Key, Item]:
        """The list calls the id ``plugin``."""
        return super().by_key([{**answer, "id": answer["plugin"]} for answer in answers])


DOMAINS = Spec(
    kind="ACME domains",
    option="domains",
    keys=("node",),
    label_format="of {node}",
    path="/nodes/{node}/config",
    item_path="/nodes/{node}/config",
    states=(),
    fields=(
        NODE,
        Field("account"),
        Field("domains", Form(lambda value: sorted(str(each) for each in value) or None, list, "list", "str")),
        Field("plugin"),
    ),
)


def _parts(config: Mapping[str, Any]) -> tuple[dict[str, str], list[str], dict[str, dict[str, str]]]:
    """A node's configuration: account and the like, domains without a plugin, numbered domains with theirs."""
    acme = split_properties(str(config.get("acme", "")))
    named = {name: split_properties(str(config[name]), "domain") for name in config if _NUMBERED.fullmatch(name)}
    return acme, [domain for domain in re.split(r"[;,\s]+", acme.get("domains", "")) if domain], named


def configured_domains(config: Mapping[str, Any]) -> list[str]:
    """The domains that a node is to have a certificate for."""
    _acme, plain, named = _parts(config)
    return sorted([*plain, *(each["domain"] for each in named.values())])


class AcmeDomains(NodeSet):
    """The account and the domains of each node, all validated in one way."""

    spec = DOMAINS

    def read(self, node: str) -> list[Item]:
        found = self.api.client.get(DOMAINS.path.format(node=node))
        acme, plain, named = _parts(found)
        plugins = {each.get("plugin") for each in named.values()}
        item: Item = {
            "node": node,
            "account": acme.get("account"),
            "domains": configured_domains(found) or None,
            "plugin": plugins.pop() if len(plugins) == 1 and not plain else None,
            "numbered": sorted(named),
            "digest": found.get("digest"),
        }
        return [{name: value for name, value in item.items() if value is not None}]

    def create(self, change: Change) -> None:
        """Nodes are always there."""
        self.update(change)

    def update(self, change: Change) -> None:
        """All of it anew: without a plugin the domains are one list, with one each has a line."""
        now = {**change.actual, **change.set}
        for name in change.unset:
            now.pop(name, None)
        plugin, domains = now.get("plugin"), now.get("domains") or []
        acme = {"account": now.get("account"), "domains": ";".join(domains) if domains and not plugin else None}
        payload: dict[str, Any] = {}
        if text := join_properties(acme):
            payload["acme"] = text
        if plugin:
            lines = [join_properties({"": domain, "plugin": plugin}) for domain in domains]
            payload |= {f"acmedomain{number}": line for number, line in enumerate(lines)}
        gone = [name for name in (*change.actual.get("numbered", ()), "acme") if name not in payload]
        if gone:
            payload["delete"] = ",".join(gone)
        self.api.client.put(DOMAINS.fill(DOMAINS.path, change.item), {**payload, "digest": now.get("digest")})
