#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let go of what a run holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_end
short_description: Let go of the locks that a run has taken
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - A run takes the lock of a cluster before its first write. It is let go of when C(ansible-playbook) ends, however
    that ends; after this module it has been let go of.
  - Runs on the control node.
extends_documentation_fragment:
  - quorate.pve.connection.reads
options: {}
"""

EXAMPLES = r"""
- name: Let go of the locks
  quorate.pve.run_end:
"""

RETURN = r"""
calls:
  description: Number of API calls made by this module.
  returned: always
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import finish
from ansible_collections.quorate.pve.plugins.module_utils._run import current_directory
from ansible_collections.quorate.pve.plugins.module_utils._run_lock import release

ARGUMENT_SPEC: dict[str, Any] = {}


def run(_params: Mapping[str, Any], _check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    directory = current_directory()
    if directory is not None:
        release(directory)
    return {"changed": False, "calls": 0}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
