#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Call the API where no module of its own does."""

from __future__ import annotations

DOCUMENTATION = r"""
module: api_call
short_description: Call Proxmox VE's API as it is
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Makes one call of the API, for what no other module of this collection manages.
  - A call that writes is made only if it is needed. With O(unless), the path in O(look_at) is read first, and if it has
    these values already, nothing is sent. With PUT and without O(unless), O(parameters) themselves are compared.
  - A call that neither O(unless) nor a comparison makes repeatable, such as a POST that creates something, is made
    on every run and reported as a change.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  path:
    description: Path of the API below C(/api2/json), such as V(/cluster/options).
    type: str
    required: true
  method:
    description: The HTTP method.
    type: str
    choices: [GET, POST, PUT, DELETE]
    default: GET
  parameters:
    description: The call's parameters, in the API's own names.
    type: dict
    default: {}
  look_at:
    description: The path that is read before a call that writes. By default O(path).
    type: str
  unless:
    description:
      - Values that make the call unnecessary, in the API's own names. V(null) means that there is no such value; an
        empty mapping means that the path merely exists.
      - For a list of objects, one of them has to have all these values.
    type: dict
  timeout:
    description: Seconds to wait for the end of the task, if the call starts one.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Read the log of the cluster
  quorate.pve.api_call:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    path: /cluster/log
    parameters: {max: 5}
  register: log

- name: Set the text that is shown before a login
  quorate.pve.api_call:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    method: PUT
    path: /cluster/options
    parameters: {consent-text: for staff only}

- name: Make a pool unless there is one
  quorate.pve.api_call:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    method: POST
    path: /pools
    parameters: {poolid: voip}
    unless: {poolid: voip}
"""

RETURN = r"""
data:
  description: What the call answered; what O(look_at) answered if the call was not needed or it is check mode.
  returned: success
  type: raw
task:
  description: The task that the call started, C(upid) and C(status) at its end; null if it started none.
  returned: success
  type: dict
plan:
  description: The call, if it is needed.
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
from ansible_collections.quorate.pve.plugins.module_utils._errors import ApiError
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import CREATE, DELETE, UPDATE, simple_change
from ansible_collections.quorate.pve.plugins.module_utils._values import plain_text

ACTIONS = {"POST": CREATE, "PUT": UPDATE, "DELETE": DELETE}

ARGUMENT_SPEC = arguments(
    path={"type": "str", "required": True},
    method={"type": "str", "choices": ["GET", "POST", "PUT", "DELETE"], "default": "GET"},
    parameters={"type": "dict", "default": {}},
    look_at={"type": "str"},
    unless={"type": "dict"},
    timeout={"type": "int", "default": 300},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        method, path, given = params["method"], params["path"], params["parameters"]
        if method == "GET":
            return api.result([], data=api.client.call(method, path, given), task=None)
        unless = params["unless"]
        if unless is None and method == "PUT" and "delete" not in given:
            unless = given
        there = None
        if unless is not None or method == "DELETE":
            there = _read(api, params["look_at"] or path)
            if there is None and method == "DELETE":
                return api.result([], data=None, task=None)
            if unless is not None and there is not None and _has(there, unless):
                return api.result([], data=there, task=None)
        names = sorted(given)
        before = {name: there.get(name) for name in names} if isinstance(there, Mapping) else {}
        shown = {name: given[name] for name in names}
        change = simple_change(
            ACTIONS[method], method, path, shown, {name: value for name, value in before.items() if value is not None}
        )
        api.approve([change])
        if api.check_mode:
            return api.result([change], data=there, task=None)
        answer = api.client.call(method, path, given)
        end = api.finish_task(answer, float(params["timeout"]))
        return api.result([change], data=answer, task={"upid": end.upid, "status": end.status} if end else None)


def _read(api: Api, path: str) -> Any:
    """What is there; None if the path is not. A missing object is a 404, or a 500 with words (facts §1.3)."""
    try:
        return api.client.get(path)
    except ApiError as error:
        if error.node_offline or error.status in (401, 403, 501):
            raise
        return None


def _has(there: Any, wanted: Mapping[str, Any]) -> bool:
    if isinstance(there, list):
        return any(_has(each, wanted) for each in there if isinstance(each, Mapping))
    if not isinstance(there, Mapping):
        return not wanted
    return all(_form(there.get(name)) == _form(value) for name, value in wanted.items())


def _form(value: Any) -> Any:
    """Numbers and booleans are text on the wire; several settings in one parameter come back as an object."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {str(key): _form(each) for key, each in value.items()}
    return [_form(each) for each in value] if isinstance(value, list) else plain_text(value).rstrip("\n")


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
