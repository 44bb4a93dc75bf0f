# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.simulate_prune."""

from __future__ import annotations

DOCUMENTATION = r"""
name: simulate_prune
short_description: What a retention keeps and removes
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Applies C(keep-*) rules to the backups of one guest as Proxmox VE and Proxmox Backup Server do; touches none.
positional: keep, timezone
options:
  _input:
    description:
      - The backups of one guest, each a time (Unix seconds or ISO 8601), or a mapping with C(time), C(ctime) or
        C(backup-time), and C(protected).
    type: list
    elements: raw
    required: true
  keep:
    description: The rules, as a mapping with C(last), C(daily), ... or C(keep_last), or V(keep-last=3,keep-daily=7).
    type: raw
    required: true
  timezone:
    description: Time zone of the server, which decides where a day ends.
    type: str
    default: UTC
"""

EXAMPLES = r"""
- name: See what is left of four backups
  ansible.builtin.assert:
    that:
      - >-
        (backups | quorate.pve.simulate_prune({'daily': 2})) | map(attribute='mark')
        == ['keep', 'remove', 'keep', 'remove']
      - >-
        (backups | quorate.pve.simulate_prune('keep-last=1')) | selectattr('mark', 'equalto', 'keep') | length == 1
  vars:
    backups:
      - '2026-11-20T02:00:00'
      - '2026-11-20T14:00:00'
      - '2026-11-21T02:00:00'
      - '2026-11-21T14:00:00'
"""

RETURN = r"""
_value:
  description: Each backup, newest first, with C(time), C(epoch), and C(mark), which is V(keep), V(remove),
    V(protected) or V(keep-partial).
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

simulate_prune = later("_filter_values", "simulate_prune")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"simulate_prune": simulate_prune}
