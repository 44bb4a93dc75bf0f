#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the state of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Read the state of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Returns members, links, quorum, totem settings and versions of the cluster that O(api_hosts) reaches.
  - A standalone node is described likewise, with RV(cluster) set to V(null).
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  resources:
    description: Whether guests, storages and nodes are listed too, as the cluster last saw them.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the cluster
  quorate.pve.cluster_info:
    api_hosts: [192.0.2.11, 192.0.2.12]
    api_token_id: monitor@pve!look
    api_token_secret: "{{ vault_token }}"
  register: state

- name: Say who is there
  ansible.builtin.debug:
    msg: "{{ state.cluster }}: {{ state.nodes | selectattr('online') | map(attribute='name') | join(', ') }}"
"""

RETURN = r"""
cluster:
  description: Name of the cluster, or null on a standalone node.
  returned: success
  type: str
quorate:
  description: Whether the partition that answered is quorate. A standalone node always is.
  returned: success
  type: bool
config_version:
  description: Version of corosync.conf; 0 on a standalone node.
  returned: success
  type: int
nodes:
  description:
    - The members, sorted by name, each with C(name), C(nodeid), C(votes), C(address), C(online), C(local) and
      C(links), a
      list of C(number) and C(address).
  returned: success
  type: list
  elements: dict
links:
  description: Numbers of the links that corosync.conf names.
  returned: success
  type: list
  elements: int
votes:
  description: C(expected) votes, those C(present), and the C(quorum) that is needed.
  returned: success
  type: dict
totem:
  description: The totem section of corosync.conf; null on a standalone node.
  returned: success
  type: dict
version:
  description: C(version), C(release) and C(repoid) of the node that answered.
  returned: success
  type: dict
resources:
  description: What C(/cluster/resources) lists, each with its C(type) (V(qemu), V(lxc), V(storage), V(node), ...).
  returned: when O(resources=true)
  type: list
  elements: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Api
from ansible_collections.quorate.pve.plugins.module_utils._membership import links_of, read_membership
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish

ARGUMENT_SPEC = arguments(resources={"type": "bool", "default": False})


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    client = Api.open(params, check_mode).client
    membership = read_membership(client)
    configured = {str(node["node"]): node for node in client.get("/cluster/config/nodes")}
    votes = {name: int(node.get("quorum_votes") or 1) for name, node in configured.items()}
    present = [name for name, member in membership.members.items() if member.online]
    nodes = [
        {
            "name": name,
            "nodeid": member.nodeid,
            "votes": votes.get(name, 1),
            "address": member.address,
            "online": member.online,
            "local": member.local,
            "links": [
                {"number": number, "address": address} for number, address in links_of(configured.get(name, {})).items()
            ],
        }
        for name, member in membership.members.items()
    ]
    expected = sum(votes.values()) or 1
    return {
        "changed": False,
        "cluster": membership.cluster,
        "quorate": membership.quorate,
        "config_version": membership.config_version,
        "nodes": nodes,
        "links": sorted({number for node in configured.values() for number in links_of(node)}),
        "votes": {
            "expected": expected,
            "present": sum(votes.get(name, 1) for name in present),
            "quorum": expected // 2 + 1,
        },
        "totem": client.get("/cluster/config/totem"),
        "version": client.get("/version"),
        **({"resources": client.get("/cluster/resources")} if params["resources"] else {}),
        "calls": len(client.calls),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
