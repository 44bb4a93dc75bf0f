# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut cables for TCP connections over loopback: a packet filter on each socket, which a process may attach to its own.

The kernel drops what the filter rejects before TCP sees it. So a new connection hangs, an open one stalls and goes on
when the filter is gone: as with a cable that is pulled and plugged in again.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager

# socket(7); unknown to the socket module
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27

# classic BPF (linux/filter.h): opcode, jump if true, jump if false, operand
_INSTRUCTION = struct.Struct("HBBI")
_PROGRAM = struct.Struct("HP")
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NETWORK_HEADER = -0x100000 & 0xFFFFFFFF
_SOURCE = 12
"""Offset of the source address in the IPv4 header."""
_ACCEPT, _DROP = 0xFFFFFFFF, 0


def only_from(addresses: Collection[str]) -> bytes:
    """A filter that lets packets from these addresses through, and no others."""
    return _by_source(addresses, _ACCEPT, _DROP)


def not_from(addresses: Collection[str]) -> bytes:
    """A filter that drops packets from these addresses."""
    return _by_source(addresses, _DROP, _ACCEPT)


def _by_source(addresses: Collection[str], found: int, other: int) -> bytes:
    program = [(_LOAD, 0, 0, _NETWORK_HEADER + _SOURCE)]
    for address in sorted(addresses):
        # each comparison is followed by what happens when it holds
        program += [(_EQUAL, 0, 1, struct.unpack("!I", socket.inet_aton(address))[0]), (_RETURN, 0, 0, found)]
    program.append((_RETURN, 0, 0, other))
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
