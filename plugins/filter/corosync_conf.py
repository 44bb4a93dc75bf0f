# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.corosync_conf."""

from __future__ import annotations

DOCUMENTATION = r"""
name: corosync_conf
short_description: A corosync.conf as data
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Reads the text of a C(corosync.conf). A text that is none is an error that names the line.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Read the version and the addresses
  ansible.builtin.assert:
    that:
      - >-
        (text | quorate.pve.corosync_conf).config_version == 3
      - >-
        (text | quorate.pve.corosync_conf).nodes[0].addresses[0] == '10.0.0.11'
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
  description: C(cluster), C(config_version), C(nodes) (C(name), C(nodeid), C(votes), C(addresses) by link),
    C(links), C(votes) (C(expected), C(quorum)), C(device) of the witness or null, and the whole file as C(tree).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

from_corosync_conf = later("_filter_values", "from_corosync_conf")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"corosync_conf": from_corosync_conf}
