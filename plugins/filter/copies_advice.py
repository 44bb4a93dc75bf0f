# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.copies_advice."""

from __future__ import annotations

DOCUMENTATION = r"""
name: copies_advice
short_description: How many copies a pool of Ceph's needs
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Says which C(size) and C(min_size) lose no acknowledged write and go on without a stop when something fails, and
    what is wrong with those that a pool has.
positional: survive, size, min_size
options:
  _input:
    description: Number of hosts with OSDs.
    type: int
    required: true
  survive:
    description: What is to be survived. V(site) means two sites with a monitor in a third place.
    type: str
    choices: [host, two_hosts, site]
    default: host
  size:
    description: Copies that the pool has.
    type: int
  min_size:
    description: Copies that it wants before it takes a write.
    type: int
"""

EXAMPLES = r"""
- name: Judge a pool
  ansible.builtin.assert:
    that:
      - >-
        (3 | quorate.pve.copies_advice).size == 3
      - >-
        not (3 | quorate.pve.copies_advice(size=2, min_size=1)).ok
      - >-
        (3 | quorate.pve.copies_advice(size=3, min_size=2)).problem == ''
      - >-
        not (2 | quorate.pve.copies_advice).ok
"""

RETURN = r"""
_value:
  description: C(size), C(min_size), the C(hosts) that they need, C(ok), and the C(problem) in words.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

copies_advice = later("_capacity", "copies_advice")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"copies_advice": copies_advice}
