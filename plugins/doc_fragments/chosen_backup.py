# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules that read one backup of a guest."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  volid:
    description: The backup, such as C(backup:backup/vm/104/2026-11-20T02:00:00Z). Either this or O(guest) is needed.
    type: str
  guest:
    description: Number of the guest whose newest backup it is.
    type: int
  source:
    description: Storage with the backups of O(guest). All that the node has for backups are looked through if it is not
      given, and those that cannot be read are warned of.
    type: str
  max_age:
    description: How old that backup may be, such as C(24h), by the node's clock.
    type: str
  before:
    description: Point in time that the backup must not be later than, such as C(2026-11-20T12:00:00Z); UTC if it says
      no zone. For going back to before something happened.
    type: str
"""
