#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collect what a run would change."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_plan
short_description: Collect, keep and compare what a whole run would change
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Gathers what all tasks of this collection have found out in the run so far, by cluster and backup server.
  - Runs on the control node and asks no server. A plan is no part of the site, so that nothing counts as changed.
extends_documentation_fragment:
  - quorate.pve.connection.reads
options:
  save:
    description: File to keep the plan in, of mode 0600. In a directory, or if it ends with a slash, it gets a name that
      says what it is about.
    type: path
  compare:
    description: File with a plan that must say the same as what was found. If anything differs, the module fails and
      says what.
    type: path
  done:
    description: Gather what was done instead of what check mode found.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Keep the plan
  quorate.pve.run_plan:
    save: plans/
  register: plan

- name: Fail if the site is not as described
  ansible.builtin.assert:
    that: plan.changes == 0
    fail_msg: "{{ plan.text }}"
"""

RETURN = r"""
targets:
  description: For each cluster and backup server its C(entries) (C(module), C(action), C(object), C(fields)), what is
    C(unknown) yet, and the numbers C(create), C(update), C(delete), C(objects), C(calls) and C(written).
  returned: always
  type: dict
  sample: {ha-lab: {entries: [], unknown: [], create: 0, update: 0, delete: 0, objects: 214, calls: 6, written: 0}}
changes:
  description: Number of changes of all targets.
  returned: always
  type: int
unknown:
  description: Number of things that cannot be known before earlier steps are made.
  returned: always
  type: int
hash:
  description: SHA-256 of the changes. Two runs that would do the same have the same.
  returned: always
  type: str
file:
  description: Where the plan was kept; empty if it was not.
  returned: always
  type: str
text:
  description: The plan in words.
  returned: always
  type: str
calls:
  description: Number of API calls made by this module.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import finish
from ansible_collections.quorate.pve.plugins.module_utils._run_plan import run

ARGUMENT_SPEC = {
    "save": {"type": "path"},
    "compare": {"type": "path"},
    "done": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
