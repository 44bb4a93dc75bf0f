# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that every module of the Proxmox Backup Server API shares."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_hosts:
    description:
      - Addresses or names of one backup server. The first that answers is used.
      - If it is not given, the environment variable E(PBS_HOST) is used, with commas between several hosts.
    type: list
    elements: str
    required: true
    aliases: [api_host]
  api_port:
    description: TCP port of the API.
    type: int
    default: 8007
  api_user:
    description:
      - User with its realm. Not used with an API token.
      - If it is not given, the environment variable E(PBS_USER) is used.
    type: str
    default: root@pam
  api_password:
    description:
      - Password of O(api_user).
      - If it is not given, the environment variable E(PBS_PASSWORD) is used.
    type: str
  api_otp:
    description:
      - Second factor of O(api_user); users with one have to use an API token instead.
    type: str
  api_token_id:
    description:
      - API token as C(user@realm!name), with O(api_token_secret) instead of a password.
      - If it is not given, the environment variable E(PBS_TOKEN_ID) is used.
    type: str
  api_token_secret:
    description:
      - Secret (UUID) of O(api_token_id).
      - If it is not given, the environment variable E(PBS_TOKEN_SECRET) is used.
    type: str
  api_fingerprints:
    description:
      - SHA-256 fingerprints of certificates that are accepted, whoever signed them. With at least one here,
        certification authorities are not asked. A backup server signs its certificate itself unless it was given one.
    type: list
    elements: str
    default: []
  api_trust_file:
    description:
      - JSON file on the machine where the module runs, with further fingerprints by address.
      - A file that does not exist yet is an empty one.
    type: path
  api_ca_file:
    description:
      - Certificates of authorities to check the server's certificate with. The system's are used if it is not given.
    type: path
  api_validate_certs:
    description: Whether the server's certificate is checked at all.
    type: bool
    default: true
  api_timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 30
requirements:
  - proxmoxer >= 2.2
  - requests >= 2.32
notes:
  - The module runs inside the controller's worker process, unless the task runs on or is delegated to a host with
    another connection than C(local), is asynchronous, or E(QUORATE_IN_PROCESS) is V(0) in the task's environment or
    in that of C(ansible-playbook); then it is an ordinary module that needs the requirements on that host.
  - Every module is in the action group C(quorate.pve.pbs), so that C(module_defaults) can carry the connection.
"""
