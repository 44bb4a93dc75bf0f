#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage the targets of notifications."""

from __future__ import annotations

DOCUMENTATION = r"""
module: notification_endpoints
short_description: Manage the targets of notifications of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes targets of notifications, which are mail by the nodes' own mail system or an SMTP
    server, Gotify, and webhooks. What goes there is said by M(quorate.pve.notification_matchers).
  - C(mail-to-root), which the server brings along, is reset instead of removed, and spared by a purge.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
  - quorate.pve.notification_endpoints
"""

EXAMPLES = r"""
- name: Tickets by webhook, and mail to somebody
  quorate.pve.notification_endpoints:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    endpoints:
      - name: tickets
        type: webhook
        url: https://tickets.example.com/api/new
        method: post
        headers: {Content-Type: application/json}
        body: >-
          {% raw %}{"title": "{{ title }}", "text": "{{ escape message }}", "key": "{{ secrets.key }}"}{% endraw %}
        secrets: {key: "{{ vault_ticket_key }}"}
      - name: mail
        type: smtp
        server: mail.example.com
        from_address: pve@example.com
        mailto: [admins@example.com]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: notification endpoint tickets, fields: {type: {before: null, after: webhook}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._notifications import (
    NOTIFICATIONS,
    Endpoints,
    endpoint_spec,
)

SPEC = endpoint_spec(NOTIFICATIONS)


class NotificationEndpoints(Endpoints):
    """Targets in notifications.cfg."""

    spec = SPEC


ARGUMENT_SPEC = arguments(
    **SPEC.argument_spec(), **PURGE, update_secrets={"type": "bool", "default": False, "no_log": False}
)

run = NotificationEndpoints.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
