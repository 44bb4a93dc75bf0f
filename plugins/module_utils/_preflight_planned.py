# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what the cluster shall be. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._preflight_look import ERROR, INFO, WARNING, Check, Finding, Site


def _count(site: Site) -> Iterator[Finding]:
    """An even number of votes survives no more losses than one less, and may split into equal halves."""
    number = len(site.looks)
    if number % 2 == 0 and not site.wishes.witness:
        text = f"{number} nodes are an even number: when half of them are lost, or cut off, all stop"
        fix = "Add a witness (pve_witness), or a node that only votes (pve_voter)."
        yield Finding(ERROR, "count", "", text, "", fix)
    if number % 2 == 1 and site.wishes.witness:
        text = f"{number} nodes are an odd number, and a witness makes them worse: its loss counts as all but one"
        yield Finding(ERROR, "count", "", text, "", "Leave the witness out, or set pve_witness.force.")


def _replication(site: Site) -> Iterator[Finding]:
    """A replica is kept on the storage of the same name, which has to be ZFS on both nodes."""
    storages = {str(each["storage"]): each for each in site.wishes.storages}
    guests = {str(each.get("vmid")): each for each in site.wishes.guests}
    for index, job in enumerate(site.wishes.replication_jobs):
        guest = guests.get(str(job.get("guest")))
        if guest is None or job.get("state") == "absent":
            continue
        where = f"replication_jobs[{index}] ({job['guest']} {job.get('target')})"
        for name in sorted(_storages_of(guest)):
            storage = storages.get(name)
            if storage is None:
                continue
            if storage.get("type") not in (None, "zfspool"):
                text = f"guest {job['guest']} has a disk on {name}, which is no ZFS storage and is not replicated"
                yield Finding(ERROR, "replication", str(job.get("target")), text, where, "Put it on a ZFS storage.")
            nodes = storage.get("nodes") or []
            for node in {guest.get("node"), job.get("target")} - {None}:
                if nodes and node not in nodes:
                    text = f"guest {job['guest']} has a disk on {name}, which {node} does not have"
                    fix = f"Add {node} to the nodes of the storage: its name has to be the same on both."
                    yield Finding(ERROR, "replication", str(node), text, where, fix)


def _departed(site: Site) -> Iterator[Finding]:
    """Entries outlive the node that they name, and wait for the next machine of that name."""
    for stray in site.strays:
        names = ", ".join(stray.names)
        text = f"{stray.name} names {names}, no member of {site.cluster} and not listed"
        fix = "Choose another node there, or remove it."
        if stray.removable:
            fix = "Strike it out there; playbooks/remove_node.yml does when a node leaves."
        yield Finding(WARNING, "departed", stray.names[0], text, "", fix)
    for text in site.unread:
        yield Finding(
            INFO, "departed", "", f"whether anything there names a node that is no member is not known: {text}"
        )


def _storages_of(guest: Mapping[str, Any]) -> set[str]:
    return {str(disk).partition(":")[0] for disk in (guest.get("disks") or {}).values() if ":" in str(disk)}


PLANNED: tuple[Check, ...] = (_count, _replication, _departed)
