#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check nodes before anything is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check Proxmox VE nodes before a cluster is made of them
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Logs in to every node, side by side, and reports all that would be in the way, at once. Nothing is ever changed.
  - With O(measure=true), the hosts are asked over SSH as well, and packets are sent between all pairs of nodes on every
    link, latency (warned about from 2 ms, refused from 5 ms on), jitter (1 and 3 ms), loss, MTU from end to end, clocks
    (20 and 500 ms; 50 ms with Ceph), name resolution both ways, the watchdog and its device, the cards under links and
    networks, swap, load, memory, time zones, repositories.
  - The module succeeds with findings; whether they are in the way is the caller's decision (RV(errors)).
  - Names, fingerprints and disks may differ from node to node; everything else is the connection's.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
  - quorate.pve.ssh
options:
  api_hosts:
    description: Not used; the nodes are contacted at O(nodes[].address).
    required: false
  cluster:
    description: Name of the cluster that the nodes are or will be members of.
    type: str
    required: true
  nodes:
    description: The nodes that the cluster is to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name that the node must have.
        type: str
        required: true
      address:
        description: Address of its API.
        type: str
        required: true
      fingerprint:
        description: SHA-256 fingerprint of its certificate before it joins.
        type: str
      user:
        description: User on this node; the connection's if not given.
        type: str
      password:
        description: Password on this node; the connection's if not given.
        type: str
      links:
        description: Its addresses on the cluster's links.
        type: list
        elements: dict
        default: []
        suboptions:
          number:
            description: Number of the link.
            type: int
            required: true
          address:
            description: Address on the link.
            type: str
            required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
      site:
        description: Site that it stands in.
        type: str
      voter:
        description: Whether it only votes, and takes no guests.
        type: bool
        default: false
      where:
        description: What to name in findings, such as C(host_vars/pve2). The node's name if not given.
        type: str
  zfs_pools:
    description: The pools as for M(quorate.pve.zfs_pools), whose disks are checked.
    type: list
    elements: dict
    default: []
  ceph_osds:
    description: The OSDs as for M(quorate.pve.ceph_osds), whose disks are checked.
    type: list
    elements: dict
    default: []
  networks:
    description: Further networks of the nodes, such as those of storage and migration.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What to call it.
        type: str
        required: true
      cidr:
        description: The network, such as V(10.20.0.0/24).
        type: str
        required: true
      min_speed:
        description: Mbit/s that the cards should have.
        type: int
        default: 10000
      nodes:
        description: Names of the nodes that need it; all but those that only vote if it is not given.
        type: list
        elements: str
  interfaces:
    description:
      - The interfaces as for M(quorate.pve.node_network) that are made after this look. An address that a node lacks
        now and gets from one of them is no finding; it is in RV(pending), to be looked at again.
    type: list
    elements: dict
    default: []
  guests:
    description: The guests as for M(quorate.pve.guests), whose memory is counted beside that of those that run.
    type: list
    elements: dict
    default: []
  storages:
    description: The storages as for M(quorate.pve.storages).
    type: list
    elements: dict
    default: []
  replication_jobs:
    description: The jobs as for M(quorate.pve.replication_jobs), whose disks need a ZFS storage of the same name on
      both nodes.
    type: list
    elements: dict
    default: []
  ceph:
    description: Whether the cluster has, or will have, Ceph, which needs clocks that go together.
    type: bool
    default: false
  witness:
    description: Whether the cluster has, or will have, a witness.
    type: bool
    default: false
  load_max:
    description: Load that is promised at most, in percent of the processors.
    type: int
    default: 75
  severity:
    description: What the findings of a check count as, by the check's name, V(error), V(warning) or V(info).
    type: dict
    default: {}
  measure:
    description: Whether the hosts are asked over SSH, and packets sent between them.
    type: bool
    default: false
  packets:
    description: Number of packets from which times and losses are computed.
    type: int
    default: 10
  ssh_timeout:
    description: Seconds that one command may take.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Look before
  quorate.pve.preflight:
    api_password: "{{ vault_root_password }}"
    cluster: ha-lab
    nodes:
      - {name: pve1, address: 192.0.2.11, fingerprint: "{{ hostvars.pve1.pve_fingerprint }}"}
      - {name: pve2, address: 192.0.2.12, fingerprint: "{{ hostvars.pve2.pve_fingerprint }}"}
    zfs_pools: "{{ pve_zfs_pools }}"
  register: look

- name: Refuse
  ansible.builtin.assert:
    that: look.errors == 0
    fail_msg: "{{ look.text }}"
"""

RETURN = r"""
findings:
  description:
    - What was found, errors first, each with C(severity) (V(error), V(warning), V(info)), C(check), C(node), C(text),
      C(where)
      (in the variables) and C(fix).
  returned: success
  type: list
  elements: dict
errors:
  description: Number of errors among them.
  returned: success
  type: int
text:
  description: All errors and warnings in words, one a line.
  returned: success
  type: str
pending:
  description: Addresses that could not be looked at since one of O(interfaces) is to have them, each with C(node),
    C(on) (such as V(link 1)), C(address) and C(interface).
  returned: success
  type: list
  elements: dict
members:
  description: Names of the nodes that are members of the cluster already.
  returned: success
  type: list
  elements: str
measured:
  description: Every pair of nodes on every link and network, C(on), C(source), C(target), C(milliseconds) to and fro
    (null if nothing came back), their C(deviation), C(loss) as a fraction, and the C(mtu) that passes.
  returned: success
  type: list
  elements: dict
nodes:
  description: What is known of every node that could be asked, C(name), C(version), C(cluster), C(guests).
  returned: success
  type: list
  elements: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._hosts import ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import CONNECTION, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._preflight import run

LINK = {"number": {"type": "int", "required": True}, "address": {"type": "str", "required": True}}

ARGUMENT_SPEC = arguments(
    api_hosts={**CONNECTION["api_hosts"], "required": False},
    cluster={"type": "str", "required": True},
    nodes={
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "fingerprint": {"type": "str"},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "links": {"type": "list", "elements": "dict", "default": [], "options": LINK},
            "host_key": {"type": "str", "no_log": False},
            "site": {"type": "str"},
            "voter": {"type": "bool", "default": False},
            "where": {"type": "str"},
        },
    },
    zfs_pools={"type": "list", "elements": "dict", "default": []},
    ceph_osds={"type": "list", "elements": "dict", "default": []},
    networks={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "cidr": {"type": "str", "required": True},
            "min_speed": {"type": "int", "default": 10000},
            "nodes": {"type": "list", "elements": "str"},
        },
    },
    interfaces={"type": "list", "elements": "dict", "default": []},
    guests={"type": "list", "elements": "dict", "default": []},
    storages={"type": "list", "elements": "dict", "default": []},
    replication_jobs={"type": "list", "elements": "dict", "default": []},
    ceph={"type": "bool", "default": False},
    witness={"type": "bool", "default": False},
    load_max={"type": "int", "default": 75},
    severity={"type": "dict", "default": {}},
    measure={"type": "bool", "default": False},
    packets={"type": "int", "default": 10},
    **ssh_options(30),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
