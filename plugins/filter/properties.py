# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.properties."""

from __future__ import annotations

DOCUMENTATION = r"""
name: properties
short_description: A property string as data
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Takes C(key=value,key=value), as the configuration of a guest or storage has it, apart.
positional: default_key
options:
  _input:
    description: The property string.
    type: str
    required: true
  default_key:
    description: The key of a value that stands alone.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Read the bridge of a network card
  ansible.builtin.assert:
    that:
      - >-
        ('virtio=BC:24:11:00:00:01,bridge=vmbr0' | quorate.pve.properties).bridge == 'vmbr0'
      - >-
        'tank:disk-0,size=8G' | quorate.pve.properties('volume') == {'volume': 'tank:disk-0', 'size': '8G'}
"""

RETURN = r"""
_value:
  description: The keys with their values, all text.
  type: dict
  sample: {bridge: vmbr0}
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

properties = later("_filter_values", "properties")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"properties": properties}
