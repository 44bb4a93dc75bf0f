#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage replication jobs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replication_jobs
short_description: Manage storage replication jobs of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - A job is known by its guest and its target. When a guest moves to the target of its job, the server turns the job
    round;
    such a job is still the one that was asked for.
  - Removing a job is finished by the source node's scheduler, some time later; it also removes the replicated volumes.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  jobs:
    description: The jobs.
    type: list
    elements: dict
    required: true
    suboptions:
      guest:
        description: Number of the guest.
        type: int
        required: true
      target:
        description: Node to replicate to.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      schedule:
        description: Calendar event that says when it runs; the server's default is C(*/15), every quarter of an hour.
        type: str
      rate:
        description: Limit in MB/s.
        type: float
      comment:
        description: Comment.
        type: str
      disable:
        description: Whether it is switched off.
        type: bool
      number:
        description: Number of the job among those of the guest; the lowest free one if not given. Fixed at creation.
        type: int
  wait:
    description:
      - Whether to wait until every listed job that is switched on has run without error once.
      - A job that keeps failing ends the wait with the server's words.
    type: bool
    default: false
  timeout:
    description: Seconds to wait.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Guest 104 every quarter of an hour to pve2, at night to pve3
  quorate.pve.replication_jobs:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    jobs:
      - {guest: 104, target: pve2, schedule: "*/15", rate: 50}
      - {guest: 104, target: pve3, schedule: "02:00", comment: every night}
    purge: true
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: replication job 104 to pve2, fields: {rate: {before: null, after: 50}}}]
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

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._api import Result
from ansible_collections.quorate.pve.plugins.module_utils._collection import Collection
from ansible_collections.quorate.pve.plugins.module_utils._errors import ApiError, StateError
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import Change, Wanted
from ansible_collections.quorate.pve.plugins.module_utils._spec import PRESENT, Field, Item, Key, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, INTEGER, NUMBER
from ansible_collections.quorate.pve.plugins.module_utils._wait import wait_until

# The scheduler of the source node looks once a minute (facts §9.3), and a removal waits for runs before it
REMOVAL_TIMEOUT = 300

SPEC = Spec(
    kind="replication job",
    option="jobs",
    keys=("guest", "target"),
    label_format="{guest} to {target}",
    path="/cluster/replication",
    item_path="/cluster/replication/{guest}-{jobnum}",
    item_digest=True,
    fields=(
        Field("guest", INTEGER, required=True, sent=False, refers="guest"),
        Field("target", required=True, refers="node"),
        Field("schedule", default="*/15"),
        Field("rate", NUMBER),
        Field("comment"),
        Field("disable", BOOLEAN, default=False),
        Field("number", INTEGER, "jobnum", fixed=True, sent=False),
    ),
)


class ReplicationJobs(Collection):
    """Entries of replication.cfg."""

    spec = SPEC

    def observe(self, wanted: Sequence[Wanted]) -> dict[Key, Item]:
        """All jobs by guest and target, one that was turned round by the target it had (facts §9.4)."""
        answers = self.api.client.get(SPEC.path)
        self._numbers: dict[int, set[int]] = {}
        self._leaving = {
            (int(job["guest"]), str(job["target"])): str(job["id"]) for job in answers if job.get("remove_job")
        }
        for job in answers:
            self._numbers.setdefault(int(job["guest"]), set()).add(int(job["jobnum"]))
        alive = [job for job in answers if not job.get("remove_job")]
        jobs = self.by_key(alive)
        sources = {(int(job["guest"]), str(job["target"])): job.get("source") for job in alive}
        named = {SPEC.key(want.item) for want in wanted}
        for key in sorted(named - set(jobs)):
            turned = [
                other
                for other in jobs
                if other not in named and other[0] == key[0] and sources.get((other[0], other[1])) == key[1]
            ]
            if turned:
                other = min(turned, key=lambda each: int(jobs[each]["number"]))
                jobs[key] = {**jobs.pop(other), "target": key[1]}
        return jobs

    def manage(self) -> Result:
        """As ever; then wait for the first run of each job."""
        result = super().manage()
        if self.params["wait"] and not self.api.check_mode:
            self._wait_for_copies()
            result["warnings"] = list(dict.fromkeys([*result["warnings"], *self.api.warnings]))
        return result

    def _wait_for_copies(self) -> None:
        """A guest's state at its target is what HA can start it from: nothing before the first run."""
        wanted = {
            (int(element["guest"]), str(element["target"]))
            for element in self.params["jobs"]
            if element.get("state") in (None, PRESENT) and not element.get("disable")
        }
        jobs = [job for job in self.api.client.get(SPEC.path) if not job.get("remove_job") and not job.get("disable")]
        mine = {
            str(job["id"]): (str(job["source"]), str(job["target"]))
            for job in jobs
            if {(int(job["guest"]), str(job["target"])), (int(job["guest"]), str(job["source"]))} & wanted
        }
        waiting: list[str] = []
        left: dict[str, str] = {}

        def states_of(node: str) -> list[Mapping[str, Any]]:
            try:
                return list(self.api.client.get(f"/nodes/{node}/replication"))
            except ApiError:
                if self.api.online(node):
                    raise
                left.update({job: node for job, (source, _target) in mine.items() if source == node})
                return []

        def look() -> bool | None:
            waiting.clear()
            for node in sorted({source for source, _target in mine.values()}):
                for state in states_of(node):
                    job = str(state["id"])
                    source, target = mine.get(job, ("", ""))
                    if source != node or int(state.get("last_sync") or 0):
                        continue
                    if not self.api.online(target):
                        left[job] = target
                        continue
                    waiting.append(f"{job}: {state.get('error') or 'has not run yet'}")
                    if int(state.get("fail_count") or 0) > 1:
                        raise StateError(f"replication job {waiting[-1]}", where="jobs")
            return None if waiting else True

        wait_until(
            look,
            timeout=float(self.params["timeout"]),
            what="the first run of the replication jobs",
            clock=self.api.client.clock,
            passing=(ApiError,),
            describe=lambda: "; ".join(waiting[:5]),
        )
        for job, node in sorted(left.items()):
            self.api.warn(f"replication job {job} is not waited for: {node} is offline")

    def create(self, change: Change) -> None:
        """The lowest number that is free; a job that is being removed is waited for, as the server takes no second."""
        guest, target = int(change.item["guest"]), str(change.item["target"])
        taken = self._numbers.setdefault(guest, set())
        if (guest, target) in self._leaving:
            leaving = self._leaving[guest, target]
            wait_until(
                lambda: True if all(job["id"] != leaving for job in self.api.client.get(SPEC.path)) else None,
                timeout=REMOVAL_TIMEOUT,
                what=f"the removal of the old replication job {leaving}",
                clock=self.api.client.clock,
                hint="The source node's scheduler removes it; it must be online.",
            )
            taken.discard(int(leaving.rpartition("-")[2]))
        number = change.item.get("number")
        if number is None:
            number = next(free for free in range(len(taken) + 1) if free not in taken)
        self.api.client.post(SPEC.path, {"id": f"{guest}-{number}", "type": "local", **SPEC.payload(change.item)})
        taken.add(number)


ARGUMENT_SPEC = arguments(
    **SPEC.argument_spec(),
    **PURGE,
    wait={"type": "bool", "default": False},
    timeout={"type": "int", "default": 1800},
)

run = ReplicationJobs.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
