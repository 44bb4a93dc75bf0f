# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.backup_class_jobs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_class_jobs
short_description: The backup jobs of classes of guests
version_added: 0.2.0
author: Quorate contributors (@quorate)
description:
  - Makes of classes of guests the jobs that M(quorate.pve.backup_jobs) takes, one a class and called like it.
  - A pool stays a pool in the job, so that guests that come into it later are taken at once. Tags become numbers, as
    jobs know none. A class of V(all) takes those that no other class takes; one that selects nobody has no job.
positional: guests
options:
  _input:
    description: The classes, each with C(name), C(schedule), C(storage), one of C(guests), C(pool), C(tags) and
      C(all), and possibly C(job) with further settings.
    type: list
    elements: dict
    required: true
  guests:
    description: The guests with C(vmid), C(tags) and C(pool), as RV(quorate.pve.cluster_info#module:resources) or
      C(pve_guests) have them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
jobs: "{{ pve_backup_classes | quorate.pve.backup_class_jobs(resources) }}"
"""

RETURN = r"""
_value:
  description: The jobs.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._plain import plain
from ansible_collections.quorate.pve.plugins.module_utils._pure.backup_classes import jobs_of


def backup_class_jobs(
    classes: Sequence[Mapping[str, Any]], guests: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The jobs of `classes`; of `guests` those with a number count."""
    return jobs_of(plain(list(classes)), [guest for guest in plain(list(guests)) if guest.get("vmid") is not None])


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"backup_class_jobs": backup_class_jobs}
