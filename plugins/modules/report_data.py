#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read what a report on a cluster shows."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report_data
short_description: Read what a report on a Proxmox VE cluster shows
version_added: 0.3.0
author: [Quorate contributors (@quorate)]
description:
  - Reads nodes, links, votes, HA, spare room, Ceph, replicas, backups, drills and guests of a cluster with few calls,
    and judges them. The result is what the role P(quorate.pve.report#role) draws, and can be kept as JSON.
  - Without O(nodes) the state of the links is not known; without O(backup_servers) the backups are those that the
    cluster's storages show. What does not answer becomes a finding.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.reads
  - quorate.pve.ssh
options:
  title:
    description: Title of the report; the cluster's name if it is not given.
    type: str
  nodes:
    description: The nodes, asked over SSH what they see of their links.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address for SSH.
        type: str
        required: true
      host_key:
        description: Its SSH host key as C(ssh-ed25519 AAAA...).
        type: str
      site:
        description: Site that it stands in.
        type: str
      voter:
        description: Whether it only votes, and takes no guests.
        type: bool
        default: false
  links:
    description: Whether the nodes of O(nodes) are asked over SSH what they see of their links.
    type: bool
    default: true
  backup_servers:
    description: Backup servers whose snapshots count, asked themselves.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What to call it.
        type: str
        required: true
      api_hosts:
        description: Its addresses.
        type: list
        elements: str
        required: true
      api_port:
        description: TCP port of its API.
        type: int
        default: 8007
      api_user:
        description: User with its realm.
        type: str
        default: root@pam
      api_password:
        description: Password of the user.
        type: str
      api_token_id:
        description: API token instead of a password.
        type: str
      api_token_secret:
        description: Secret of the token.
        type: str
      api_fingerprints:
        description: SHA-256 fingerprints of certificates that are accepted.
        type: list
        elements: str
        default: []
      api_trust_file:
        description: JSON file with further fingerprints by address.
        type: path
      api_ca_file:
        description: Certificates of authorities.
        type: path
      api_validate_certs:
        description: Whether the certificate is checked.
        type: bool
        default: true
      api_timeout:
        description: Seconds that one call may take.
        type: int
        default: 30
  drills:
    description: Directory on the machine where the module runs with the records of drills.
    type: path
  restores:
    description: File or directory with the records of restores that were tried, as
      O(quorate.pve.restore_test#module:results) has them.
    type: path
  backup_max_age:
    description: How old the newest backup of a guest may be that no backup job promises anything, and a copy on a
      server whose sync jobs cannot be read.
    type: str
    default: 26h
  backup_classes:
    description: Classes of guests that are backed up alike, each by a backup job of its name.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the class and its job.
        type: str
        required: true
      max_age:
        description: How old the newest backup of its guests may be, such as C(2h); one and a half times the longest
          pause of the job's schedule if it is not given.
        type: str
  classes:
    description: By the number of a guest its class, C(name) and C(max_age) (seconds that a backup may be old).
    type: dict
    default: {}
  services_known:
    description: Numbers, names or tags of guests of which it is known that what they are for starts by itself.
    type: list
    elements: str
    default: []
  recovery_promised:
    description: Seconds that are promised from a failure to recovery.
    type: int
    default: 180
  service_promised:
    description: Seconds that are promised from a failure to service.
    type: int
    default: 240
  page_file:
    description: File that the report is written to as one HTML page; its directory is made. Not in check mode.
    type: path
  data_file:
    description: File that the report is written to as JSON; its directory is made. Not in check mode.
    type: path
  templates:
    description: Directory with C(page.html.j2) and what it includes; needed for O(page_file).
    type: path
  ssh_timeout:
    description: Seconds that one command may take.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Read what there is
  quorate.pve.report_data:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
  register: data

- name: Nothing is wrong
  ansible.builtin.assert:
    that: data.report.counts.error == 0

- name: Write it as JSON
  quorate.pve.report_data:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    data_file: /var/lib/quorate/report.json
"""

RETURN = r"""
report:
  description:
    - The report as plain data. C(format) is the version of its form, C(severity) the worst of its C(findings), each of
      which has C(severity), C(area), C(subject), C(text) and C(fix). Further keys are C(nodes), C(links), C(quorum),
      C(ha), C(capacity), C(ceph) (null without Ceph), C(replication), C(backups), C(restores), C(drills) and C(guests).
  returned: without O(page_file) and O(data_file)
  type: dict
summary:
  description:
    - The head of the report (C(title), C(severity), C(counts), C(protected), the text C(quorum)), and of its
      C(findings) the worst dozen that are more than notes; C(more) is how many there are beyond.
  returned: success
  type: dict
calls:
  description: Number of API calls made to the cluster.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._hosts import ssh_options
from ansible_collections.quorate.pve.plugins.module_utils._module import CONNECTION, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._report_data import run

SERVER = {
    **{
        name: {key: value for key, value in CONNECTION[name].items() if key not in ("fallback", "aliases")}
        for name in CONNECTION
        if name != "api_otp"
    },
    "name": {"type": "str", "required": True},
    "api_port": {"type": "int", "default": 8007},
}

ARGUMENT_SPEC = arguments(
    title={"type": "str"},
    nodes={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "host_key": {"type": "str", "no_log": False},
            "site": {"type": "str"},
            "voter": {"type": "bool", "default": False},
        },
    },
    links={"type": "bool", "default": True},
    backup_servers={"type": "list", "elements": "dict", "default": [], "options": SERVER},
    drills={"type": "path"},
    restores={"type": "path"},
    backup_max_age={"type": "str", "default": "26h"},
    backup_classes={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "max_age": {"type": "str"}},
    },
    classes={"type": "dict", "default": {}},
    services_known={"type": "list", "elements": "str", "default": []},
    recovery_promised={"type": "int", "default": 180},
    service_promised={"type": "int", "default": 240},
    page_file={"type": "path"},
    data_file={"type": "path"},
    templates={"type": "path"},
    **ssh_options(20),
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
