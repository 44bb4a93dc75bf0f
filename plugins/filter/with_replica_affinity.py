# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.with_replica_affinity."""

from __future__ import annotations

DOCUMENTATION = r"""
name: with_replica_affinity
short_description: HA affinities, with one for every replicated guest that has none
version_added: 0.2.0
author: Quorate contributors (@quorate)
description:
  - HA does not know where the replicas of a guest are, and could start it where it has none. So each resource whose
    guest is replicated gets a strict affinity to its own node and the targets of its jobs, unless one names it.
positional: resources, jobs, guests
options:
  _input:
    description: The affinities as for M(quorate.pve.ha_rules).
    type: list
    elements: dict
  resources:
    description: The resources as for M(quorate.pve.ha_resources).
    type: list
    elements: dict
  jobs:
    description: The jobs as for M(quorate.pve.replication_jobs).
    type: list
    elements: dict
  guests:
    description: The guests as for M(quorate.pve.guests); they say on which node each is at home.
    type: list
    elements: dict
"""

EXAMPLES = r"""
rules: "{{ pve_ha_affinity | quorate.pve.with_replica_affinity(pve_ha_resources, pve_replication_jobs, pve_guests) }}"
"""

RETURN = r"""
_value:
  description: The affinities, those that were derived last.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

with_replica_affinity = later("_ha_replicas", "with_replica_affinity")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"with_replica_affinity": with_replica_affinity}
