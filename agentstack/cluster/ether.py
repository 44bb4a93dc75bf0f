# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who hears whom: the links between each pair of stations, followed with the delays that knet and totem have."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from agentstack.clock import Clock
from agentstack.cluster.cabling import Cabling, Wire
from agentstack.cluster.topology import SMALLEST_MTU, Station, ways
from agentstack.cluster.views import Port, View

LINK_UP = 1.5
"""Seconds from the first packet until knet takes a link for connected (two answered pings at half the token)."""
CONSENSUS = 1.2
"""Consensus timeout as a multiple of the token time (corosync.conf(5))."""
PONGS = 2
"""Answered pings until a link is up; a link is down when as many pings' time has passed without (knet_pong_count)."""
RETRANSMIT = 4.2
"""A token is sent again after this part of the token time (token_retransmits_before_loss_const 4)."""


def lost_after(token: float) -> float:
    """Seconds from the last sign of life to the new membership (observed: +7 s with three nodes)."""
    return token * (1 + CONSENSUS)


@dataclass
class Pings:
    """knet's pings on a link that loses packets. `faint`: it is taken for down because of them."""

    timer: asyncio.TimerHandle
    row: int = 0
    """Answers in a row, negative: pings in a row without one."""
    faint: bool = False


class Pairing:
    """Two stations: the links between them, and whether they count each other as reachable."""

    def __init__(self) -> None:
        self.token = 3.0
        self.ways: dict[int, Wire] = {}
        """Links with a whole cable."""
        self.physical: set[int] = set()
        """Links on which knet's pings are answered."""
        self.shown: set[int] = set()
        """Links that knet has found to be connected."""
        self.carrier: int | None = None
        """The link in use: of those shown, the one that both prefer."""
        self.linked = False
        self.timer: asyncio.TimerHandle | None = None
        self.link_timers: dict[int, asyncio.TimerHandle] = {}
        self.pings: dict[int, Pings] = {}

    @property
    def hears(self) -> bool:
        """Whether packets arrive: on a link that has just died they do not until knet has noticed."""
        return self.carrier in self.physical

    def cancel(self) -> None:
        for timer in [self.timer, *self.link_timers.values(), *(pings.timer for pings in self.pings.values())]:
            if timer is not None:
                timer.cancel()
        self.timer = None
        self.link_timers.clear()
        self.pings.clear()


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
        self._torn: dict[int, bool] = {}

    def survey(self) -> None:
        """Bring all pairings in line with the cabling, start and stop their timers."""
        self._torn.clear()
        for one, other in combinations(sorted(self.ports), 2):
            self._survey_pair(one, other)
        self.shown()

    def forget(self, host: str) -> bool:
        """A station has gone for good."""
        self._torn.clear()
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

    def links(self, host: str) -> dict[int, dict[int, int]]:
        """Link number of a station -> id of each node that is connected on it -> the path's MTU in bytes."""
        station = self.ports[host].station
        links: dict[int, dict[int, int]] = {number: {} for number in station.numbers()} if station else {}
        for names, pair in self.pairs.items():
            if host not in names:
                continue
            (peer,) = names - {host}
            other = self.ports[peer].station if peer in self.ports else None
            for link in pair.shown & set(links):
                if other is not None:
                    links[link][other.node_id] = pair.ways[link].mtu if link in pair.ways else 0
        return links

    def torn(self, view: View) -> bool:
        """Whether members of the view do not hear each other at this moment (the token is lost)."""
        known = self._torn.get(view.conf)
        if known is None:
            known = not all(self._present(host, view) for host in view.members) or not all(
                self.pairs[frozenset(names)].hears for names in combinations(view.members, 2)
            )
            self._torn[view.conf] = known
        return known

    def delay(self, one: str, other: str) -> float:
        """Real seconds that a message needs from one station to another; packets that are lost are sent again."""
        pair = self.pairs.get(frozenset((one, other)))
        if pair is None or pair.carrier not in pair.ways:
            return 0.0
        wire = pair.ways[pair.carrier]
        seconds = wire.latency + wire.jitter * random.random()
        while wire.loss and random.random() < min(wire.loss, 0.9):
            seconds += pair.token / RETRANSMIT
        return self.clock.real(seconds)

    def stale(self) -> None:
        """Memberships have changed."""
        self._torn.clear()

    def _present(self, host: str, view: View) -> bool:
        port = self.ports.get(host)
        return port is not None and port.view is view and port.alive

    def _survey_pair(self, one: str, other: str) -> None:
        here, there = self.ports[one], self.ports[other]
        assert here.station is not None
        assert there.station is not None
        pair = self.pairs.setdefault(frozenset((one, other)), Pairing())
        alive = here.alive and there.alive
        pair.token = max(here.station.token, there.station.token)
        pair.ways = ways(self.cabling, here.station, there.station) if alive else {}
        self._watch_losses(pair, one, other)
        links = {link for link, wire in pair.ways.items() if self._answers(pair, link, wire)}
        for link in links ^ pair.physical:
            if link in pair.link_timers:
                pair.link_timers.pop(link).cancel()
            if (link in links) != (link in pair.shown):
                delay = LINK_UP if link in links else pair.token / 2
                pair.link_timers[link] = self._later(delay, partial(self._settle, pair, link, here.station))
        pair.physical = links
        self._judge(pair, here.station)

    def _answers(self, pair: Pairing, link: int, wire: Wire) -> bool:
        """Whether knet's pings are answered in time: in half the token time there and back."""
        faint = link in pair.pings and pair.pings[link].faint
        in_time = 2 * (wire.latency + wire.jitter) < pair.token / PONGS
        return in_time and wire.mtu >= SMALLEST_MTU and wire.loss < 1 and not faint

    def _watch_losses(self, pair: Pairing, one: str, other: str) -> None:
        """Ping on links that lose packets; on the others an answer is certain."""
        losing = {link for link, wire in pair.ways.items() if 0 < wire.loss < 1}
        for link in set(pair.pings) - losing:
            pair.pings.pop(link).timer.cancel()
        for link in losing - set(pair.pings):
            pair.pings[link] = Pings(self._later(pair.token / (2 * PONGS), partial(self._ping, pair, link, one, other)))

    def _ping(self, pair: Pairing, link: int, one: str, other: str) -> None:
        pings = pair.pings[link]
        pings.timer = self._later(pair.token / (2 * PONGS), partial(self._ping, pair, link, one, other))
        answered = random.random() < (1 - pair.ways[link].loss) ** 2
        pings.row = max(pings.row, 0) + 1 if answered else min(pings.row, 0) - 1
        faint = pings.row <= -PONGS or (pings.faint and pings.row < PONGS)
        if faint != pings.faint:
            pings.faint = faint
            self._torn.clear()
            self._survey_pair(one, other)
            self.shown()

    def _settle(self, pair: Pairing, link: int, station: Station) -> None:
        """knet has noticed: the link's state as it is shown changes."""
        pair.link_timers.pop(link, None)
        pair.shown = pair.shown | {link} if link in pair.physical else pair.shown - {link}
        self._torn.clear()
        self._judge(pair, station)
        self.shown()

    def _judge(self, pair: Pairing, station: Station) -> None:
        """Choose the link to use; begin to count the other as lost, or no longer."""
        pair.carrier = min(pair.shown, key=station.preference, default=None)
        if pair.hears == pair.linked:
            if pair.timer is not None:
                pair.timer.cancel()
                pair.timer = None
        elif pair.timer is None:
            # knet has taken its time for a link that comes up already
            delay = 0.0 if pair.hears else lost_after(pair.token)
            pair.timer = self._later(delay, partial(self._turn, pair, pair.hears))

    def _turn(self, pair: Pairing, linked: bool) -> None:
        pair.timer = None
        pair.linked = linked
        self._torn.clear()
        self.turned(linked)

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self.clock.real(seconds), call)
