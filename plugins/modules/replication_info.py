#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read how old replicas are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replication_info
short_description: Read how old the replicas of a Proxmox VE cluster are, and which jobs fail
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - What was written after a job's last run is lost when the guest's node is. RV(jobs) says in C(lag) how much that is.
  - The state of a job is known to the node that its guest is on; while that node is away, it is not known.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
options:
  guests:
    description: Numbers of the guests whose jobs count; all of them if not given.
    type: list
    elements: int
  max_lag:
    description: Seconds above which a replica is too old. Jobs that are switched off do not count.
    type: int
"""

EXAMPLES = r"""
- name: Read how old the replicas are
  quorate.pve.replication_info:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    max_lag: 3600
  register: replication

- name: No replica is older than an hour
  ansible.builtin.assert:
    that: not replication.late
    fail_msg: "{{ replication.late | join('; ') }}"
"""

RETURN = r"""
jobs:
  description:
    - The jobs by their id, each with C(id), C(guest), C(source), C(target), C(schedule), C(disabled), C(last_sync) and
      C(next_sync) (seconds since the epoch; null for never), C(lag) (seconds since the state that the target has; null
      while there is none or it is not known), C(duration) (seconds of the last run), C(fail_count), C(error) (the
      server's words; null while it does not fail) and C(known) (whether the node of the guest answers).
  returned: success
  type: list
  elements: dict
  sample:
    - {id: 104-0, guest: 104, source: pve1, target: pve2, schedule: "*/15", disabled: false, last_sync: 1795305600,
       next_sync: 1795306500, lag: 312, duration: 3.2, fail_count: 0, error: null, known: true}
late:
  description: In words, each job that fails, has never run, is older than O(max_lag), or of which nothing is known.
  returned: success
  type: list
  elements: str
lag:
  description: The longest lag in seconds; null if there is no replica.
  returned: success
  type: int
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Api
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._replication_rows import replication_rows

ARGUMENT_SPEC = arguments(
    guests={"type": "list", "elements": "int"},
    max_lag={"type": "int"},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module: one list of jobs, then the state and the clock of each node that has some."""
    api = Api.open(params, check_mode)
    rows = replication_rows(api, params["guests"])
    lags = [row["lag"] for row in rows if row["lag"] is not None]
    return {
        "changed": False,
        "jobs": rows,
        "late": [text for row in rows if (text := _late(row, params["max_lag"]))],
        "lag": max(lags, default=None),
        "calls": len(api.client.calls),
    }


def _late(row: Mapping[str, Any], max_lag: int | None) -> str:
    job = f"job {row['id']} ({row['source']} to {row['target']})"
    if row["disabled"]:
        return ""
    if not row["known"]:
        return f"{job}: nothing is known of it while {row['source']} does not answer"
    if row["error"]:
        return f"{job} has failed {row['fail_count']} times: {str(row['error']).strip()}"
    if row["last_sync"] is None:
        return f"{job} has never run"
    if max_lag is not None and row["lag"] > max_lag:
        return f"{job}: the replica is {row['lag']} s old, {max_lag} s are allowed"
    return ""


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
