#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create a cluster on a standalone node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Create a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Turns the standalone node that O(api_hosts) reaches into the first member of a cluster, and waits until that is
    quorate.
  - A node that is already a member of the cluster of this name is left as it is; one that is in another cluster is an
    error.
  - Needs C(root@pam) with its password; the server refuses API tokens here.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  name:
    description: Name of the cluster, at most 15 letters, digits and hyphens.
    type: str
    required: true
  links:
    description:
      - Addresses of this node on the cluster's networks. Without it, link 0 is the address that the node's name
        resolves to.
      - Links of a cluster that exists already are compared with these; the API cannot change them.
    type: list
    elements: dict
    default: []
    suboptions:
      number:
        description: Number of the link, 0 to 7. All members have the same link numbers.
        type: int
        required: true
      address:
        description: This node's address (or name) on the link.
        type: str
        required: true
      priority:
        description: Among the links that work, the one with the highest number carries the traffic. Fixed at creation.
        type: int
  votes:
    description: Votes of this node, 1 if not given.
    type: int
  nodeid:
    description: Number of this node in the cluster, 1 if not given.
    type: int
  token_coefficient:
    description: Milliseconds by which every member beyond the second prolongs the token time-out (Proxmox VE 9.2 and
      newer).
    type: int
  timeout:
    description: Seconds to wait for the cluster to become quorate.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: The first member
  quorate.pve.cluster:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    api_fingerprints: ["{{ pve_fingerprint }}"]
    name: ha-lab
    links:
      - {number: 0, address: 192.0.2.11, priority: 10}
      - {number: 1, address: 198.51.100.11, priority: 20}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields).
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: cluster ha-lab, fields: {name: {before: null, after: ha-lab}}}]
name:
  description: Name of the cluster.
  returned: success
  type: str
nodes:
  description: Names of its members.
  returned: success
  type: list
  elements: str
quorate:
  description: Whether it is quorate.
  returned: success
  type: bool
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Api, refuse
from ansible_collections.quorate.pve.plugins.module_utils._errors import CLUSTER_EXISTS, ApiError, VerifyError
from ansible_collections.quorate.pve.plugins.module_utils._membership import (
    Membership,
    given_links,
    link_parameters,
    read_links,
    read_membership,
)
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import CREATE, Change, simple_change
from ansible_collections.quorate.pve.plugins.module_utils._tasks import wait_for_task
from ansible_collections.quorate.pve.plugins.module_utils._wait import PASSING, wait_until

ARGUMENT_SPEC = arguments(
    name={"type": "str", "required": True},
    links={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "number": {"type": "int", "required": True},
            "address": {"type": "str", "required": True},
            "priority": {"type": "int"},
        },
    },
    votes={"type": "int"},
    nodeid={"type": "int"},
    token_coefficient={"type": "int", "no_log": False},
    timeout={"type": "int", "default": 120},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    api = Api.open(params, check_mode, by_password=True)
    name, links = params["name"], given_links(params["links"])
    membership = read_membership(api.client)
    changes: list[Change] = []
    if membership.cluster is None:
        changes = [_creation(params, links)]
        api.approve(changes)
        if not check_mode:
            _create(api, params, links)
    elif membership.cluster != name:
        raise refuse(
            f"{membership.local} ({api.client.host}) is a member of the cluster {membership.cluster}, not of {name}",
            where="name",
            hint="Name that cluster, or address another node; a node leaves a cluster by being installed anew.",
        )
    else:
        _compare_links(api, membership, links)
    if not check_mode and (changes or not membership.quorate):
        membership = _wait_for_quorum(api, name, float(params["timeout"]))
    if changes and not check_mode:
        # what was written must be what is there
        _compare_links(api, membership, links)
    return api.result(
        changes, name=name, nodes=list(membership.members), quorate=membership.quorate and not (changes and check_mode)
    )


def _creation(params: Mapping[str, Any], links: Mapping[int, Mapping[str, Any]]) -> Change:
    return simple_change(
        CREATE,
        "cluster",
        params["name"],
        {
            "name": params["name"],
            "nodeid": params["nodeid"],
            "votes": params["votes"],
            "token_coefficient": params["token_coefficient"],
            **link_parameters(links),
        },
    )


def _create(api: Api, params: Mapping[str, Any], links: Mapping[int, Mapping[str, Any]]) -> None:
    """Start it and see it through: the cluster file system restarts and takes no logins (observed: create)."""
    payload = {
        "clustername": params["name"],
        "nodeid": params["nodeid"],
        "votes": params["votes"],
        "token-coefficient": params["token_coefficient"],
        **link_parameters(links),
    }
    try:
        upid = api.client.post("/cluster/config", payload)
    except ApiError as error:
        if not error.says(CLUSTER_EXISTS):
            raise
        # a run before this one began it, and did not see the end
        return
    wait_for_task(api.client, upid, timeout=float(params["timeout"]), passing=PASSING)


def _wait_for_quorum(api: Api, name: str, timeout: float) -> Membership:
    seen: list[str] = []

    def look() -> Membership | None:
        membership = read_membership(api.client)
        seen[:] = [f"cluster {membership.cluster or 'none'}, quorate: {membership.quorate}"]
        return membership if membership.cluster == name and membership.quorate else None

    return wait_until(
        look,
        timeout=timeout,
        what=f"{name}'s becoming quorate",
        clock=api.client.clock,
        passing=PASSING,
        describe=lambda: "; ".join(seen),
        hint="More than half of its nodes must be up and see each other on a link.",
    )


def _compare_links(api: Api, membership: Membership, links: Mapping[int, Mapping[str, Any]]) -> None:
    """What is asked for against corosync.conf. The API only sets links when a node is added."""
    if not links:
        return
    there = read_links(api.client).get(membership.local, {})
    differing = [
        f"link {number} is {there.get(number) or 'not there'} instead of {link['address']}"
        for number, link in links.items()
        if there.get(number) != link["address"]
    ]
    if differing:
        raise VerifyError(
            f"{', '.join(differing)} on {membership.local}",
            where="links",
            hint="Links of a cluster that exists are changed in its corosync.conf; take over what is there.",
        )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
