# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that every module with commands over SSH shares."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  ssh_user:
    description: User on the hosts, root or one with its rights.
    type: str
    default: root
  ssh_port:
    description: TCP port of SSH.
    type: int
    default: 22
  ssh_password:
    description: Password of O(ssh_user); O(api_password) if both are root's and this one is not given.
    type: str
  ssh_private_key_file:
    description: Private key to log in with; without a password, the agent's and the user's own keys are tried too.
    type: path
  ssh_known_hosts:
    description: File with the hosts' keys, for hosts whose key is not given; the user's own otherwise.
    type: path
  ssh_timeout:
    description: Seconds that one command may take.
    type: int
    default: 900
"""
