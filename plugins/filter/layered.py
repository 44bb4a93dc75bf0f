# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.layered."""

from __future__ import annotations

DOCUMENTATION = r"""
name: layered
short_description: Merge the layers of a variable
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - A list such as C(pve_storages) can be given in layers, so that a group or a host adds to what holds for all instead
    of replacing it. C(pve_storages__dc1) and C(pve_storages__host) come after C(pve_storages), by name, C(host) last.
  - Elements are merged by what the objects are known by. A later one changes the settings that it names; with
    C(state=absent) it has the object removed, with C(state=ignore) left as it is.
  - The role C(safety) does this for all variables at the start of a run.
positional: values
options:
  _input:
    description: Name of the variable.
    type: str
    required: true
  values:
    description: The value of each layer by its name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Storages of all layers
  ansible.builtin.set_fact:
    pve_storages: "{{ 'pve_storages' | quorate.pve.layered({'pve_storages': base, 'pve_storages__dc1': more}) }}"
"""

RETURN = r"""
_value:
  description: The merged value.
  type: raw
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError
from ansible_collections.quorate.pve.plugins.module_utils._layers import layers_of, merge
from ansible_collections.quorate.pve.plugins.module_utils._plain import plain


def layered(name: str, values: Mapping[str, Any]) -> Any:
    """The value of the variable `name` from all of its layers."""
    try:
        return merge(name, {layer: plain(values[layer]) for layer in layers_of(name, list(values))})
    except InputError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"layered": layered}
