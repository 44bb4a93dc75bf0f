#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask whether guests are there for those who use them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_probe
short_description: Ask whether guests are there for those who use them
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Asks from the control node for every guest in the ways given; all of them must say yes. Without any, its node is
    asked whether it runs.
  - The module succeeds whether they are there or not (RV(gone)).
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  guests:
    description: The guests, and how to ask for them. V({vmid}) stands for the number.
    type: list
    elements: dict
    required: true
    suboptions:
      vmid:
        description: Its number.
        type: int
        required: true
      ping:
        description: Address that has to answer a ping.
        type: str
      url:
        description: URL that has to be answered, with any status below 500, whoever signed the certificate.
        type: str
      record:
        description: File on the control node that changes as long as the guest works.
        type: path
      command:
        description: Command on the control node, as a list of words, that ends with status 0 if the guest is there.
        type: list
        elements: str
  probe_timeout:
    description: Seconds for one answer.
    type: float
    default: 2
  record_age:
    description: Seconds since the last change of a file from which the guest counts as gone.
    type: float
    default: 5
"""

EXAMPLES = r"""
- name: Are they there
  quorate.pve.guest_probe:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    guests:
      - {vmid: 101, url: "https://www.example.com/"}
      - {vmid: 105, ping: 192.0.2.105}
"""

RETURN = r"""
guests:
  description: The guests, each with C(vmid), C(alive), and what each way C(said).
  returned: success
  type: list
  elements: dict
gone:
  description: Numbers of those that are not there.
  returned: success
  type: list
  elements: int
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._probe import OPTIONS, run

ARGUMENT_SPEC = arguments(
    guests={"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
    probe_timeout={"type": "float", "default": 2.0},
    record_age={"type": "float", "default": 5.0},
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
