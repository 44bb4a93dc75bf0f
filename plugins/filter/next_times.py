# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.next_times."""

from __future__ import annotations

DOCUMENTATION = r"""
name: next_times
short_description: The next times of a calendar event
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Tells when a job with a schedule such as V(mon..fri 02:30) or V(*/15) runs next, by Proxmox's own rules.
  - An event that never comes again gives an empty list; a text that is no calendar event is an error.
positional: count, after, timezone
options:
  _input:
    description: The calendar event.
    type: str
    required: true
  count:
    description: How many times, at most 1000.
    type: int
    default: 1
  after:
    description: The times are later than this, Unix seconds or ISO 8601; now if it is not given.
    type: raw
  timezone:
    description: Time zone of the node, on which the event depends.
    type: str
    default: UTC
"""

EXAMPLES = r"""
- name: See that two nights come before a weekend
  ansible.builtin.assert:
    that:
      - >-
        'mon..fri 02:30' | quorate.pve.next_times(3, '2026-11-19T12:00:00', 'Europe/Vienna') ==
        ['2026-11-20T02:30:00+01:00', '2026-11-23T02:30:00+01:00', '2026-11-24T02:30:00+01:00']

- name: Say when the next backup runs
  ansible.builtin.debug:
    msg: "{{ '02:00,14:00' | quorate.pve.next_times | first }}"
"""

RETURN = r"""
_value:
  description: The times, ISO 8601 with the zone's offset.
  type: list
  elements: str
  sample: ['2026-11-20T02:30:00+01:00']
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

next_times = later("_filter_values", "next_times")


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"next_times": next_times}
