# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks find in a cluster when they begin, as files of /etc/pve: a thousand objects, one call for each, take
minutes to be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..integration.shell import Shell
from ..stacks import RunningStack

FIRST_GUEST = 1000


def write(stack: RunningStack, files: Mapping[str, str]) -> None:
    """Files by their names below /etc/pve, over SFTP to the first node; what is there already is kept before them."""
    Shell(stack, "pve1").append({f"/etc/pve/{name}": content for name, content in files.items()})


def guests_on(nodes: Sequence[str], count: int) -> dict[str, str]:
    """Guests by their configuration alone, disks included: enough for what does not run, move or copy them."""
    return {
        f"nodes/{nodes[vmid % len(nodes)]}/qemu-server/{vmid}.conf": (
            f"memory: 16\nname: g{vmid}\nscsi0: tank:vm-{vmid}-disk-0,size=1G\n"
        )
        for vmid in range(FIRST_GUEST, FIRST_GUEST + count)
    }


def ha_resources(vmids: Sequence[int], state: str) -> dict[str, str]:
    """Guests under HA."""
    return {"ha/resources.cfg": "".join(f"vm: {vmid}\n\tstate {state}\n\n" for vmid in vmids)}


def replication_jobs(jobs: Mapping[int, tuple[str, str]]) -> dict[str, str]:
    """Jobs that are switched off: guests with the nodes that they are on and that they are copied to."""
    lines = (
        f"local: {vmid}-0\n\ttarget {target}\n\tdisable 1\n\tsource {source}\n\n"
        for vmid, (source, target) in jobs.items()
    )
    return {"replication.cfg": "".join(lines)}


def users(count: int) -> dict[str, str]:
    """Users without anything but their names."""
    return {"user.cfg": "".join(f"user:bench{number}@pve:1:0::::::\n" for number in range(count))}
