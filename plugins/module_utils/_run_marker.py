# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marker by which a cluster says that a run is changing it, whatever control node that run is on.

Private to this collection. It is an empty resource pool: creating one is atomic over all members, needs no root, harms
nothing, and everybody sees its comment in the web interface.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ._client import Client
from ._errors import ApiError, StateError

POOL = "quorate-run"
EXISTS = re.compile(r"already exists")
_COMMENT = re.compile(
    r"(?P<who>.+) is changing this cluster since (?P<since>.+) \(process (?P<process>\d+), lease (?P<until>\d+)\)"
)
BREAK = f"If it is certain that no run is under way, remove the empty pool {POOL}: pvesh delete /pools/{POOL}"


@dataclass(frozen=True)
class Holder:
    """Who holds the lock: ``user@host``, since when in words, the process there, and until when (epoch seconds)."""

    who: str
    since: str
    process: int
    until: int

    def __str__(self) -> str:
        return f"{self.who} is changing this cluster since {self.since} (process {self.process}, lease {self.until})"

    @classmethod
    def parse(cls, comment: str) -> Holder | None:
        """Read a comment back; None if somebody else wrote it."""
        match = _COMMENT.fullmatch(comment.strip())
        return cls(match["who"], match["since"], int(match["process"]), int(match["until"])) if match else None

    def same_run(self, other: Holder | None) -> bool:
        """Whether it is the same run, however far its lease goes."""
        return other is not None and (self.who, self.since, self.process) == (other.who, other.since, other.process)


def read(client: Client) -> str | None:
    """The marker's comment; None if there is no marker."""
    pools = {str(pool["poolid"]): str(pool.get("comment") or "") for pool in client.get("/pools")}
    return pools.get(POOL)


def place(client: Client, own: Holder, *, now: float, over: Holder | None = None) -> None:
    """Set the marker. One whose lease has run out, or that is ``over`` (a run known to be dead), is taken over.

    Raises :class:`StateError` naming who has it.
    """
    try:
        client.post("/pools", {"poolid": POOL, "comment": str(own)})
    except ApiError as error:
        if not error.says(EXISTS):
            raise
    else:
        return
    comment = read(client)
    holder = Holder.parse(comment or "")
    free = holder is not None and (own.same_run(holder) or holder.until < now or holder.same_run(over))
    if comment is not None and not free:
        raise StateError(f"another run has the lock: {comment or 'a pool without a comment'}", hint=BREAK)
    if comment is None:
        client.post("/pools", {"poolid": POOL, "comment": str(own)})
        return
    client.put("/pools", {"poolid": POOL, "comment": str(own)})
    # of two that take over at once, the second one's comment stands
    if (comment := read(client)) != str(own):
        raise StateError(f"another run has the lock: {comment}", hint=BREAK)


def renew(client: Client, own: Holder) -> bool:
    """Say a later end of the lease; False if the marker is somebody else's by now."""
    if not own.same_run(Holder.parse(read(client) or "")):
        return False
    client.put("/pools", {"poolid": POOL, "comment": str(own)})
    return True


def remove(client: Client, own: Holder) -> None:
    """Take our own marker away."""
    if own.same_run(Holder.parse(read(client) or "")):
        client.delete("/pools", {"poolid": POOL})
