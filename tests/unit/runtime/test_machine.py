# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's power button and watchdog, over a process that stands for the host's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from agentstack import stackfile
from agentstack.supervisor_client import SupervisorClient
from agentstack.supervisor_machine import Machine

SPEC = stackfile.loads("hosts: {pve1: {}}").hosts["pve1"]


@dataclass
class Board:
    """Boots processes that sleep, each the leader of its group with a child in it."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    wires: list[socket.socket] = field(default_factory=list)

    def boot(self, machine: Machine) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.processes.append(
            subprocess.Popen(["sh", "-c", "sleep 60 & wait"], stdout=subprocess.PIPE, process_group=0)
        )
        self.wires += [ours, theirs]
        return self.processes[-1].pid, ours

    @property
    def client(self) -> SupervisorClient:
        """The running host's end of the wire."""
        return SupervisorClient(self.wires[-1])

    def deliver(self, machine: Machine) -> None:
        """Hand the host's messages to the machine."""
        assert machine.wire is not None
        machine.wire.setblocking(False)
        try:
            while packet := machine.wire.recv(65536):
                machine.receive(json.loads(packet))
        except BlockingIOError:
            return

    def reap(self, machine: Machine) -> None:
        """Wait for the host's process to end and tell the machine."""
        process = self.processes[-1]
        code = process.wait(5)
        machine.ended(-code if code < 0 else code << 8)


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    yield board
    for process in board.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    for wire in board.wires:
        wire.close()


@pytest.fixture
def machine(board: Board) -> Machine:
    """A host that is on, at scale 100; booting takes no time."""
    machine = Machine(SPEC, board.boot, boot_time=0.0, scale=100.0)
    machine.power_on()
    machine.tick(time.monotonic())
    assert machine.power == "on"
    return machine


def test_power_off_takes_the_whole_group(machine: Machine, board: Board) -> None:
    output = board.processes[-1].stdout
    machine.cut_power()
    board.reap(machine)
    assert (machine.power, machine.pid, machine.ready) == ("off", None, False)
    # the pipe ends when the last process that holds it has
    assert output is not None
    assert output.read() == b""


def test_power_on_counts_before_the_end_of_what_was_cut_is_noticed(machine: Machine, board: Board) -> None:
    machine.ready = True
    machine.cut_power()
    assert not machine.ready
    machine.power_on()
    board.reap(machine)
    assert machine.power == "booting"
    machine.tick(time.monotonic())
    assert (machine.power, len(board.processes)) == ("on", 2)
    # the last word counts
    machine.cut_power()
    machine.power_on()
    machine.cut_power()
    board.reap(machine)
    assert machine.power == "off"


def test_booting_takes_its_time(board: Board) -> None:
    machine = Machine(SPEC, board.boot, boot_time=5.0, scale=1.0)
    now = time.monotonic()
    machine.power_on()
    machine.tick(now + 4)
    assert (machine.power, board.processes) == ("booting", [])
    assert machine.deadlines() == [pytest.approx(now + 5, abs=0.5)]
    machine.tick(now + 6)
    assert machine.power == "on"


def test_power_off_while_booting(board: Board) -> None:
    machine = Machine(SPEC, board.boot, boot_time=5.0, scale=1.0)
    machine.power_on()
    machine.cut_power()
    machine.tick(time.monotonic() + 10)
    assert (machine.power, board.processes) == ("off", [])


def test_reset_while_booting_begins_anew(board: Board) -> None:
    machine = Machine(SPEC, board.boot, boot_time=5.0, scale=1.0)
    machine.power_on()
    machine.reset()
    assert machine.power == "booting"
    machine.tick(time.monotonic() + 6)
    assert machine.power == "on"


def test_reset_of_what_is_off_does_nothing(board: Board) -> None:
    machine = Machine(SPEC, board.boot, boot_time=0.0, scale=1.0)
    machine.reset()
    machine.tick(time.monotonic())
    assert machine.power == "off"


def test_reset_boots_again(machine: Machine, board: Board) -> None:
    first = machine.pid
    machine.reset()
    board.reap(machine)
    assert machine.power == "booting"
    machine.tick(time.monotonic())
    assert machine.power == "on"
    assert machine.pid != first


def test_a_host_that_ends_by_itself_stays_off(machine: Machine, board: Board) -> None:
    os.kill(board.processes[-1].pid, signal.SIGKILL)
    board.reap(machine)
    machine.tick(time.monotonic() + 100)
    assert machine.power == "off"


def test_pause_and_resume(machine: Machine) -> None:
    machine.pause()
    assert machine.power == "paused"
    machine.resume()
    assert machine.power == "on"


def test_an_unarmed_watchdog_bites_nobody(machine: Machine, board: Board) -> None:
    board.client.feed_watchdog()
    board.deliver(machine)
    machine.tick(time.monotonic() + 1000)
    assert machine.power == "on"


def test_a_fed_watchdog_lets_the_host_live(machine: Machine, board: Board) -> None:
    board.client.arm_watchdog()
    board.deliver(machine)
    assert machine.deadlines() == [pytest.approx(time.monotonic() + 0.6, abs=0.3)]
    machine.tick(time.monotonic() + 0.2)
    board.client.feed_watchdog()
    board.deliver(machine)
    assert machine.power == "on"
    board.client.disarm_watchdog()
    board.deliver(machine)
    assert machine.deadlines() == []


def test_a_hungry_watchdog_resets_the_host(machine: Machine, board: Board) -> None:
    board.client.arm_watchdog()
    board.deliver(machine)
    machine.tick(time.monotonic() + 61 / 100)
    board.reap(machine)
    assert machine.power == "booting"
    machine.tick(time.monotonic())
    assert machine.power == "on"
    assert machine.watchdog_at is None


def test_a_watchdog_boots_no_host_of_a_stack_that_goes_down(machine: Machine, board: Board) -> None:
    board.client.arm_watchdog()
    board.deliver(machine)
    machine.for_good = True
    machine.leave(boot_again=False)
    machine.tick(time.monotonic() + 61 / 100)
    board.reap(machine)
    assert machine.power == "off"


def test_a_paused_host_is_reset_by_its_watchdog(machine: Machine, board: Board) -> None:
    board.client.arm_watchdog()
    board.deliver(machine)
    machine.pause()
    machine.tick(time.monotonic() + 61 / 100)
    board.reap(machine)
    assert machine.power == "booting"


def test_an_orderly_end_that_takes_too_long(machine: Machine, board: Board) -> None:
    machine.stop_time = 0.0
    machine.leave(boot_again=False)
    machine.tick(time.monotonic() + 0.1)
    board.reap(machine)
    assert machine.power == "off"


def test_what_the_host_says_of_itself(machine: Machine, board: Board) -> None:
    board.client.ready({"fingerprint": "AB"})
    board.client.report({"cluster": None})
    board.deliver(machine)
    assert (machine.ready, machine.facts, machine.report) == (True, {"fingerprint": "AB"}, {"cluster": None})
    board.client.failed("no")
    board.deliver(machine)
    assert machine.failure == "no"
