# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a branch of the API tree says what it answers.

A method's *declaration* (parameters, bounds, permissions, where it runs) stands in the tables (`api/tables`); its
*behaviour* is a coroutine registered here under the same verb and path. A declared method without behaviour, and
every path not declared, answers 501 as a real server does for what it does not know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentstack.access import Identity
    from agentstack.host import Host

Json = Any
"""What a JSON document can hold."""

Handler = Callable[["Call"], Awaitable[Json]]


@dataclass
class Call:
    """One validated API call, as handed to the behaviour behind a path.

    `params` holds path, query and body parameters after validation, with the types of the declaration (bool as int
    0/1 in PVE, bool in PBS; `-list` strings stay strings). `total` and `changes` become siblings of `data`.
    """

    host: Host
    identity: Identity
    verb: str
    path: str
    params: dict[str, Any]
    total: int | None = None
    changes: str | None = None
    extra: dict[str, Json] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.params[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.params.get(name, default)


class Registry:
    """The behaviours of one product (PVE or PBS), by verb and path template."""

    def __init__(self) -> None:
        self.handlers: dict[tuple[str, str], Handler] = {}

    def __call__(self, verb: str, path: str) -> Callable[[Handler], Handler]:
        """Register the decorated coroutine for `verb` on the template `path` (`/nodes/{node}/qemu`)."""

        def register(handler: Handler) -> Handler:
            if (verb, path) in self.handlers:
                raise ValueError(f"{verb} {path} is registered twice")
            self.handlers[verb, path] = handler
            return handler

        return register


pve = Registry()
pbs = Registry()
