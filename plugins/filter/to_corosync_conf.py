# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.to_corosync_conf."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_corosync_conf
short_description: Data as a corosync.conf
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Writes what P(quorate.pve.corosync_conf#filter) read, C(tree) with whatever was changed in it.
  - To change the links of a living cluster there is M(quorate.pve.corosync_links), which keeps it quorate.
options:
  _input:
    description: The tree, or the mapping that has it as C(tree).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Read it, write it, and find the same
  ansible.builtin.assert:
    that:
      - >-
        (text | quorate.pve.corosync_conf | quorate.pve.to_corosync_conf | quorate.pve.corosync_conf).nodes
        == (text | quorate.pve.corosync_conf).nodes
  vars:
    text: |
      totem {
        version: 2
        cluster_name: ha-pve1
        config_version: 3
        interface {
          linknumber: 0
        }
      }
      nodelist {
        node {
          name: pve1
          nodeid: 1
          quorum_votes: 1
          ring0_addr: 10.0.0.11
        }
      }
      quorum {
        provider: corosync_votequorum
      }
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

to_corosync_conf = later("_filter_values", "to_corosync_conf")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"to_corosync_conf": to_corosync_conf}
