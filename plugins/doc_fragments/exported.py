# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules that write variables."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  dest:
    description: The file to write; nothing is written if it is not given.
    type: path
  overwrite:
    description: Whether a file that is there and differs is replaced.
    type: bool
    default: false
  variables:
    description: Names of the variables to export; all if it is not given.
    type: list
    elements: str
    default: []
  title:
    description: A comment at the head of the file.
    type: str
"""
