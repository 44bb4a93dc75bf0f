# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who hears whom: the links between each pair of stations, followed with the delays that knet and totem have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import combinations

from agentstack.clock import Clock
from agentstack.cluster.topology import Cabling, live_links
from agentstack.cluster.views import Port, View

LINK_UP = 1.5
"""Seconds from the first packet until knet takes a link for connected (two answered pings at half the token)."""
CONSENSUS = 1.2
"""Consensus timeout as a multiple of the token time (corosync.conf(5))."""


def lost_after(token: float) -> float:
    """Seconds from the last sign of life to the new membership (observed: +7 s with three nodes)."""
    return token * (1 + CONSENSUS)


class Pairing:
    """Two stations: on which links they hear each other, and whether they count each other as reachable."""

    def __init__(self) -> None:
        self.physical: set[int] = set()
        self.shown: set[int] = set()
        self.linked = False
        self.timer: asyncio.TimerHandle | None = None
        self.link_timers: dict[int, asyncio.TimerHandle] = {}

    def cancel(self) -> None:
        for timer in [self.timer, *self.link_timers.values()]:
            if timer is not None:
                timer.cancel()
        self.timer = None
        self.link_timers.clear()


class Ether:
    """All pairings of the stations. `turned`: told when two stations have begun or ceased to count each other as
    reachable; `shown`: told when link states changed."""

    def __init__(
        self,
        cabling: Cabling,
        clock: Clock,
        ports: dict[str, Port],
        turned: Callable[[bool], None],
        shown: Callable[[], None],
    ) -> None:
        self.cabling = cabling
        self.clock = clock
        self.ports = ports
        self.turned = turned
        self.shown = shown
        self.pairs: dict[frozenset[str], Pairing] = {}

    def survey(self) -> None:
        """Bring all pairings in line with the cabling, start and stop their timers."""
        for one, other in combinations(sorted(self.ports), 2):
            self._survey_pair(one, other)
        self.shown()

    def forget(self, host: str) -> bool:
        """A station has gone for good."""
        gone = [names for names in self.pairs if host in names]
        for names in gone:
            self.pairs.pop(names).cancel()
        return bool(gone)

    def counted(self, host: str) -> bool:
        """Whether anyone still counts this station as reachable."""
        return any(pair.linked for names, pair in self.pairs.items() if host in names)

    def reachable(self) -> dict[str, set[str]]:
        """Station -> those that it counts as reachable."""
        found: dict[str, set[str]] = {host: set() for host in self.ports}
        for names, pair in self.pairs.items():
            one, other = names
            if pair.linked and one in found and other in found:
                found[one].add(other)
                found[other].add(one)
        return found

    def links(self, host: str) -> dict[int, list[int]]:
        """Link number of a station -> ids of the nodes that are connected on it, as corosync-cfgtool shows it."""
        station = self.ports[host].station
        links: dict[int, list[int]] = {number: [] for number in station.numbers()} if station else {}
        for names, pair in self.pairs.items():
            if host not in names:
                continue
            (peer,) = names - {host}
            other = self.ports[peer].station if peer in self.ports else None
            for link in pair.shown & set(links):
                if other is not None:
                    links[link].append(other.node_id)
        return links

    def torn(self, view: View) -> bool:
        """Whether members of the view do not hear each other at this moment (the token is lost)."""
        if not all(self._present(host, view) for host in view.members):
            return True
        return not all(self.pairs[frozenset(names)].physical for names in combinations(view.members, 2))

    def _present(self, host: str, view: View) -> bool:
        port = self.ports.get(host)
        return port is not None and port.view is view and port.alive

    def _survey_pair(self, one: str, other: str) -> None:
        here, there = self.ports[one], self.ports[other]
        assert here.station is not None
        assert there.station is not None
        pair = self.pairs.setdefault(frozenset((one, other)), Pairing())
        alive = here.alive and there.alive
        links = live_links(self.cabling, here.station, there.station) if alive else set()
        token = max(here.station.token, there.station.token)
        for link in links ^ pair.physical:
            if link in pair.link_timers:
                pair.link_timers.pop(link).cancel()
            if (link in links) != (link in pair.shown):
                delay = LINK_UP if link in links else token / 2
                pair.link_timers[link] = self._later(delay, partial(self._settle, pair, link))
        pair.physical = links
        wanted = bool(links)
        if wanted == pair.linked:
            if pair.timer is not None:
                pair.timer.cancel()
                pair.timer = None
        elif pair.timer is None:
            delay = LINK_UP if wanted else lost_after(token)
            pair.timer = self._later(delay, partial(self._turn, pair, wanted))

    def _settle(self, pair: Pairing, link: int) -> None:
        """knet has noticed: the link's state as it is shown changes."""
        pair.link_timers.pop(link, None)
        pair.shown = pair.shown | {link} if link in pair.physical else pair.shown - {link}
        self.shown()

    def _turn(self, pair: Pairing, linked: bool) -> None:
        pair.timer = None
        pair.linked = linked
        self.turned(linked)

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self.clock.real(seconds), call)
