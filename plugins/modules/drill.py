#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Break something on purpose, and measure what comes of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Break something on purpose, and measure what comes of it
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Checks that a drill may be held, breaks what the scenario says, looks once a second at what users, the HA manager
    and the API say, puts everything back, waits for rest, and judges by the promised times.
  - What was broken is put back whatever happens, also when the run is aborted or killed. Only if the control node
    itself dies is it left to a run with O(restore=true).
  - In check mode only the preconditions are looked at, and it is told what would be broken.
  - Whether the drill was passed is returned (RV(passed)); the module fails if it may not be held, or was aborted.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
  - quorate.pve.ssh
options:
  scenario:
    description: What to break.
    type: str
    default: power-loss
    choices: [power-loss, all-ports, one-link, storage-network, data-centre, flapping, witness, backup-server]
  node:
    description: The node, for V(power-loss), V(all-ports), V(one-link), V(flapping).
    type: str
  link:
    description: Number of the link, for V(one-link).
    type: str
  network:
    description: Name of the network, for V(storage-network), as the command that cuts it knows it.
    type: str
  site:
    description: Name of the data centre, for V(data-centre).
    type: str
  host:
    description: Name of the witness or the backup server.
    type: str
  nodes:
    description: The nodes of the cluster, and further hosts whose power is cut.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name.
        type: str
        required: true
      address:
        description: Address of its API and SSH.
        type: str
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
      site:
        description: Data centre that it stands in.
        type: str
      voter:
        description: Whether it only votes, and takes no guests.
        type: bool
        default: false
      links:
        description: Its addresses by number of link.
        type: dict
      power:
        description: How its power button is reached, as M(quorate.pve.node_power) has it.
        type: dict
        suboptions:
          "on":
            description: Command on the control node, as a list of words, that switches it on.
            type: list
            elements: str
          "off":
            description: Command that cuts its power.
            type: list
            elements: str
          cycle:
            description: Command that does both; off and on one after another if it is not given.
            type: list
            elements: str
          status:
            description: Command that prints whether it is on or off.
            type: list
            elements: str
          ipmi:
            description: Its management controller.
            type: dict
            suboptions:
              host:
                description: Address.
                type: str
                required: true
              user:
                description: User.
                type: str
                default: ADMIN
              password:
                description: Password; it is handed over in the environment of C(ipmitool).
                type: str
              interface:
                description: Interface of C(ipmitool).
                type: str
                default: lanplus
  faults:
    description:
      - Commands of the operator, as lists of words on the control node, C(break) and C(mend), by C(power), C(ports),
        C(link), C(network). V({node}), V({link}) and V({network}) stand for names.
      - Without them power is cut as O(nodes[].power) says, and interfaces go down over SSH, with a timer on the host
        itself that brings them up again.
    type: dict
    default: {}
  guests:
    description: How to ask for guests, as for M(quorate.pve.guest_probe); without any, the nodes of those under HA are
      asked.
    type: list
    elements: dict
    default: []
    suboptions:
      vmid:
        description: Its number.
        type: int
        required: true
      ping:
        description: Address that has to answer a ping.
        type: str
      url:
        description: URL that has to be answered.
        type: str
      record:
        description: File on the control node that changes as long as the guest works.
        type: path
      command:
        description: Command on the control node that ends with status 0 if the guest is there.
        type: list
        elements: str
  max_guests:
    description: How many guests are watched if none are given.
    type: int
    default: 50
  probe_timeout:
    description: Seconds for one answer of a guest.
    type: float
    default: 2
  record_age:
    description: Seconds since the last change of a guest's file from which it counts as gone.
    type: float
    default: 5
  tolerate:
    description: Checks of Ceph that count as healthy.
    type: list
    elements: str
    default: []
  override:
    description: Preconditions that need not hold.
    type: list
    elements: str
    choices: [other_fault, quorum, capacity, replication, backup]
    default: []
  max_replica_age:
    description: Seconds that the newest replica of a guest may be old.
    type: int
    default: 3600
  max_backup_age:
    description: Seconds that the newest backup of a guest may be old; 0 asks for none.
    type: int
    default: 172800
  promise_recovery:
    description: Seconds until all guests have been started elsewhere.
    type: int
    default: 180
  promise_service:
    description: Seconds until all guests are there again for those who use them.
    type: int
    default: 240
  recall:
    description:
      - Bring back, by HA and live, the guests that stay where they were started because failback is off. Where rules
        want them is checked either way.
    type: bool
    default: true
  hold:
    description: Seconds that a fault lasts which moves no guests.
    type: int
    default: 120
  deadman:
    description: Seconds after which a host brings up by itself the interfaces that were taken down over SSH.
    type: int
    default: 300
  command_timeout:
    description: Seconds for one command.
    type: int
    default: 120
  timeout:
    description: Seconds to wait for recovery, and again for rest.
    type: int
    default: 900
  scale:
    description: By how much time is shortened, on the bundled agents; 1 on real hosts. All seconds told are unscaled.
    type: float
    default: 1
  cluster:
    description: Name of the cluster, for the record.
    type: str
    required: true
  directory:
    description: Directory on the control node for records.
    type: path
    required: true
  confirm:
    description: Whether breaking it is meant.
    type: bool
    default: false
  restore:
    description: Put back what a drill left that was cut off, and do nothing else.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Pull the plug of the first node
  quorate.pve.drill:
    api_hosts: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    api_password: "{{ vault_root_password }}"
    cluster: ha-pve1
    directory: drills
    node: pve1
    nodes:
      - node: pve1
        address: 192.0.2.11
        power: {ipmi: {host: 192.0.2.111, user: admin, password: "{{ vault_ipmi_password }}"}}
      - {node: pve2, address: 192.0.2.12}
      - {node: pve3, address: 192.0.2.13}
    confirm: true
"""

RETURN = r"""
conditions:
  description: Preconditions that do not hold, each with C(check), C(text), C(overridden).
  returned: unless something is put back only
  type: list
  elements: dict
forecast:
  description: Where the guests of the lost nodes land, as M(quorate.pve.failure_forecast) says it.
  returned: unless something is put back only
  type: dict
ready:
  description: Whether the drill could be held.
  returned: in check mode
  type: bool
would:
  description: What it would break, where guests would go, and what is in the way, in words.
  returned: in check mode
  type: list
  elements: str
passed:
  description: Whether all came as promised.
  returned: after a drill
  type: bool
failures:
  description: What did not, in words.
  returned: after a drill
  type: list
  elements: str
times:
  description: Seconds from the fault to C(detection), C(fence), C(recovery), C(service); null for what did not happen.
  returned: after a drill
  type: dict
gaps:
  description: When guests were gone, C(vmid), C(since), C(until).
  returned: after a drill
  type: list
  elements: dict
data:
  description: By guest that started elsewhere, the C(age) of the state that it started from, in seconds of the wall
    clock.
  returned: after a drill
  type: list
  elements: dict
timeline:
  description: What changed, one line each.
  returned: after a drill
  type: list
  elements: str
record:
  description: The file with all of it.
  returned: after a drill
  type: str
restored:
  description: What was put back.
  returned: with O(restore=true)
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._drill import run
from ansible_collections.quorate.pve.plugins.module_utils._drill_checks import CHECKS
from ansible_collections.quorate.pve.plugins.module_utils._drill_plan import SCENARIOS
from ansible_collections.quorate.pve.plugins.module_utils._hosts import ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._power import OPTIONS as POWER
from ansible_collections.quorate.pve.plugins.module_utils._probe import OPTIONS

WORDS = {"type": "list", "elements": "str", "default": []}

ARGUMENT_SPEC = arguments(
    scenario={"type": "str", "default": "power-loss", "choices": list(SCENARIOS)},
    **{name: {"type": "str"} for name in ("node", "link", "network", "site", "host")},
    nodes={
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "node": {"type": "str", "required": True},
            "address": {"type": "str"},
            "host_key": {"type": "str", "no_log": False},
            "site": {"type": "str"},
            "voter": {"type": "bool", "default": False},
            "links": {"type": "dict"},
            "power": {"type": "dict", "options": POWER},
        },
    },
    faults={"type": "dict", "default": {}},
    guests={"type": "list", "elements": "dict", "default": [], "options": OPTIONS},
    max_guests={"type": "int", "default": 50},
    probe_timeout={"type": "float", "default": 2.0},
    record_age={"type": "float", "default": 5.0},
    tolerate=WORDS,
    override={**WORDS, "choices": list(CHECKS)},
    max_replica_age={"type": "int", "default": 3600},
    max_backup_age={"type": "int", "default": 172800},
    promise_recovery={"type": "int", "default": 180},
    promise_service={"type": "int", "default": 240},
    recall={"type": "bool", "default": True},
    hold={"type": "int", "default": 120},
    deadman={"type": "int", "default": 300},
    command_timeout={"type": "int", "default": 120},
    timeout={"type": "int", "default": 900},
    scale={"type": "float", "default": 1.0},
    cluster={"type": "str", "required": True},
    directory={"type": "path", "required": True},
    confirm={"type": "bool", "default": False},
    restore={"type": "bool", "default": False},
    **ssh_options(900),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
