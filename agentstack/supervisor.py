# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor of a stack: forks the fabric and the hosts from one warmed-up process and watches over them.

It is a plain loop over file descriptors and deadlines, without threads and without an event loop of asyncio, because
it forks at any time: what a new host inherits has to be in a known state.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from agentstack import control, lease, ports, statedir
from agentstack.faults.desk import REQUESTS, FaultDesk
from agentstack.reader import StackError
from agentstack.stack import Stack
from agentstack.supervisor_callers import Callers, Reply
from agentstack.supervisor_machine import Machine
from agentstack.warm_up import warm_up

log = logging.getLogger("agentstack.supervisor")

FABRIC = "fabric"
"""What the switch is called among those who have to know of faults."""


class Supervisor:
    """All machines of a stack. `outcome`: where the caller of `agentstack up` reads how the start went."""

    def __init__(self, state: Path, stack: Stack, kept: list[int], outcome: int) -> None:
        self.state = state
        self.stack = stack
        self.kept = kept
        self.outcome: int | None = outcome
        self.selector = selectors.DefaultSelector()
        self.lease = lease.Lease(state)
        self.callers = Callers(control.listen(state), self.selector, self._asked)
        self.fabric: int | None = None
        self.fabric_wire: socket.socket | None = None
        self.authority: int | None = None
        self.faults = FaultDesk(stack, state, self._tell_of_faults)
        self.stopping = False
        boot_time = stack.boot_time / stack.scale
        self.machines = {
            spec.name: Machine(spec, self._fork_host, boot_time, stack.scale, wake=self._wake)
            for spec in stack.hosts.values()
        }
        self.signals, self.signal_writer = socket.socketpair()
        for end in (self.signals, self.signal_writer):
            end.setblocking(False)

    def run(self) -> int:
        """Boot everything and serve until the end; returns the exit status."""
        signal.set_wakeup_fd(self.signal_writer.fileno())
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.selector.register(self.signals, selectors.EVENT_READ, self._signalled)
        self.callers.listen()
        self._fork_fabric()
        self._fork_authority()
        for machine in self.machines.values():
            machine.power_on(delay=0)
        while not self._finished():
            now = time.monotonic()
            for machine in self.machines.values():
                machine.tick(now)
            self.faults.tick()
            deadlines = [at for machine in self.machines.values() for at in machine.deadlines()]
            deadlines += self.faults.deadlines()
            pause = max(0.0, min([now + lease.PERIOD, *deadlines]) - time.monotonic())
            for key, _ in self.selector.select(pause):
                key.data()
            if not self.lease.valid:
                self._cut_everything()
                return 0
            self._tell_outcome()
        self._cut_everything()
        self.callers.close()
        (self.state / control.SOCKET).unlink(missing_ok=True)
        log.info("stack %s is down", self.stack.name)
        return 0

    def stop(self) -> None:
        """End all hosts in an orderly way, then the fabric, then this process."""
        if not self.stopping:
            self.stopping = True
            for machine in self.machines.values():
                machine.boot_at, machine.for_good = None, True
                machine.leave(boot_again=False)

    def status(self) -> Reply:
        """What `agentstack status --json` prints.

        {stack, state_dir, net, scale, faults: [{kind, target, settings}], advanced: seconds, pid (of the supervisor, or
         null), up: all hosts answered at the start,
         hosts: [{name, kind: pve|pbs|witness, version, site, power: on|off|booting|paused, ready: its services
                  answer, address, api_url or null, pid or null, pss_mb or null, failure: text or null,
                  guests: null or {running, stopped},
                  cluster: null or {name, quorate, votes, expected, online: [names],
                                    links: [{number, address, connected: how many peers, peers}]}}]}
        """
        return {
            "stack": self.stack.name,
            "state_dir": str(self.state),
            "net": self.stack.net,
            "scale": self.stack.scale,
            "pid": os.getpid(),
            "up": self.outcome is None and not self.stopping,
            "hosts": [
                statedir.host_status(machine.spec)
                | {
                    "power": machine.power,
                    "ready": machine.ready,
                    "pid": machine.pid,
                    "pss_mb": machine.memory(),
                    "failure": machine.failure,
                }
                | machine.report
                for machine in self.machines.values()
            ],
            **self.faults.status(),
        }

    def answer(self, request: dict[str, Any]) -> Reply:
        """Carry out one request of the control socket."""
        match request:
            case {"do": "status"}:
                return self.status()
            case {"do": "stop"}:
                self.stop()
                return {}
            case {"do": "power", "host": str(name), "action": str(action)}:
                return self._power(name, action)
        return {"error": f"not understood: {request}"}

    def _power(self, name: str, action: str) -> Reply:
        machine = self.machines.get(name)
        if machine is None:
            return {"error": f"no host '{name}' in this stack (there are {', '.join(self.machines)})"}
        actions: dict[str, Callable[[], None]] = {
            "on": machine.power_on,
            "off": machine.cut_power,
            "reset": machine.reset,
            "pause": machine.pause,
            "resume": machine.resume,
        }
        if action == "status":
            return {"power": "off" if machine.power == "off" else "on"}
        if action not in actions:
            return {"error": f"no power action '{action}' (there are {', '.join((*actions, 'status'))})"}
        log.info("%s: power %s", name, action)
        actions[action]()
        return {}

    def _wake(self, name: str) -> None:
        if name in self.machines:
            self.machines[name].power_on()

    # -- processes ----------------------------------------------------------------------------------------------

    def _fork_fabric(self) -> None:
        from agentstack.cluster import fabric

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        log_file = self.state / "fabric.log"
        self.fabric = self._fork("fabric", log_file, (ours, theirs), lambda: fabric.run(self.stack, self.state, theirs))
        theirs.close()
        self.fabric_wire = ours
        self.selector.register(ours, selectors.EVENT_READ, self._hear_fabric)

    def _fork_authority(self) -> None:
        from agentstack.authority import process

        if self.stack.authority is None:
            return
        # before the hosts, which are installed with its root, and listening before any of them can ask
        listener = process.prepare(self.stack, self.state)
        self.authority = self._fork(
            "authority",
            self.state / "authority.log",
            None,
            lambda: process.run(self.stack, self.state, listener),
        )
        listener.close()

    def _hear_fabric(self) -> None:
        assert self.fabric_wire is not None
        if packet := self.fabric_wire.recv(control.MAX_LINE):
            self.faults.taken(FABRIC, json.loads(packet)["faults"])
        else:
            self.selector.unregister(self.fabric_wire)
            self.fabric_wire.close()
            self.fabric_wire = None

    def _tell_of_faults(self, version: int) -> list[str]:
        wires = {machine.name: machine.wire for machine in self.machines.values() if machine.power == "on"}
        told = []
        for name, wire in {**wires, FABRIC: self.fabric_wire}.items():
            # one that is just ending need not know, and whoever has not read the last word will find the newest list
            with contextlib.suppress(OSError):
                if wire is not None:
                    wire.send(json.dumps({"faults": version}).encode())
                    if name == FABRIC or self.machines[name].ready:
                        told.append(name)
        return told

    def _fork_host(self, machine: Machine) -> tuple[int, socket.socket]:
        from agentstack.host import main

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        directory = self.state / "hosts" / machine.name
        directory.mkdir(parents=True, exist_ok=True)
        pid = self._fork(
            f"host {machine.name}",
            directory / "agent.log",
            (ours, theirs),
            lambda: main(self.stack, machine.spec, self.state, theirs),
        )
        theirs.close()
        self.selector.register(ours, selectors.EVENT_READ, lambda: self._hear(machine, ours))
        return pid, ours

    def _fork(
        self, name: str, log_file: Path, wire: tuple[socket.socket, socket.socket] | None, work: Callable[[], int]
    ) -> int:
        pid = os.fork()
        if pid == 0:
            self._become_child(name, log_file, wire[0] if wire else None, work)
        # both sides do it, so that neither can meet the child in the wrong group
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return pid

    def _become_child(
        self, name: str, log_file: Path, other_end: socket.socket | None, work: Callable[[], int]
    ) -> NoReturn:
        status = 70
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            self._forget_descriptors()
            if other_end is not None:
                other_end.close()
            statedir.log_to(log_file)
            lease.name_process(name)
            lease.hold(self.state)
            status = work()
        finally:
            # what lies below on this stack belongs to the supervisor: nothing may unwind into it
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)

    def _forget_descriptors(self) -> None:
        """Close what a child inherits and must not hold: its siblings' wires, the sockets and locks of the stack."""
        self.selector.close()
        wires = [machine.wire for machine in self.machines.values() if machine.wire is not None]
        wires += [self.fabric_wire] if self.fabric_wire is not None else []
        for inherited in (*self.callers.sockets(), self.signals, self.signal_writer, *wires):
            inherited.close()
        for descriptor in (*self.kept, self.outcome):
            if descriptor is not None:
                os.close(descriptor)

    def _signalled(self) -> None:
        numbers = self.signals.recv(256)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.stop()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reaped(pid, status)

    def _reaped(self, pid: int, status: int) -> None:
        if pid == self.fabric:
            self.fabric = None
            if not self.stopping:
                log.error("the fabric ended by itself (see fabric.log); stopping the stack")
                self._fail("the fabric ended by itself", self.state / "fabric.log")
            return
        if pid == self.authority:
            self.authority = None
            log.error("the authority ended by itself (see authority.log)")
            return
        for machine in self.machines.values():
            if machine.pid == pid:
                if machine.wire is not None:
                    self._hear(machine, machine.wire)
                machine.ended(status)
                self.faults.gone(machine.name)

    def _hear(self, machine: Machine, wire: socket.socket) -> None:
        """Take all that the host has sent; at its end forget the wire."""
        if wire.fileno() < 0:
            # closed a moment ago, when the host's end was noticed: several things happened at once
            return
        try:
            while packet := wire.recv(control.MAX_LINE):
                message = json.loads(packet)
                if "faults" in message:
                    self.faults.taken(machine.name, message["faults"])
                else:
                    machine.receive(message)
        except BlockingIOError:
            return
        except ConnectionError:
            log.debug("%s: wire broken", machine.name)
        if wire.fileno() >= 0:
            self.selector.unregister(wire)
            wire.close()
        if machine.wire is wire:
            machine.wire = None

    def _cut_everything(self) -> None:
        for machine in self.machines.values():
            machine.cut_power()
        for process in (self.fabric, self.authority):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
        # whoever waits for this process to end may take it that the others have ended
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()

    def _finished(self) -> bool:
        return self.stopping and all(machine.pid is None for machine in self.machines.values())

    def _asked(self, request: dict[str, Any], reply: Callable[[Reply], None]) -> None:
        if request.get("do") in REQUESTS:
            self.faults.answer(request, reply)
        else:
            reply(self.answer(request))

    # -- how the start went -------------------------------------------------------------------------------------

    def _tell_outcome(self) -> None:
        if self.outcome is None:
            return
        for machine in self.machines.values():
            if machine.failure or machine.power == "off":
                reason = machine.failure or f"{machine.name} ended while it started"
                self._fail(reason, None if machine.failure else self.state / "hosts" / machine.name / "agent.log")
                return
        if all(machine.ready for machine in self.machines.values()):
            statedir.add_secrets(self.state, {machine.name: machine.facts for machine in self.machines.values()})
            self._say({"up": True})

    def _fail(self, reason: str, log_file: Path | None) -> None:
        tail = log_file.read_text(errors="replace").splitlines()[-5:] if log_file and log_file.exists() else []
        self._say({"error": "\n".join([reason, *tail])})
        self.stop()

    def _say(self, outcome: Reply) -> None:
        if self.outcome is None:
            return
        # the caller may have been interrupted
        with contextlib.suppress(BrokenPipeError):
            os.write(self.outcome, json.dumps(outcome).encode() + b"\n")
        os.close(self.outcome)
        self.outcome = None


def main(argv: list[str]) -> int:
    """`python -m agentstack.supervisor STATE OUTCOME_FD LOCK_FD CLAIM_FD`, started by `agentstack up`."""
    state, outcome, kept = Path(argv[0]), int(argv[1]), [int(number) for number in argv[2:]]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    statedir.log_to(state / "supervisor.log")
    lease.name_process("agentstack")
    try:
        stack = statedir.read_stack(state)
        ports.hold_claim(kept[-1])
        warm_up({host.kind for host in stack.hosts.values()})
        supervisor = Supervisor(state, stack, kept, outcome)
    except (StackError, OSError) as error:
        os.write(outcome, json.dumps({"error": str(error)}).encode() + b"\n")
        return 1
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
