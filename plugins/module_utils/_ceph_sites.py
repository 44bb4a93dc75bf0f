# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nodes' sites mean for Ceph in stretch mode. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._pure.lists import natural_sorted
from ._site_nodes import Node

RULE, TYPE = "stretch_rule", "datacenter"
COPIES = 2


def ceph_layout(
    nodes: Sequence[Node], stretch: Mapping[str, Any], members: Sequence[str] | None = None
) -> dict[str, Any]:
    """`buckets` and `rules` as ceph_crush takes them, `sites`: node -> site.

    ``members``: nodes with Ceph, all if not given. The tiebreaker's site holds no data, so it gets no bucket.
    """
    kind, rule = str(stretch.get("type") or TYPE), str(stretch.get("rule") or RULE)
    sites = {node["name"]: str(node["site"]) for node in nodes if node.get("site")}
    third = sites.get(str(stretch.get("tiebreaker")))
    with_data = {name: site for name, site in sites.items() if site != third and (members is None or name in members)}
    buckets: list[dict[str, Any]] = [
        {"name": site, "type": kind, "location": {"root": "default"}} for site in natural_sorted({*with_data.values()})
    ]
    buckets += [
        {"name": name, "type": "host", "location": {kind: site, "root": "default"}} for name, site in with_data.items()
    ]
    rules = [{"name": rule, "across": kind, "copies_in_each": COPIES, "failure_domain": "host"}]
    return {"buckets": buckets, "rules": rules, "sites": sites, "rule": rule, "type": kind}
