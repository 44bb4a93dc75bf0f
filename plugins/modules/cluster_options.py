#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set options of the datacenter."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_options
short_description: Set options of a Proxmox VE datacenter
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Sets what C(/etc/pve/datacenter.cfg) holds. Options that are not named are left alone.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
options:
  options:
    description:
      - Options by the API's own names, such as C(ha), C(crs), C(migration), C(replication), C(bwlimit), C(max_workers),
        C(mac_prefix), C(keyboard), C(registered-tags), C(next-id), C(description). Underscores may stand for hyphens.
      - An option made of several settings is a dictionary; it is merged with those that are set, a setting of V(null)
        is removed.
      - An option of V(null) is left alone.
    type: dict
    default: {}
  absent:
    description: Names of options to remove, so that the server's default holds.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Guests move away from a node that shuts down
  quorate.pve.cluster_options:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    options:
      ha: {shutdown_policy: migrate}
      crs: {ha: static, ha-rebalance-on-start: true}
      migration: {type: secure, network: 198.51.100.0/24}
      registered-tags: [gold, silver]
    absent: [bwlimit]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields).
  returned: always
  type: list
  elements: dict
  sample:
    - {action: update, object: options of the cluster, fields: {ha: {before: null, after: {shutdown_policy: migrate}}}}
options:
  description: The options as they are now (in check mode, were).
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
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError, VerifyError
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import UPDATE, simple_change
from ansible_collections.quorate.pve.plugins.module_utils._values import (
    PROPERTIES,
    SET,
    TEXT,
    Form,
    join_properties,
    plain_text,
    properties_form,
)

PATH = "/cluster/options"
TAGS = Form(SET.normalise, ";".join, "list", "str")
TYPE_FIRST = properties_form("type")

# What is more than a plain text (facts §8); the names of all options are the API's
FORMS: Mapping[str, Form] = {
    "bwlimit": PROPERTIES,
    "crs": properties_form(hyphens=True),
    "ha": PROPERTIES,
    "location": PROPERTIES,
    "migration": TYPE_FIRST,
    "next-id": PROPERTIES,
    "notify": PROPERTIES,
    "registered-tags": TAGS,
    "replication": TYPE_FIRST,
    "tag-style": PROPERTIES,
    "u2f": PROPERTIES,
    "user-tag-access": PROPERTIES,
    "webauthn": PROPERTIES,
}
HYPHENS = {name.replace("-", "_"): name for name in [*FORMS, "consent-text"] if "-" in name}

ARGUMENT_SPEC = arguments(
    options={"type": "dict", "default": {}},
    absent={"type": "list", "elements": "str", "default": []},
)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module."""
    api = Api.open(params, check_mode)
    given = {api_name(name): value for name, value in params["options"].items() if value is not None}
    absent = {api_name(name) for name in params["absent"]}
    both = sorted(absent & set(given))
    if both:
        raise InputError(f"{', '.join(both)} cannot be set and removed at once", where="absent")
    actual = observe(api)
    to_set, gone = plan(given, absent, actual)
    names = sorted({*to_set, *gone})
    before = {name: actual[name] for name in names if name in actual}
    changes = [simple_change(UPDATE, "options", "of the cluster", to_set, before)] if names else []
    api.approve(changes)
    if changes and not check_mode:
        payload = {name: _form(name).encode(value) for name, value in to_set.items()}
        if gone:
            payload["delete"] = ",".join(gone)
        api.client.put(PATH, payload)
        actual = observe(api)
        left, still = plan(given, absent, actual)
        if left or still:
            differing = [f"{name} is {actual.get(name)!r} instead of {value!r}" for name, value in left.items()]
            differing += [f"{name} is still {actual[name]!r}" for name in still]
            raise VerifyError(f"the server said yes, and {', '.join(differing)}", where="options")
    return api.result(changes, options=actual)


def api_name(name: str) -> str:
    """An option's name with its hyphens."""
    return HYPHENS.get(name, name)


def observe(api: Api) -> dict[str, Any]:
    """The options that are set, normalised."""
    options = {name: _form(name).normalise(value) for name, value in api.client.get(PATH).items()}
    return {name: value for name, value in options.items() if value is not None}


def plan(given: Mapping[str, Any], absent: set[str], actual: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What to set and what to remove. Settings of an option are merged with those that are there."""
    to_set: dict[str, Any] = {}
    gone = [name for name in sorted(absent) if name in actual]
    for name, value in given.items():
        wanted = _merged(name, value, actual.get(name))
        if wanted == actual.get(name):
            continue
        if wanted is None:
            gone.append(name)
        else:
            to_set[name] = wanted
    return to_set, gone


def _merged(name: str, value: Any, there: Any) -> Any:
    form = _form(name)
    if isinstance(value, Mapping):
        # a setting of None goes
        keys = {str(key).replace("_", "-") if name == "crs" else str(key): each for key, each in value.items()}
        return form.normalise({**(there or {}), **keys})
    try:
        return form.normalise(plain_text(value) if isinstance(value, (bool, float)) else value)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(str(error), where=f"options.{name}") from error


def _form(name: str) -> Form:
    return FORMS.get(name, ANY_TEXT)


def _any_text(value: Any) -> Any:
    """An option that this module does not know: several settings if the server shows it so, else a text."""
    if isinstance(value, Mapping):
        return PROPERTIES.normalise(value)
    return SET.normalise(value) if isinstance(value, list) else TEXT.normalise(plain_text(value))


def _encode_any(value: Any) -> str:
    if isinstance(value, Mapping):
        return join_properties(value)
    return ";".join(value) if isinstance(value, list) else str(value)


ANY_TEXT = Form(_any_text, _encode_any, "raw")


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
