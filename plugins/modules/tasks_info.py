#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read which tasks ran, and what they said."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tasks_info
short_description: Read the tasks of a Proxmox VE cluster or node
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Lists tasks, newest first, of the whole cluster (the last ones that every node remembers) or of single nodes (all of
    their lists), and reads the end of their logs.
  - A node that does not answer is named in a warning, and the others' tasks are returned.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  nodes:
    description: The nodes whose own lists are read; the cluster's list if there is none.
    type: list
    elements: str
    default: []
  types:
    description: Types of tasks, such as V(vzdump); all if there is none.
    type: list
    elements: str
    default: []
  user:
    description: Only tasks of this user.
    type: str
  vmid:
    description: Only tasks of this guest.
    type: int
  status:
    description: Only tasks that run, that ended well (with or without warnings), or that failed.
    type: str
    choices: [any, running, ok, failed]
    default: any
  since:
    description: Only tasks that began at this time or later (Unix seconds).
    type: int
  limit:
    description: How many tasks to return at most.
    type: int
    default: 50
  log_lines:
    description: How many lines from the end of each task's log to return; one more call a task.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Failed backups with what they said at the end
  quorate.pve.tasks_info:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    types: [vzdump]
    status: failed
    log_lines: 10
  register: failed
"""

RETURN = r"""
tasks:
  description:
    - The tasks, each with C(upid), C(node), C(type), C(id), C(user), C(started) and C(ended) (Unix seconds), C(status)
      (V(running), V(ok) or V(failed)), C(text) (the server's own words), and C(log).
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
from ansible_collections.quorate.pve.plugins.module_utils._api import Api
from ansible_collections.quorate.pve.plugins.module_utils._errors import QuorateError
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._parallel import side_by_side
from ansible_collections.quorate.pve.plugins.module_utils._tasks import task_log

RUNNING = "running"
OK = "ok"
FAILED = "failed"

ARGUMENT_SPEC = arguments(
    nodes={"type": "list", "elements": "str", "default": []},
    types={"type": "list", "elements": "str", "default": []},
    user={"type": "str"},
    vmid={"type": "int"},
    status={"type": "str", "choices": ["any", RUNNING, OK, FAILED], "default": "any"},
    since={"type": "int"},
    limit={"type": "int", "default": 50},
    log_lines={"type": "int", "default": 0},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        found = [_task(entry) for entry in _listed(api, params)]
        wanted = [task for task in found if _is_wanted(task, params)]
        wanted.sort(key=lambda task: (-task["started"], task["upid"]))
        tasks = wanted[: params["limit"]]
        for task in tasks if params["log_lines"] else ():
            task["log"] = task_log(api.client, task["upid"])[-params["log_lines"] :]
        return {"changed": False, "tasks": tasks, "warnings": api.warnings, "calls": len(api.client.calls)}


def _listed(api: Api, params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not params["nodes"]:
        return list(api.client.get("/cluster/tasks"))
    for index, node in enumerate(params["nodes"]):
        api.check_reference("node", node, f"nodes[{index}]")
    # enough of them to choose from: the server filters by one type only
    asked = {"limit": 5000, "source": "all", "vmid": params["vmid"], "since": params["since"]}
    answers = side_by_side(lambda node: api.client.get(f"/nodes/{node}/tasks", **asked), params["nodes"])
    entries: list[Mapping[str, Any]] = []
    for node, answer in zip(params["nodes"], answers, strict=True):
        if isinstance(answer, QuorateError):
            api.warn(f"{node}: {answer}")
        else:
            entries += answer
    return entries


def _task(entry: Mapping[str, Any]) -> dict[str, Any]:
    text = str(entry.get("status") or "")
    ended = entry.get("endtime")
    end = OK if text == "OK" or text.startswith("WARNINGS") else FAILED
    return {
        "upid": str(entry["upid"]),
        "node": str(entry["node"]),
        "type": str(entry["type"]),
        "id": str(entry.get("id") or ""),
        "user": str(entry["user"]),
        "started": int(entry["starttime"]),
        "ended": int(ended) if ended else None,
        "status": end if ended else RUNNING,
        "text": text,
        "log": [],
    }


def _is_wanted(task: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    return (
        (not params["types"] or task["type"] in params["types"])
        and (params["user"] is None or task["user"] == params["user"])
        and (params["vmid"] is None or task["id"] == str(params["vmid"]))
        and (params["since"] is None or task["started"] >= params["since"])
        and params["status"] in ("any", task["status"])
    )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
