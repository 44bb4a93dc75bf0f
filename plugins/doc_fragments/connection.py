# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that every module of the Proxmox VE API shares."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_hosts:
    description:
      - Addresses or names of members of one cluster (or of one standalone node). The first that answers is used; the
        others are reached through it.
      - If it is not given, the environment variable E(PVE_HOST) is used, with commas between several hosts.
    type: list
    elements: str
    required: true
    aliases: [api_host]
  api_port:
    description: TCP port of the API.
    type: int
    default: 8006
  api_user:
    description:
      - User with its realm. Not used with an API token.
      - If it is not given, the environment variable E(PVE_USER) is used.
    type: str
    default: root@pam
  api_password:
    description:
      - Password of O(api_user).
      - If it is not given, the environment variable E(PVE_PASSWORD) is used.
    type: str
  api_otp:
    description:
      - Second factor of O(api_user) as C(totp:123456), C(recovery:...) or C(yubico:...); digits alone are taken as
        C(totp).
    type: str
  api_token_id:
    description:
      - API token as C(user@realm!name), with O(api_token_secret) instead of a password.
      - Creating a cluster, joining it and wiping disks need C(root@pam) with a password; the server refuses tokens
        there.
      - If it is not given, the environment variable E(PVE_TOKEN_ID) is used.
    type: str
  api_token_secret:
    description:
      - Secret (UUID) of O(api_token_id).
      - If it is not given, the environment variable E(PVE_TOKEN_SECRET) is used.
    type: str
  api_fingerprints:
    description:
      - SHA-256 fingerprints of certificates that are accepted, whoever signed them. With at least one here, or one
        for the host in O(api_trust_file), certification authorities are not asked.
    type: list
    elements: str
    default: []
  api_trust_file:
    description:
      - JSON file on the machine where the module runs, with fingerprints learnt from members of the cluster. A node
        gets a new certificate when it joins; M(quorate.pve.cluster_member) writes the new fingerprint here, all modules
        read it.
      - A file that does not exist yet is an empty one.
    type: path
  api_ca_file:
    description:
      - Certificates of authorities to check the server's certificate with, such as C(/etc/pve/pve-root-ca.pem) of the
        cluster. The system's are used if it is not given.
    type: path
  api_validate_certs:
    description: Whether the server's certificate is checked at all.
    type: bool
    default: true
  api_timeout:
    description: Seconds to wait for an answer. Other nodes are given 30 seconds by the server that passes a request on.
    type: int
    default: 30
requirements:
  - proxmoxer >= 2.2
  - requests >= 2.32
notes:
  - The module runs inside the controller's worker process, unless the task runs on or is delegated to a host with
    another connection than C(local), is asynchronous, or E(QUORATE_IN_PROCESS) is V(0) in the task's environment or
    in that of C(ansible-playbook); then it is an ordinary module that needs the requirements on that host.
  - Every module is in the action group C(quorate.pve.all), so that C(module_defaults) can carry the connection.
"""

    # Modules that change something
    WRITES = r"""
options: {}
attributes:
  check_mode:
    description: Nothing but GET requests and the login is sent; the plan is the one that would be carried out.
    support: full
  diff_mode:
    description: Returns the objects that change, before and after, secrets left out.
    support: full
"""

    # Modules that only read
    READS = r"""
options: {}
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: Nothing is ever changed.
    support: N/A
"""

    # Modules that take a whole set of objects
    SET = r"""
options:
  purge:
    description:
      - Whether objects that exist but are not listed are removed.
    type: bool
    default: false
  purge_limit:
    description:
      - How many objects O(purge) may remove, as a share of those that exist, such as V(20%), or as a number. If it
        would be more, nothing is done, and the error says which they are.
      - Of a share it is always at least one, unless it is V(0%). Elements that say C(state=absent) do not count.
    type: str
    default: 20%
"""
