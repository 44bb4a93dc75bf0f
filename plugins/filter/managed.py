# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.managed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: managed
short_description: Whether a run looks after an area
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Areas that C(pve_safety.manage) does not name are left alone. Without it, all are looked after.
positional: area
options:
  _input:
    description: The variable C(pve_safety), or nothing.
    type: dict
  area:
    description: The area, called like its role.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Ceph, if it is ours
  ansible.builtin.import_role:
    name: quorate.pve.ceph
  when: pve_safety | default(none) | quorate.pve.managed('ceph')
"""

RETURN = r"""
_value:
  description: Whether it is looked after.
  type: bool
"""

from collections.abc import Callable, Mapping
from typing import Any


def managed(safety: Mapping[str, Any] | None, area: str) -> bool:
    """Whether `area` is one of those that are named, if any are."""
    areas = (safety or {}).get("manage")
    return areas is None or area in areas


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"managed": managed}
