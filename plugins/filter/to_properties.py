# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.to_properties."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_properties
short_description: Data as a property string
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Writes C(key=value,key=value); booleans become V(1) and V(0), and what is null is left out.
positional: default_key
options:
  _input:
    description: The keys with their values.
    type: dict
    required: true
  default_key:
    description: The key whose value stands alone, in the first place.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Write a disk
  ansible.builtin.assert:
    that:
      - >-
        {'volume': 'tank:8', 'ssd': true} | quorate.pve.to_properties('volume') == 'tank:8,ssd=1'
"""

RETURN = r"""
_value:
  description: The property string.
  type: str
  sample: tank:8,ssd=1
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

to_properties = later("_filter_values", "to_properties")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"to_properties": to_properties}
