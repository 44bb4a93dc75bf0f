# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: virtual time, agents in turn, commands in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentstack.ha import Crm, Lrm
from agentstack.sim import actions
from agentstack.sim.node_environment import NodeEnvironment
from agentstack.sim.scenario import Scenario, load
from agentstack.sim.world import SimulationError, World

MINIMUM_LOOP = 20
LOOPS_PER_BATCH = 5
REST = 500
LONGEST = 10000
MOST_NODES = 29


@dataclass(frozen=True)
class LogLine:
    """One event: level, virtual second, who says it, what."""

    level: str
    time: int
    who: str
    message: str

    def __str__(self) -> str:
        return f"{self.level:<5} {self.time:5d} {self.who:>12}: {self.message}"


@dataclass(frozen=True)
class SimResult:
    """What a simulation wrote, and whether it ran through."""

    lines: tuple[LogLine, ...]
    error: str | None
    world: World

    @property
    def text(self) -> str:
        """The log as a file."""
        return "".join(f"{line}\n" for line in self.lines)


@dataclass
class _Agents:
    """The agents of one node; their views of the world, and so their clocks, outlive them."""

    crm_env: NodeEnvironment
    lrm_env: NodeEnvironment
    crm: Crm | None = None
    lrm: Lrm | None = None
    restart_lrm: bool = False


class Simulator:
    """One run of one scenario."""

    def __init__(
        self, scenario: Scenario, release: int = 9, observer: Callable[[World, int], None] | None = None
    ) -> None:
        self.lines: list[LogLine] = []
        self.world = World.create(scenario, self._log)
        self.now = 0
        self._batches = list(scenario.batches)
        self._observer = observer
        self._agents = {
            node: _Agents(
                NodeEnvironment(self.world, node, "crm", release), NodeEnvironment(self.world, node, "lrm", release)
            )
            for node in self.world.nodes
        }
        self._skip = {"crm": 0, "lrm": 0}
        self._delay_until = 0
        self._last_command = 0

    def _log(self, level: str, time: int, who: str, message: str) -> None:
        self.lines.append(LogLine(level, time, who, message))

    def _hardware(self, message: str, level: str = "info") -> None:
        self._log(level, self.now, "hardware", message)

    # -- loop -----------------------------------------------------------------------------------------------------
    def run(self) -> SimResult:
        """Run to the end; an error is in the result and in the last line."""
        self._hardware("starting simulation")
        error = None
        try:
            self._loop()
            self._hardware("exit simulation - done")
        except SimulationError as problem:
            error = str(problem)
            self._hardware(f"exit simulation - {error}", "err")
        return SimResult(tuple(self.lines), error, self.world)

    def _loop(self) -> None:
        length = max(MINIMUM_LOOP, 2 * len(self.world.nodes))
        if len(self.world.nodes) > MOST_NODES:
            raise SimulationError(f"more than {MOST_NODES} nodes cannot be simulated")
        count = 0
        while True:
            start = self.now
            self._rounds()
            self.now = max(self.now, start + length)
            if self.now > LONGEST:
                raise SimulationError("simulation end")
            for agents in self._agents.values():
                agents.crm_env.clock = agents.lrm_env.clock = self.now
            if self._observer is not None:
                self._observer(self.world, self.now)
            if self.now < self._delay_until:
                continue
            if count % LOOPS_PER_BATCH == 0:
                if self._batches:
                    for command in self._batches.pop(0):
                        self.execute(command)
                elif self.now - self._last_command > REST:
                    return
            count += 1

    def _rounds(self) -> None:
        skipped = {agent for agent, rounds in self._skip.items() if rounds > 0}
        for agent in ("crm", "lrm"):
            if agent in skipped:
                self._skip[agent] -= 1
                self._log("info", self.now, "run-loop", f"skipping {agent.upper()} round")
        for node, agents in self._agents.items():
            if "crm" not in skipped:
                self._crm_round(node, agents)
            if "lrm" not in skipped:
                self._lrm_round(node, agents)
            for other in self.world.nodes:
                if self.world.expired(other, self.now):
                    self.execute(f"power {other} off", "watchdog")
                    self._hardware(f"server '{other}' stopped by poweroff (watchdog)")

    def _crm_round(self, node: str, agents: _Agents) -> None:
        if agents.crm is None:
            return
        env = agents.crm_env
        env.clock = self.now
        goes_on = agents.crm.round()
        env.clock += 1
        self.now = max(self.now, env.clock)
        if goes_on:
            return
        env.log("info", "exit (loop end)")
        agents.crm = None
        kind = self.world.nodes[node].shutdown
        if kind:
            self.execute(f"power {node} off", kind)
            if kind == "reboot":
                self.execute(f"power {node} on", kind)

    def _lrm_round(self, node: str, agents: _Agents) -> None:
        if agents.lrm is None:
            return
        env = agents.lrm_env
        env.clock = self.now
        goes_on = agents.lrm.round()
        env.clock += 1
        self.now = max(self.now, env.clock)
        if goes_on:
            return
        env.log("info", "exit (loop end)")
        kind = self.world.nodes[node].shutdown
        if agents.restart_lrm:
            agents.restart_lrm = False
            agents.lrm = Lrm(env)
        elif kind:
            agents.lrm = None
            self.execute(f"crm {node} stop", kind)
        else:
            raise SimulationError(f"unexpected LRM exit on node '{node}'")

    # -- commands -------------------------------------------------------------------------------------------------
    def execute(self, command: str, source: str = "cmdlist") -> None:
        """Log one command, then do it; raises SimulationError."""
        self._log("info", self.now, source, f"execute {command}")
        self._last_command = self.now if source == "cmdlist" else self._last_command
        words = command.split()
        if len(words) == 2 and words[0] == "delay":
            self._delay_until = self.now + self._number(words[1])
            return
        if words[:1] == ["skip-round"] and len(words) in (2, 3) and words[1] in self._skip:
            self._skip[words[1]] = self._number(words[2]) if len(words) == 3 else 1
            return
        if len(words) >= 3 and words[0] == "service":
            actions.service_command(self.world, words[1], words[2:])
            return
        handler = self._node_commands().get(words[0]) if words else None
        if handler is None or len(words) < 2:
            raise SimulationError(f"unknown command '{command}'")
        if words[1] not in self.world.nodes:
            raise SimulationError(f"no such node '{words[1]}'")
        handler(words[1], words[2:])

    @staticmethod
    def _number(word: str) -> int:
        if not word.isdigit():
            raise SimulationError(f"'{word}' is not a number")
        return int(word)

    def _node_commands(self) -> dict[str, Callable[[str, list[str]], None]]:
        return {
            "power": self._power,
            "network": self._network,
            "reboot": lambda node, words: self._shutdown(node, "reboot"),
            "shutdown": lambda node, words: self._shutdown(node, "shutdown"),
            "restart-lrm": self._restart_lrm,
            "crm": self._crm,
            "cfs": lambda node, words: actions.cfs_command(self.world, node, words),
            "pve-manager-version": self._version,
        }

    def _switch(self, words: list[str]) -> bool:
        if words not in (["on"], ["off"]):
            raise SimulationError(f"'on' or 'off' expected, got '{' '.join(words)}'")
        return words == ["on"]

    def _power(self, node: str, words: list[str]) -> None:
        on = self._switch(words)
        hardware = self.world.nodes[node]
        agents = self._agents[node]
        if on and not hardware.power:
            hardware.cfs_rw = hardware.cfs_update = True
            agents.crm = Crm(agents.crm_env)
            agents.lrm = Lrm(agents.lrm_env)
        elif not on and hardware.power:
            for agent, env in ((agents.crm, agents.crm_env), (agents.lrm, agents.lrm_env)):
                if agent is not None:
                    env.log("info", "killed by poweroff")
            agents.crm = agents.lrm = None
            agents.restart_lrm = False
            self.world.watchdogs = {handle: dog for handle, dog in self.world.watchdogs.items() if dog.node != node}
            self.world.running[node].clear()
        hardware.power = hardware.network = on
        hardware.shutdown = ""
        self.world.hardware_changed()

    def _network(self, node: str, words: list[str]) -> None:
        self.world.nodes[node].network = self._switch(words)
        self.world.hardware_changed()

    def _shutdown(self, node: str, kind: str) -> None:
        self.world.nodes[node].shutdown = kind
        lrm = self._agents[node].lrm
        if lrm is not None:
            lrm.request_shutdown()

    def _restart_lrm(self, node: str, words: list[str]) -> None:
        agents = self._agents[node]
        if agents.lrm is not None:
            agents.restart_lrm = True
            agents.lrm.request_shutdown()

    def _crm(self, node: str, words: list[str]) -> None:
        agents = self._agents[node]
        crm = agents.crm
        if words == ["stop"]:
            if crm is not None:
                crm.request_shutdown()
        elif words == ["start"]:
            if crm is None:
                agents.crm = Crm(agents.crm_env)
        elif words:
            actions.crm_command(self.world, node, words)
        else:
            raise SimulationError("crm: what shall it do?")

    def _version(self, node: str, words: list[str]) -> None:
        if len(words) != 2 or words[0] != "set":
            raise SimulationError("pve-manager-version: 'set VERSION' expected")
        self.world.nodes[node].version = words[1]


def run_scenario(directory: Path, release: int = 9) -> SimResult:
    """Run the scenario in ``directory``; raises ScenarioError if it cannot be read."""
    return Simulator(load(directory), release).run()
