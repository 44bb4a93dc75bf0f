# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a fault, and taking it back: by the operator's commands, by IPMI, or by interfaces that go down over SSH.

Whatever is broken is written to a file first, so that a run whose control node died leaves enough for the next one to
put it back. Private to this collection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ._errors import InputError, QuorateError, ShellError, StateError
from ._hosts import Hosts
from ._machine import addresses_of
from ._parallel import all_or_error, side_by_side
from ._power import Button, fill, run_command
from ._processes import alive
from ._shell import Login, Shell
from ._wait import CLOCK, Clock, wait_until

POWER, PORTS, LINK, NETWORK = "power", "ports", "link", "network"
KINDS = (POWER, PORTS, LINK, NETWORK)
LEAD = 2
"""Seconds until interfaces go down, so that the session that says so can end."""
GRACE = 60
"""Seconds after a host's own timer in which it has to be reached again."""
UNIT = "quorate-drill"
IP = "/usr/sbin/ip"


@dataclass(frozen=True)
class Fault:
    """One thing to break: ``kind`` of KINDS, at ``node``; ``what``: the number of a link, or the name of a network."""

    kind: str
    node: str = ""
    what: str = ""

    def __str__(self) -> str:
        place = f" of {self.node}" if self.node else ""
        return f"{self.kind}{f' {self.what}' if self.what else ''}{place}"

    @property
    def values(self) -> dict[str, str]:
        """What stands for what in commands."""
        return {"node": self.node, "link": self.what, "network": self.what}


class Faults:
    """Breaks and mends. ``commands``: by kind, ``break`` and ``mend``; ``nodes``: by name, with power and address.

    ``journal``: where it is written down what is broken. ``deadman``: seconds after which a host itself takes back what
    was done to its interfaces; on hosts whose time is shortened by ``scale``, that many of theirs.
    """

    def __init__(
        self,
        commands: Mapping[str, Mapping[str, Sequence[str]]],
        nodes: Mapping[str, Mapping[str, Any]],
        login: Login,
        journal: Path,
        *,
        deadman: float,
        timeout: float,
        scale: float = 1.0,
        clock: Clock = CLOCK,
    ) -> None:
        self.commands = commands
        self.nodes = nodes
        self.login = login
        self.journal = journal
        self.deadman = deadman
        self.timeout = timeout
        self.scale = scale
        self.clock = clock
        self.keep: tuple[int, ...] = ()
        """Descriptors that commands which break something keep open."""

    def check(self, fault: Fault, *, again: bool = False) -> None:
        """Make sure that there is a way, with ``again`` to mend at will. Raises :class:`InputError`."""
        if fault.kind in self.commands:
            missing = {"break", "mend"} - {name for name, words in self.commands[fault.kind].items() if words}
            if missing:
                raise InputError(
                    f"there is no command to {missing.pop()} it", where=f"drill_fault_command.{fault.kind}"
                )
        elif fault.kind == POWER:
            self._button(fault.node)
        elif again or fault.kind == NETWORK or not self.nodes.get(fault.node, {}).get("address"):
            raise InputError(
                f"there is no way to break {fault}",
                where=f"drill_fault_command.{fault.kind}",
                hint="Give commands that break and mend it.",
            )

    def refuse_if_left(self) -> None:
        """Raises :class:`StateError` if an earlier drill is not put back, or is under way."""
        if not self.journal.exists():
            return
        written = json.loads(self.journal.read_text(encoding="utf-8"))
        what = ", ".join(str(Fault(**each)) for each in written["faults"])
        process = int(written.get("process") or 0)
        if process and process != os.getpid() and alive(process):
            raise StateError(
                f"a drill is under way: {what} (process {process})",
                hint="Wait for it, or end it: it puts everything back. Nothing was broken.",
            )
        raise StateError(
            f"an earlier drill was cut off, and not put back: {what} ({self.journal})",
            hint="Run the playbook with -e drill_restore=true first.",
        )

    def begin(self, faults: Sequence[Fault]) -> None:
        """Write down what will be broken."""
        self.refuse_if_left()
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        new = self.journal.with_suffix(".new")
        written = {"faults": [asdict(fault) for fault in faults], "process": os.getpid()}
        new.write_text(json.dumps(written), encoding="utf-8")
        new.replace(self.journal)

    def left(self) -> list[Fault]:
        """What is broken, or an earlier drill broke and did not put back."""
        if not self.journal.exists():
            return []
        return [Fault(**each) for each in json.loads(self.journal.read_text(encoding="utf-8"))["faults"]]

    def done(self) -> None:
        """All is put back."""
        self.journal.unlink(missing_ok=True)

    def cause_all(self, faults: Sequence[Fault]) -> None:
        """Break all of them at once. Raises the first error; what could be broken then is."""
        all_or_error(side_by_side(self.cause, faults))

    def cause(self, fault: Fault) -> None:
        """Break it."""
        if fault.kind in self.commands:
            run_command(fill(self.commands[fault.kind]["break"], fault.values), self.timeout, keep=self.keep)
        elif fault.kind == POWER:
            self._button(fault.node).press("off")
        else:
            self._on_host(fault, lambda shell, names: _run_all(shell, down_commands(names, self.deadman)))
            self.clock.sleep(LEAD / self.scale)

    def mend(self, fault: Fault) -> None:
        """Put it back; what is whole already stays so."""
        if fault.kind in self.commands:
            run_command(fill(self.commands[fault.kind]["mend"], fault.values), self.timeout)
        elif fault.kind == POWER:
            button = self._button(fault.node)
            if button.state() != "on":
                button.press("on")
        else:
            self._interfaces_up(fault)

    def mend_all(self, faults: Sequence[Fault]) -> list[str]:
        """Put all back, whatever goes wrong on the way; what could not be, in words."""
        ends = side_by_side(self.mend, faults)
        failed = [f"{fault}: {end}" for fault, end in zip(faults, ends, strict=True) if isinstance(end, QuorateError)]
        if not failed:
            self.done()
        return failed

    def _button(self, node: str) -> Button:
        element = {"node": node, **(self.nodes.get(node, {}).get("power") or {})}
        return Button.of(element, self.timeout, f"drill_power of {node}", self.keep)

    def _interfaces_up(self, fault: Fault) -> None:
        """At once if the host can be reached over another network, else when its own timer has struck."""

        def probe() -> bool:
            self._on_host(fault, lambda shell, names: _run_all(shell, up_commands(names)))
            return True

        wait_until(
            probe,
            timeout=self.deadman / self.scale + GRACE,
            what=f"that {fault.node} can be reached again",
            clock=self.clock,
            passing=(ShellError,),
        )

    def _on_host(self, fault: Fault, work: Callable[[Shell, list[str]], None]) -> None:
        entry = self.nodes[fault.node]
        elsewhere = {fault.node: [str(address) for address in (entry.get("links") or {}).values()]}

        def do(shell: Shell) -> None:
            work(shell, interfaces_of(json.loads(shell.run(["ip", "-j", "addr"])), fault, entry))

        with Hosts([{**entry, "node": fault.node}], self.login, elsewhere) as hosts:
            hosts.do(fault.node, do)


def interfaces_of(known: Sequence[Mapping[str, Any]], fault: Fault, entry: Mapping[str, Any]) -> list[str]:
    """The interfaces that a fault takes down: all cards, or the one with the link's address."""
    if fault.kind == PORTS:
        return [str(each["ifname"]) for each in known if each.get("link_type") == "ether" and not each.get("linkinfo")]
    address = str((entry.get("links") or {}).get(fault.what) or "")
    found = [str(each["ifname"]) for each in known if address and address in addresses_of(each)]
    if not found:
        where = f"link {fault.what} ({address or 'not given'})"
        raise StateError(f"{fault.node} has no interface with the address of {where}")
    return found


def down_commands(interfaces: Sequence[str], deadman: float) -> list[list[str]]:
    """First the timer that brings them up again, then the one that takes them down: nothing depends on the session.

    A timer that an earlier drill left is taken away first. Timers are a minute late unless they are told not to be.
    """

    def after(seconds: float, state: str) -> list[str]:
        lines = [[IP, "link", "set", "dev", name, state] for name in interfaces]
        before = [f"--property=ExecStartPre=-{' '.join(line)}" for line in lines[:-1]]
        options = [f"--unit={UNIT}-{state}", f"--on-active={seconds:g}s", "--timer-property=AccuracySec=100ms"]
        return ["systemd-run", *options, "--collect", *before, *lines[-1]]

    return [_stop("up"), _stop("down"), after(deadman, "up"), after(LEAD, "down")]


def up_commands(interfaces: Sequence[str]) -> list[list[str]]:
    """What brings them up at once, and then takes away the timers: the one that takes down may not have struck yet."""
    return [_stop("down"), *([IP, "link", "set", "dev", name, "up"] for name in interfaces), _stop("up")]


def _stop(state: str) -> list[str]:
    return ["systemctl", "stop", f"{UNIT}-{state}.timer"]


def _run_all(shell: Shell, commands: Sequence[Sequence[str]]) -> None:
    for words in commands:
        # a timer that is not there (any more) need not be stopped
        (shell.attempt if words[:2] == ["systemctl", "stop"] else shell.run)(words)
