#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the state of the HA manager."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ha_info
short_description: Read the state of Proxmox VE's HA manager
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Returns what the HA manager and the nodes' resource managers are doing, and can wait until all is at rest.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  wait_for_rest:
    description:
      - Whether to wait until every service is in the state asked for and nothing moves. A service in the state
        C(error) ends the
        wait with a failure.
      - In check mode there is no waiting.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for that.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Nothing moves any more
  quorate.pve.ha_info:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    wait_for_rest: true
"""

RETURN = r"""
quorate:
  description: Whether the node that answered is in a quorate partition.
  returned: success
  type: bool
master:
  description: C(node), C(state) (V(active), V(idle), V(dead)) and C(timestamp) of the manager; null if there was never
    one.
  returned: success
  type: dict
fencing:
  description: C(armed) state of fencing as the server words it; null before Proxmox VE 9.1.
  returned: success
  type: str
nodes:
  description: The nodes, each with C(node), C(lrm) (what its resource manager is doing), C(state) (what the manager
    thinks of it).
  returned: success
  type: list
  elements: dict
services:
  description:
    - The resources, each with C(sid), C(node), C(state) (from the status text), C(crm_state), C(request_state),
      C(rest).
  returned: success
  type: list
  elements: dict
rest:
  description: Whether every service is in the state asked for and every node's resource manager alive or empty.
  returned: success
  type: bool
moving:
  description: What is not at rest, in words.
  returned: success
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Api
from ansible_collections.quorate.pve.plugins.module_utils._errors import StateError
from ansible_collections.quorate.pve.plugins.module_utils._ha import HaStatus, read_status
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._wait import wait_until

ARGUMENT_SPEC = arguments(
    wait_for_rest={"type": "bool", "default": False},
    timeout={"type": "int", "default": 600},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    api = Api.open(params, check_mode)
    status = read_status(api.client)
    if params["wait_for_rest"] and not check_mode and status.moving():
        status = _wait_for_rest(api, float(params["timeout"]))
    managed = api.client.get("/cluster/ha/status/manager_status")
    node_status = (managed.get("manager_status") or {}).get("node_status") or {}
    moving = status.moving()
    return {
        "changed": False,
        "quorate": status.quorate,
        "master": status.master,
        "fencing": status.fencing,
        "nodes": [{"node": node, "lrm": lrm, "state": node_status.get(node)} for node, lrm in status.lrm.items()],
        "services": [
            {
                "sid": service.sid,
                "node": service.node,
                "state": service.state,
                "crm_state": service.crm_state,
                "request_state": service.request_state,
                "rest": service.at_rest,
            }
            for service in status.services.values()
        ],
        "rest": not moving,
        "moving": moving,
        "calls": len(api.client.calls),
    }


def _wait_for_rest(api: Api, timeout: float) -> HaStatus:
    seen = HaStatus()

    def look() -> HaStatus | None:
        nonlocal seen
        seen = read_status(api.client)
        wrong = [service.sid for service in seen.services.values() if service.state == "error"]
        if wrong:
            raise StateError(
                f"{', '.join(wrong)} cannot come to rest: in the state error",
                hint="Put right what ails the guest, set the resource to disabled, then to started again.",
            )
        return None if seen.moving() else seen

    return wait_until(
        look,
        timeout=timeout,
        what="HA's coming to rest",
        clock=api.client.clock,
        describe=lambda: "; ".join(seen.moving()[:5]),
    )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
