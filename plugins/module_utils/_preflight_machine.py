# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the nodes as machines. Pure: judges what was read. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from ._forecast import HOST_MEMORY
from ._preflight_look import ERROR, INFO, WARNING, Check, Finding, Site
from ._pure.ha_forecast import Picture, Room, Tenant, forecast
from ._pure.units import format_size

# seconds
CLOCK_WARN, CLOCK_REFUSE, CLOCK_REFUSE_CEPH = 0.020, 0.500, 0.050


def _clock(site: Site) -> Iterator[Finding]:
    """By each node's time servers where it follows any, else by this machine's clock."""
    refuse = CLOCK_REFUSE_CEPH if site.wishes.ceph else CLOCK_REFUSE
    for name, machine in site.machines.items():
        if not machine.synchronised:
            text = f"the clock of {name} follows no time server"
            yield Finding(WARNING, "clock", name, text, site.where(name), "Configure chrony.")
    for (one, here), (other, there) in combinations(site.machines.items(), 2):
        apart = abs(here.offset - there.offset) - here.uncertainty - there.uncertainty
        if here.chrony is not None and there.chrony is not None and here.synchronised and there.synchronised:
            apart = max(apart, abs(here.chrony - there.chrony))
        if apart >= CLOCK_WARN:
            text = f"the clocks of {one} and {other} are {apart * 1000:.0f} ms apart"
            fix = f"Let both follow the same time servers; from {refuse * 1000:.0f} ms on, nothing is done."
            yield Finding(ERROR if apart >= refuse else WARNING, "clock", one, text, site.where(one), fix)


def _watchdog(site: Site) -> Iterator[Finding]:
    for name, machine in site.machines.items():
        if machine.watchdog.replace("-", "_") not in machine.modules:
            text = f"the watchdog module {machine.watchdog} is not loaded on {name}"
            fix = "Correct WATCHDOG_MODULE in /etc/default/pve-ha-manager, and restart the node."
            yield Finding(ERROR, "watchdog", name, text, site.where(name), fix)
        elif not machine.watchdog_device:
            text = f"{name} has no /dev/watchdog: a node that is cut off would not be reset"
            fix = f"Does the machine have what {machine.watchdog} drives? Without WATCHDOG_MODULE, softdog is used."
            yield Finding(ERROR, "watchdog", name, text, site.where(name), fix)


def _swap(site: Site) -> Iterator[Finding]:
    for name, machine in site.machines.items():
        if machine.swap_used:
            text = f"{name} uses {format_size(machine.swap_used)} of swap: corosync and guests may stall"
            yield Finding(WARNING, "swap", name, text, site.where(name), "Give it more memory, or fewer guests.")


def _load(site: Site) -> Iterator[Finding]:
    for name, machine in site.machines.items():
        percent = 100 * machine.load / machine.processors
        if percent > site.wishes.load_max:
            text = f"the load of {name} is {percent:.0f} % of its {machine.processors} processors"
            fix = f"At most {site.wishes.load_max} % are promised (pve_load_max)."
            yield Finding(WARNING, "load", name, text, site.where(name), fix)


def _guests_memory(site: Site) -> dict[str, dict[str, int]]:
    """Bytes that guests may take, by node and guest: what runs, and what shall be there."""
    by_guest: dict[str, tuple[str, int]] = {}
    for entry in site.resources:
        if entry.get("type") in ("qemu", "lxc") and entry.get("status") == "running":
            by_guest[str(entry["vmid"])] = (str(entry["node"]), int(entry.get("maxmem") or 0))
    for guest in site.wishes.guests:
        there = by_guest.get(str(guest.get("vmid")))
        node = there[0] if there else guest.get("node")
        if node and guest.get("memory") and (there or guest.get("started")) and guest.get("state") != "absent":
            by_guest[str(guest["vmid"])] = (str(node), int(guest["memory"]) * 2**20)
    found: dict[str, dict[str, int]] = {}
    for vmid, (node, size) in by_guest.items():
        found.setdefault(node, {})[vmid] = size
    return found


def _memory(site: Site) -> Iterator[Finding]:
    taken = _guests_memory(site)
    for name, machine in site.machines.items():
        total = sum(taken.get(name, {}).values())
        if total > machine.memory - HOST_MEMORY:
            text = f"guests on {name} may take {format_size(total)} of its {format_size(machine.memory)} of memory"
            yield Finding(WARNING, "memory", name, text, site.where(name), "Move some of them, or give them less.")


def _spare(site: Site) -> Iterator[Finding]:
    """Whether the guests of each node fit where HA would start them, when it is gone; a voter takes none."""
    voters = {look.name for look in site.looks if look.node.get("voter")}
    rooms = [Room(name, machine.memory, HOST_MEMORY) for name, machine in site.machines.items() if name not in voters]
    if len(rooms) < 2:
        return
    guests = [Tenant(vmid, name, size) for name, each in _guests_memory(site).items() for vmid, size in each.items()]
    for loss in forecast(Picture(rooms, guests)):
        homeless = sorted((landing.sid for landing in loss.stranded), key=int)
        if homeless:
            text = f"if {loss.node} fails, there is no room for its guests {', '.join(homeless)} where HA starts them"
            fix = "Keep the memory of one node free across the others; the scheduler counts guests, not their memory."
            yield Finding(WARNING, "spare", loss.node, text, site.where(loss.node), fix)


def _time_zones(site: Site) -> Iterator[Finding]:
    zones = {name: machine.timezone for name, machine in site.machines.items() if machine.timezone}
    if len(set(zones.values())) > 1:
        words = ", ".join(f"{name} {zone}" for name, zone in sorted(zones.items()))
        fix = "Schedules of jobs are read in the zone of the node that runs them; set one on all (timedatectl)."
        yield Finding(WARNING, "timezone", "", f"the nodes have different time zones: {words}", "", fix)


def _repositories(site: Site) -> Iterator[Finding]:
    """A node with the enterprise repository and no subscription gets no updates; nor does one without any."""
    unpaid, without, unsubscribed = [], [], []
    for look in site.answering:
        subscribed = (look.subscription or {}).get("status") == "active"
        enabled = set(_enabled(look.repositories or {}))
        if look.subscription is not None and not subscribed:
            unsubscribed.append(look.name)
            unpaid += [look.name] if any("enterprise" in each for each in enabled) else []
        without += [look.name] if look.repositories is not None and not enabled else []
    if unpaid:
        text = f"{', '.join(unpaid)}: the enterprise repository without a subscription gives no updates"
        fix = "Enter the subscription, or use the no-subscription repository."
        yield Finding(WARNING, "repositories", unpaid[0], text, "", fix)
    if without:
        text = f"{', '.join(without)}: no repository of Proxmox VE, so no updates"
        yield Finding(WARNING, "repositories", without[0], text, "", "Add one.")
    if unsubscribed and len(unsubscribed) < sum(look.subscription is not None for look in site.answering):
        text = f"{', '.join(unsubscribed)}: no subscription, while others have one"
        fix = "Updates would come at different times."
        yield Finding(WARNING, "subscription", unsubscribed[0], text, "", fix)
    elif unsubscribed:
        yield Finding(INFO, "subscription", unsubscribed[0], f"{', '.join(unsubscribed)}: no subscription")


def _enabled(repositories: Mapping[str, Any]) -> Iterator[str]:
    for each in repositories.get("standard-repos") or []:
        if int(each.get("status") or 0) and not str(each["handle"]).startswith("ceph"):
            yield str(each["handle"])


MACHINE: tuple[Check, ...] = (_clock, _watchdog, _swap, _load, _memory, _spare, _time_zones, _repositories)
