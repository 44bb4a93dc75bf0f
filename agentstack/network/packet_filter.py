# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut cables for TCP connections over loopback: a packet filter on each socket, which a process may attach to its own.

The kernel drops what the filter rejects before TCP sees it. So a new connection hangs, an open one stalls and goes on
when the filter is gone: as with a cable that is pulled and plugged in again.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

# socket(7); unknown to the socket module
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27

# classic BPF (linux/filter.h): opcode, jump if true, jump if false, operand
_INSTRUCTION = struct.Struct("HBBI")
_PROGRAM = struct.Struct("HP")
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NETWORK_HEADER = -0x100000 & 0xFFFFFFFF
_SOURCE = 12
"""Offset of the source address in the IPv4 header."""
_ACCEPT, _DROP = 0xFFFFFFFF, 0


Verdict = tuple[ipaddress.IPv4Network, bool]
"""Where packets come from, and whether they are let through."""


def only_from(addresses: Collection[str]) -> bytes:
    """A filter that lets packets from these addresses through, and no others."""
    return by_source([(ipaddress.IPv4Network(address), True) for address in sorted(addresses)], other=False)


def not_from(addresses: Collection[str]) -> list[Verdict]:
    """Drop packets from these addresses."""
    return [(ipaddress.IPv4Network(address), False) for address in sorted(addresses)]


def by_source(verdicts: Iterable[Verdict], *, other: bool) -> bytes:
    """A filter of which the first that the source lies in decides, and `other` where there is none."""
    program: list[tuple[int, int, int, int]] = []
    for network, accept in verdicts:
        # each comparison is followed by what happens when it holds
        program += [
            (_LOAD, 0, 0, _NETWORK_HEADER + _SOURCE),
            (_AND, 0, 0, int(network.netmask)),
            (_EQUAL, 0, 1, int(network.network_address)),
            (_RETURN, 0, 0, _ACCEPT if accept else _DROP),
        ]
    program.append((_RETURN, 0, 0, _ACCEPT if other else _DROP))
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def attach(connection: socket.socket, program: bytes | None) -> None:
    """Put a filter on a socket (those that a listening one accepts inherit it); None takes it off."""
    if program is None:
        try:
            connection.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        except FileNotFoundError:
            return
        return
    code = ctypes.create_string_buffer(program, len(program))
    count = len(program) // _INSTRUCTION.size
    # the kernel makes a copy
    connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM.pack(count, ctypes.addressof(code)))


def tcp_sockets() -> Iterator[socket.socket]:
    """Every TCP socket of this process, each to be used until the next only."""
    for name in os.listdir("/proc/self/fd"):
        with _borrowed(int(name)) as found:
            if found is not None and found.family == socket.AF_INET and found.type == socket.SOCK_STREAM:
                yield found


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket | None]:
    """A socket object for a descriptor that belongs to somebody else; None for what is no socket (or closed by now)."""
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        yield None
        return
    try:
        yield found
    finally:
        found.detach()


def listens(connection: socket.socket) -> bool:
    """Whether a socket waits for connections."""
    return bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
