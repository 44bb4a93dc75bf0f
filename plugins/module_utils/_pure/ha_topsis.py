# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of the cluster resource scheduler: TOPSIS scores and imbalance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum, sqrt
from typing import NamedTuple

from .ha_types import Load

WEIGHTS = (1.0, 2.0, 5.0, 10.0)
"""Average CPU, highest CPU, average memory, highest memory; all are to be small."""


class NodeLoad(NamedTuple):
    """Usage and capacity of a node: cores and bytes."""

    cpu: float
    maxcpu: float
    mem: float
    maxmem: float

    @property
    def cpu_load(self) -> float:
        return self.cpu / self.maxcpu if self.maxcpu else 0.0

    @property
    def mem_load(self) -> float:
        return self.mem / self.maxmem if self.maxmem else 0.0

    @property
    def load(self) -> float:
        return (self.cpu_load + self.mem_load) / 2

    def started(self, service: Load) -> NodeLoad:
        """With ``service`` started here; without a CPU limit it may take the whole node."""
        return self._replace(cpu=self.cpu + (service.maxcpu or self.maxcpu), mem=self.mem + service.maxmem)

    def without(self, service: Load) -> NodeLoad:
        return self._replace(cpu=max(self.cpu - service.cpu, 0.0), mem=max(self.mem - service.mem, 0.0))

    def with_running(self, service: Load) -> NodeLoad:
        return self._replace(cpu=self.cpu + service.cpu, mem=self.mem + service.mem)


def _root_mean_square(values: Sequence[float]) -> float:
    return sqrt(sum(value * value for value in values) / len(values))


def criteria(nodes: Sequence[NodeLoad]) -> tuple[float, float, float, float]:
    """The four figures that describe a whole cluster."""
    cpu = [node.cpu_load for node in nodes]
    mem = [node.mem_load for node in nodes]
    return 1.0 + _root_mean_square(cpu), 1.0 + max(cpu), 1.0 + _root_mean_square(mem), 1.0 + max(mem)


def topsis(alternatives: Sequence[Sequence[float]]) -> list[float]:
    """Score of each alternative by :data:`WEIGHTS`, 0 to 1; higher is better."""
    total = sum(WEIGHTS)
    weights = [weight / total for weight in WEIGHTS]
    columns = list(zip(*alternatives, strict=True))
    norms = [sqrt(sum(value * value for value in column)) for column in columns]
    matrix = [[value / norm if norm else 0.0 for value, norm in zip(row, norms, strict=True)] for row in alternatives]
    best = [min(column) for column in zip(*matrix, strict=True)]
    worst = [max(column) for column in zip(*matrix, strict=True)]
    scores = []
    for row in matrix:
        to_best = _distance(row, best, weights)
        to_worst = _distance(row, worst, weights)
        scores.append(to_worst / (to_worst + to_best) if to_worst + to_best else 0.0)
    return scores


def _distance(row: Iterable[float], ideal: Iterable[float], weights: Iterable[float]) -> float:
    return sqrt(sum((weight * (value - goal)) ** 2 for value, goal, weight in zip(row, ideal, weights, strict=True)))


def start_scores(nodes: Mapping[str, NodeLoad], service: Load) -> dict[str, float]:
    """How good it is to start ``service`` on each node, seen over the whole cluster."""
    names = list(nodes)
    loads = list(nodes.values())
    if not names:
        return {}
    alternatives = [
        criteria([load.started(service) if index == chosen else load for index, load in enumerate(loads)])
        for chosen in range(len(loads))
    ]
    return dict(zip(names, topsis(alternatives), strict=True))


def imbalance(loads: Sequence[float]) -> float:
    """Coefficient of variation; 0 for fewer than two nodes or no load at all."""
    if len(loads) < 2:
        return 0.0
    mean = fsum(loads) / len(loads)
    if not mean:
        return 0.0
    return sqrt(fsum((load - mean) ** 2 for load in loads) / len(loads)) / mean
