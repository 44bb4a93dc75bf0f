# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.with_failback."""

from __future__ import annotations

DOCUMENTATION = r"""
name: with_failback
short_description: HA resources with the failback of their affinity
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Whether a resource returns to the preferred node is said once, with the affinity. From Proxmox VE 9 on the server
    keeps it with the resource.
positional: affinity
options:
  _input:
    description: The resources as for M(quorate.pve.ha_resources).
    type: list
    elements: dict
    required: true
  affinity:
    description: The affinities, each with C(resources) and possibly C(failback).
    type: list
    elements: dict
"""

EXAMPLES = r"""
resources: "{{ pve_ha_resources | quorate.pve.with_failback(pve_ha_affinity) }}"
"""

RETURN = r"""
_value:
  description: The resources; one that says C(failback) itself keeps that.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def with_failback(
    resources: Iterable[Mapping[str, Any]], affinity: Iterable[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Each of `resources` with the failback of the affinity that names it, unless it has one of its own."""
    failback = {
        sid: {"failback": one["failback"]}
        for one in affinity or []
        if one.get("failback") is not None
        for sid in one.get("resources") or []
    }
    return [{**failback.get(resource["sid"], {}), **resource} for resource in resources]


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"with_failback": with_failback}
