#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the disks of nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disks_info
short_description: Read which disks the nodes of a Proxmox VE cluster have, and which are free
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - Returns the disks of all nodes, or of those named, read side by side.
  - With O(match), only disks like the ones wanted, chosen as M(quorate.pve.zfs_pools) and M(quorate.pve.ceph_osds) do.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  nodes:
    description: Names of the nodes; all that are online if not given.
    type: list
    elements: str
  match:
    description: What the disks have to be like.
    type: dict
    suboptions:
      model:
        description: Model; C(*) and C(?) stand for anything.
        type: str
      vendor:
        description: Vendor, likewise.
        type: str
      serial:
        description: Serial number, likewise.
        type: str
      type:
        description: Kind of disk.
        type: str
        choices: [hdd, ssd, nvme, usb]
      min_size:
        description: Least size, such as V(900G).
        type: str
      max_size:
        description: Greatest size.
        type: str
  free:
    description: Whether only free disks count (V(true)), or only those in use (V(false)); both if not given.
    type: bool
  smart:
    description: Whether to read health and wear, too, which takes the servers a moment a disk.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Free flash disks of a terabyte at least
  quorate.pve.disks_info:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    match: {type: ssd, min_size: 900G}
    free: true
"""

RETURN = r"""
disks:
  description:
    - By node, its disks by path, each with C(path), C(by_id), C(size) (bytes), C(model), C(vendor), C(serial), C(type),
      C(used) (what for; null for a free disk), C(behind_controller) (whether it looks like a logical drive of a RAID
      controller), C(health) and C(wearout) (null unless O(smart)).
  returned: success
  type: dict
  sample:
    pve1:
      - {path: /dev/sdb, by_id: /dev/disk/by-id/ata-SSD-A_S1, size: 1000204886016, model: SSD-A, vendor: ATA,
         serial: S1, type: ssd, used: null, behind_controller: false, health: null, wearout: null}
unreachable:
  description: Nodes that are not online, with the reason or null.
  returned: success
  type: dict
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Api
from ansible_collections.quorate.pve.plugins.module_utils._disks import MATCHERS, Disk, behind_controller, why_used
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError, QuorateError
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._parallel import side_by_side
from ansible_collections.quorate.pve.plugins.module_utils._pure.lists import natural_key

ARGUMENT_SPEC = arguments(
    nodes={"type": "list", "elements": "str"},
    match={
        "type": "dict",
        "options": {
            "model": {"type": "str"},
            "vendor": {"type": "str"},
            "serial": {"type": "str"},
            "type": {"type": "str", "choices": ["hdd", "ssd", "nvme", "usb"]},
            "min_size": {"type": "str"},
            "max_size": {"type": "str"},
        },
    },
    free={"type": "bool"},
    smart={"type": "bool", "default": False},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module: one call a node."""
    api = Api.open(params, check_mode)
    nodes = params["nodes"] or sorted(api.nodes)
    for index, node in enumerate(nodes):
        if node not in api.nodes:
            raise InputError(
                f"there is no node {node}; there are {', '.join(sorted(api.nodes))}", where=f"nodes[{index}]"
            )
    online = [node for node in nodes if api.online(node)]
    flags = {"include-partitions": 0, "skipsmart": int(not params["smart"])}
    answers = side_by_side(lambda node: api.client.get(f"/nodes/{node}/disks/list", **flags), online)
    disks: dict[str, list[dict[str, Any]]] = {}
    unreachable: dict[str, str | None] = {node: None for node in nodes if node not in online}
    for node, answer in zip(online, answers, strict=True):
        if isinstance(answer, QuorateError):
            unreachable[node] = str(answer)
        else:
            wanted = [disk for disk in answer if _is_wanted(disk, params)]
            rows = [_row(disk, smart=params["smart"]) for disk in wanted]
            disks[node] = sorted(rows, key=lambda row: natural_key(row["path"]))
    return {"changed": False, "disks": disks, "unreachable": unreachable, "calls": len(api.client.calls)}


def _is_wanted(disk: Disk, params: Mapping[str, Any]) -> bool:
    if params["free"] is not None and params["free"] == bool(why_used(disk)):
        return False
    return all(MATCHERS[key](disk, value) for key, value in (params["match"] or {}).items() if value is not None)


def _row(disk: Disk, *, smart: bool) -> dict[str, Any]:
    return {
        "path": str(disk["devpath"]),
        "by_id": disk.get("by_id_link"),
        "size": int(disk.get("size") or 0),
        "model": str(disk.get("model") or "").strip(),
        "vendor": str(disk.get("vendor") or "").strip(),
        "serial": str(disk.get("serial") or "").strip(),
        "type": str(disk.get("type") or ""),
        "used": why_used(disk) or None,
        "behind_controller": behind_controller(disk),
        "health": disk.get("health") if smart else None,
        "wearout": disk.get("wearout") if smart else None,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
