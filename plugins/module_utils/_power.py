# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power button of machines: by IPMI, or by commands that the operator has. Private to this collection."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import InputError, QuorateError, StateError
from ._parallel import all_or_error, side_by_side
from ._wait import wait_until

ACTIONS = ("on", "off", "cycle", "status")
_WORDS = {"type": "list", "elements": "str"}
OPTIONS: dict[str, Any] = {
    **dict.fromkeys(ACTIONS, _WORDS),
    "ipmi": {
        "type": "dict",
        "options": {
            "host": {"type": "str", "required": True},
            "user": {"type": "str", "default": "ADMIN"},
            "password": {"type": "str", "no_log": True},
            "interface": {"type": "str", "default": "lanplus"},
        },
    },
}
"""How the power button of a machine is pressed, as options of a module. Of all this only the password is masked: a
word like ``on`` would be masked wherever it stands."""
_PLACE = re.compile(r"\{(\w+)\}")
_STATE = re.compile(r"\b(on|off)\b", re.IGNORECASE)


class CommandError(QuorateError):
    """A command on the control node failed, or is not there."""


def fill(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Put names in the place of ``{node}`` and the like; what is not known stays as it is."""
    return [_PLACE.sub(lambda match: values.get(match[1], match[0]), str(word)) for word in words]


def run_command(
    words: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None, keep: Sequence[int] = ()
) -> str:
    """Run a command on the control node; its standard output. Raises :class:`CommandError` with its last words.

    ``keep``: descriptors that are open in it, too.
    """
    try:
        done = subprocess.run(
            list(words),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            pass_fds=keep,
        )
    except FileNotFoundError as error:
        raise CommandError(f"there is no command {words[0]} on the control node") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"'{' '.join(words)}' broke off: {error}") from error
    if done.returncode:
        said = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-4:])
        raise CommandError(f"'{' '.join(words)}' ended with status {done.returncode}{said and f': {said}'}")
    return done.stdout


@dataclass(frozen=True)
class Button:
    """The power button of one machine. ``commands``: by action; ``ipmi``: ``host``, ``user``, ``password``."""

    node: str
    commands: Mapping[str, Sequence[str]]
    ipmi: Mapping[str, Any] | None = None
    timeout: float = 60
    keep: tuple[int, ...] = ()

    @classmethod
    def of(cls, element: Mapping[str, Any], timeout: float, where: str = "", keep: Sequence[int] = ()) -> Button:
        """From an element of a module's list. Raises :class:`InputError` if there is no way to press it."""
        commands = {action: list(element[action]) for action in ACTIONS if element.get(action)}
        ipmi = element.get("ipmi")
        if not commands and not ipmi:
            raise InputError(
                f"there is no way to the power button of {element['node']}",
                where=where,
                hint="Give ipmi, or commands (on, off, status).",
            )
        return cls(str(element["node"]), commands, ipmi, timeout, tuple(keep))

    def press(self, action: str) -> str:
        """Do it; what the command printed."""
        if action in self.commands:
            return run_command(fill(self.commands[action], {"node": self.node}), self.timeout, keep=self.keep)
        if self.ipmi:
            words = ["ipmitool", "-I", str(self.ipmi.get("interface") or "lanplus"), "-H", str(self.ipmi["host"])]
            words += ["-U", str(self.ipmi.get("user") or "ADMIN"), "-E", "chassis", "power", action]
            # -E reads the password from the environment: command lines are for everybody to see
            secret = {"IPMI_PASSWORD": str(self.ipmi.get("password") or "")}
            return run_command(words, self.timeout, secret, self.keep)
        if action == "cycle":
            return self.press("off") + self.press("on")
        raise InputError(f"there is no command for power {action} of {self.node}", where="nodes")

    def state(self) -> str | None:
        """``on`` or ``off``; None if there is no way to ask."""
        if not self.ipmi and "status" not in self.commands:
            return None
        printed = self.press("status")
        match = _STATE.search(printed)
        if match is None:
            raise CommandError(f"the power status of {self.node} reads '{printed.strip()[:80]}', neither on nor off")
        return match[1].lower()


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The whole module ``node_power``."""
    action, timeout = str(params["action"]), float(params["timeout"])
    elements = params["nodes"]
    buttons = [Button.of(element, timeout, f"nodes[{i}] ({element['node']})") for i, element in enumerate(elements)]
    before = dict(zip((button.node for button in buttons), _states(buttons), strict=True))
    due = [button for button in buttons if action == "cycle" or before[button.node] != action]
    if action == "status":
        due = []
    if due and action in ("off", "cycle") and not params["confirm"]:
        raise StateError(
            f"power {action} takes {', '.join(button.node for button in due)} away at once, with all that runs there",
            where="confirm",
            hint="Set confirm: true if that is meant. Nothing was changed.",
        )
    if not check_mode:
        all_or_error(side_by_side(lambda button: button.press(action), due))
        for button in due:
            _wait(button, "off" if action == "off" else "on", timeout)
    after = before if check_mode or not due else dict(zip(before, _states(buttons), strict=True))
    return {"changed": bool(due), "power": after, "pressed": [button.node for button in due], "calls": 0}


def _states(buttons: Sequence[Button]) -> list[str | None]:
    return all_or_error(side_by_side(lambda button: button.state(), buttons))


def _wait(button: Button, wanted: str, timeout: float) -> None:
    if button.state() is not None:
        wait_until(
            lambda: True if button.state() == wanted else None,
            timeout=timeout,
            what=f"the power of {button.node} being {wanted}",
        )
