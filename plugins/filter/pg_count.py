# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.pg_count."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pg_count
short_description: How many placement groups a pool of Ceph's should have
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Ceph's own rule, about a hundred placement groups an OSD in all, as a power of two, and never more than Ceph admits.
positional: size, share, target
options:
  _input:
    description: Number of OSDs that the pool may use.
    type: int
    required: true
  size:
    description: Copies.
    type: int
    default: 3
  share:
    description: The part of all data that this pool will hold, above 0, at most 1.
    type: float
    default: 1.0
  target:
    description: Placement groups an OSD.
    type: int
    default: 100
"""

EXAMPLES = r"""
- name: See what nine OSDs take
  ansible.builtin.assert:
    that:
      - >-
        9 | quorate.pve.pg_count == 256
      - >-
        9 | quorate.pve.pg_count(size=3, share=0.1) == 32
"""

RETURN = r"""
_value:
  description: The number.
  type: int
  sample: 256
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

pg_count = later("_capacity", "pg_count")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pg_count": pg_count}
