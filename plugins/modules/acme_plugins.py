#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage plugins for ACME challenges."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_plugins
short_description: Manage plugins for ACME challenges
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Manages how the cluster proves to an ACME authority that a domain is its own.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  plugins:
    description: The plugins.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name of the plugin.
        type: str
        required: true
      type:
        description: Kind of challenge; fixed.
        type: str
        choices: [dns, standalone]
        default: dns
      api:
        description: The DNS provider, such as V(cf).
        type: str
      data:
        description: Its credentials, a dictionary or lines of NAME=VALUE. Keep them in a vault. The values are masked
          wherever they turn up in what is printed, so that what is no secret belongs into O(plugins[].settings).
        type: raw
      settings:
        description: What the provider's script needs beside credentials, such as V(PDNS_ServerId) or an address; a
          dictionary or lines of NAME=VALUE. With one of the two given, together they are all that the plugin has.
        type: raw
      nodes:
        description: Nodes that may use it; all if it is not given.
        type: list
        elements: str
      disable:
        description: Whether it is switched off.
        type: bool
      validation_delay:
        description: Seconds until the authority is asked to look.
        type: int
      state:
        description: Whether it is there; with V(ignore) the element counts as not written.
        type: str
        choices: [present, absent, ignore]
        default: present
"""

EXAMPLES = r"""
- name: Challenges in the provider's name service
  quorate.pve.acme_plugins:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    plugins:
      - {id: provider, api: cf, data: {CF_Token: "{{ vault_cf_token }}"}, settings: {CF_Zone_ID: 0a1b2c}}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: ACME plugin provider, fields: {api: {before: null, after: cf}}}]
done:
  description: Entries of RV(plan) that were carried out before a failure.
  returned: failure
  type: list
  elements: dict
not_done:
  description: Entries of RV(plan) that were not carried out because of a failure.
  returned: failure
  type: list
  elements: dict
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._acme import PLUGINS, AcmePlugins
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish

ARGUMENT_SPEC = arguments(**PLUGINS.argument_spec(), **PURGE)

run = AcmePlugins.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
