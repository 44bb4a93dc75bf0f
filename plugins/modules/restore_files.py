#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fetch single files out of a guest's backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_files
short_description: Fetch single files out of a backup of a Proxmox VE guest
version_added: 0.2.0
author: [Quorate contributors (@quorate)]
description:
  - Fetches files and directories out of a backup on a backup server, onto the machine where the module runs. The
    guest is not touched.
  - Files are readable for their owner alone, and have the time that they had when they were backed up. A file that is
    there with that time and size is not fetched again.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.chosen_backup
options:
  node:
    description: Node that reads the backup; the first that is online if it is not given.
    type: str
  files:
    description:
      - Paths in the backup. Of a container as the container has them, such as C(/etc/hosts); of a virtual machine
        beginning with disk and partition, such as C(/drive-scsi0.img.fidx/part/1/etc/hosts).
      - A directory comes as an archive, C(etc.tar.zst) for C(/etc).
    type: list
    elements: str
    required: true
  dest:
    description: Directory for them, in which each has its path again; directories that are missing are made for their
      owner alone.
    type: path
    required: true
  overwrite:
    description: Whether files that are there, and are not what the backup has, are overwritten.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: One file of yesterday
  quorate.pve.restore_files:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    guest: 301
    files: [/etc/postfix/main.cf]
    dest: restored/301
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: file restored/301/etc/hosts, fields: {path: {before: null, after:
    /root.pxar.didx/etc/hosts}}}]
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
backup:
  description: The backup, with C(type) (V(vm) or V(ct)), C(vmid), C(volid), C(size) in bytes and C(time) in seconds
    since 1970; null if it is not known in check mode.
  returned: success
  type: dict
files:
  description: Where the files are.
  returned: success
  type: list
  elements: str
bytes:
  description: How many bytes were fetched.
  returned: success
  type: int
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._module import arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._restore_files import ARGUMENTS, run

ARGUMENT_SPEC = arguments(**ARGUMENTS)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
