# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what is between the nodes. Pure: judges what was measured. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ._paths import Measured, address_in
from ._preflight_look import ERROR, INFO, WARNING, Check, Finding, Site
from ._preflight_promised import promised_in

GIGABIT, TEN_GIGABIT = 1000, 10_000


@dataclass(frozen=True)
class Bound:
    """From which value on something is warned about, and refused."""

    warn: float
    refuse: float

    def severity(self, value: float) -> str | None:
        """What a value counts as; None if it is in order."""
        if value >= self.refuse:
            return ERROR
        return WARNING if value >= self.warn else None


# milliseconds: corosync wants a LAN, and Proxmox VE's manual 5 ms at most
LATENCY = Bound(2.0, 5.0)
JITTER = Bound(1.0, 3.0)
# of the packets
LOSS = Bound(0.001, 0.2)


def _shells(site: Site) -> Iterator[Finding]:
    for look in site.looks:
        if look.shell_error is not None:
            text = f"{look.name} cannot be measured: {look.shell_error.message}"
            yield Finding(WARNING, "ssh", look.name, text, look.where, look.shell_error.hint)


def _each(site: Site) -> Iterator[tuple[Measured, str]]:
    for measured in site.measured or ():
        yield measured, site.where(measured.path.source)


def _unreachable(site: Site) -> Iterator[Finding]:
    for measured, where in _each(site):
        path = measured.path
        if measured.average is None:
            text = f"{path.source} does not reach {path.target} at {path.target_address} ({path.name})"
            fix = "Are both in that network, and is the switch between them up?"
            yield Finding(ERROR, "path", path.source, text, where, fix)


def _times(site: Site) -> Iterator[Finding]:
    for measured, where in _each(site):
        if measured.average is None:
            continue
        if severity := LATENCY.severity(measured.average):
            # it is corosync that needs a LAN
            severity = severity if measured.path.link else WARNING
            text = f"{measured.average:.1f} ms from {measured.path}"
            fix = f"Below {LATENCY.warn:g} ms is good, from {LATENCY.refuse:g} ms on corosync is not stable."
            yield Finding(severity, "latency", measured.path.source, text, where, fix)
        if severity := JITTER.severity(measured.deviation):
            severity = severity if measured.path.link else WARNING
            text = f"times from {measured.path} vary by {measured.deviation:.1f} ms"
            yield Finding(severity, "jitter", measured.path.source, text, where, "Give corosync a network of its own.")
        if severity := LOSS.severity(measured.loss):
            text = f"{measured.loss:.0%} of the packets from {measured.path} are lost"
            yield Finding(severity, "loss", measured.path.source, text, where, "Look at cables, switches and duplex.")


def _mtu(site: Site) -> Iterator[Finding]:
    machines = site.machines
    for measured, where in _each(site):
        path = measured.path
        ends = {
            name: interface["mtu"]
            for name, address in ((path.source, path.source_address), (path.target, path.target_address))
            if (interface := machines[name].interface_of(address)) and interface.get("mtu")
        }
        if len(set(ends.values())) > 1:
            words = ", ".join(f"{name} {mtu}" for name, mtu in ends.items())
            text = f"the MTU differs on {path.name}: {words}"
            yield Finding(ERROR, "mtu", path.source, text, where, "Set the same on all nodes and switches.")
        elif measured.full_size is False:
            text = f"packets of {path.mtu} bytes, the MTU of both ends, do not pass from {path}"
            yield Finding(
                ERROR, "mtu", path.source, text, where, "Raise the MTU of the switches between, or lower both."
            )


def _cards(site: Site) -> Iterator[Finding]:
    """Links that share a card fail together."""
    for look in site.looks:
        if look.machine is None:
            continue
        used: dict[str, int] = {}
        for link in look.node.get("links") or []:
            interface = look.machine.interface_of(str(link["address"]))
            for card in look.machine.cards_of(str(interface["ifname"])) if interface else ():
                other = used.setdefault(card, link["number"])
                if other != link["number"]:
                    text = f"links {other} and {link['number']} of {look.name} run over the same card {card}"
                    fix = "Put each link on a card and a switch of its own."
                    yield Finding(WARNING, "nics", look.name, text, look.where, fix)


def _speeds(site: Site) -> Iterator[Finding]:
    """Of those that a network is for; who only votes needs none beside corosync's."""
    for look in site.looks:
        if look.machine is None or look.node.get("voter"):
            continue
        for network in site.wishes.networks:
            if network.get("nodes") and look.name not in network["nodes"]:
                continue
            address = address_in(look.machine, network["cidr"])
            if address is None:
                if promised_in(site.wishes.interfaces, look.name, network["cidr"]):
                    continue
                text = f"{look.name} has no address in the {network['name']} network {network['cidr']}"
                yield Finding(ERROR, "speed", look.name, text, look.where, "Give it one.")
                continue
            interface = look.machine.interface_of(address) or {}
            cards = look.machine.cards_of(str(interface.get("ifname")))
            known = [look.machine.speeds[card] for card in cards if card in look.machine.speeds]
            wanted = int(network.get("min_speed") or TEN_GIGABIT)
            if known and max(known) < wanted:
                over = ", ".join(sorted(cards))
                text = f"the {network['name']} network of {look.name} runs at {max(known)} Mbit/s ({over})"
                severity = ERROR if max(known) < GIGABIT else WARNING
                yield Finding(severity, "speed", look.name, text, look.where, f"It should have {wanted} Mbit/s.")


def _names(site: Site) -> Iterator[Finding]:
    """Names to addresses and back: a node must find itself, and must not find another in its place."""
    addresses = {look.name: str(look.node["address"]) for look in site.looks}
    own = {
        look.name: {addresses[look.name], *(str(link["address"]) for link in look.node.get("links") or [])}
        for look in site.looks
    }
    for look in site.looks:
        if look.machine is None:
            continue
        fix = f"Correct /etc/hosts on {look.name}, or the name server."
        for name, found in look.machine.forward.items():
            if not found:
                severity = ERROR if name == look.name else INFO
                yield Finding(severity, "resolution", look.name, f"{look.name} cannot resolve {name}", look.where, fix)
            elif wrong := sorted(set(found) - own.get(name, set())):
                text = f"{look.name} resolves {name} to {', '.join(wrong)}, not to {addresses[name]}"
                yield Finding(ERROR, "resolution", look.name, text, look.where, fix)
        for name, address in addresses.items():
            back = look.machine.reverse.get(address, [])
            if back and name not in {each.partition(".")[0] for each in back}:
                text = f"{look.name} resolves {address} to {back[0]}, not to {name}"
                yield Finding(ERROR, "resolution", look.name, text, look.where, fix)
            elif not back:
                severity = WARNING if name == look.name else INFO
                text = f"{look.name} cannot resolve {address}, its own address, to a name"
                text = text if name == look.name else f"{look.name} cannot resolve {address} ({name}) to a name"
                yield Finding(severity, "resolution", look.name, text, look.where, fix)


NETWORK: tuple[Check, ...] = (_shells, _unreachable, _times, _mtu, _cards, _speeds, _names)
