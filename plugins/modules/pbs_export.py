#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the variables of a live backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pbs_export
short_description: Write the variables of a live backup server
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Reads a backup server and gives the variables of this collection's roles that would make it. With them in an
    inventory, a run of the site changes nothing.
  - What differs from the server's defaults is written; what it does not tell, such as passwords and secrets of tokens,
    is a comment.
  - Nothing is changed on the server. The file is readable by its owner only.
  - Runs on the control node, where the specs of all other modules are.
extends_documentation_fragment:
  - quorate.pve.pbs_connection
  - quorate.pve.connection.writes
  - quorate.pve.exported
"""

EXAMPLES = r"""
- name: Write the variables of a backup server
  quorate.pve.pbs_export:
    api_hosts: [192.0.2.101]
    api_password: "{{ vault_root_password }}"
    dest: exported-pbs.yml
"""

RETURN = r"""
variables:
  description: The variables with their values.
  returned: success
  type: dict
text:
  description: The text of the file.
  returned: success
  type: str
unread:
  description: Variables that could not be read, each with what the server said.
  returned: success
  type: list
  elements: str
plan:
  description: The file, if it is written.
  returned: success
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
from ansible_collections.quorate.pve.plugins.module_utils._dialect import PBS
from ansible_collections.quorate.pve.plugins.module_utils._export import run_export
from ansible_collections.quorate.pve.plugins.module_utils._module import finish
from ansible_collections.quorate.pve.plugins.module_utils._pbs import pbs_arguments

#: reads the specs of all other modules, which would not be sent along with an ordinary one
ON_CONTROLLER = True

ARGUMENT_SPEC = pbs_arguments(
    dest={"type": "path"},
    overwrite={"type": "bool", "default": False},
    variables={"type": "list", "elements": "str", "default": []},
    title={"type": "str"},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    return run_export(params, check_mode, PBS)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
