# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns which loopback network and which port."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from pathlib import Path

from agentstack.reader import StackError
from agentstack.stack import FIRST_NET, LAST_NET, Authority, HostSpec, Stack

QUESTIONS = 1024
"""How often the holder of a network number is told before nobody hears of it any more."""


def claim_net(stack: Stack, state: Path) -> tuple[Stack, socket.socket]:
    """Take the stack's network number, or the first free one if it has none; StackError says who is in the way.

    The claim is an abstract unix socket: it exists exactly as widely as loopback addresses do (in one network
    namespace, for all users) and vanishes with the last process that holds it. Keep it open.
    """
    if stack.net:
        claim = _claim(stack.net)
        if claim is None:
            raise StackError(f"network 127.{stack.net}.0.0/16 of {state} belongs to another stack{_holder(stack.net)}")
        try:
            _check_all(stack)
        except StackError:
            claim.close()
            raise
        return stack, claim
    taken: StackError | None = None
    for net in range(FIRST_NET, LAST_NET + 1):
        claim = _claim(net)
        if claim is None:
            continue
        candidate = stack.on_net(net)
        try:
            _check_all(candidate)
        except StackError as error:
            taken = error
            claim.close()
        else:
            return candidate, claim
    raise taken or StackError(f"all networks 127.{FIRST_NET}.0.0/16 … 127.{LAST_NET}.0.0/16 belong to other stacks")


def hold_claim(descriptor: int) -> None:
    """Take a claim over from the process that made it, so that those who ask who holds it hear of this one."""
    claim = socket.socket(fileno=descriptor)
    claim.listen(QUESTIONS)
    claim.detach()


def check(host: HostSpec | Authority) -> None:
    """StackError if one of the ports cannot be had: which, and which program has it if that can be read."""
    for address, port in host.ports:
        with socket.socket() as probe:
            # as the servers do: connections of an earlier stack that linger in TIME_WAIT are no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError as error:
                reason = f"cannot be used: {error.strerror}"
                if error.errno == errno.EADDRINUSE:
                    reason = f"is taken by {_listener(address, port) or 'another program'}"
                raise StackError(f"{host.name}: {address} port {port} {reason}") from error


def _check_all(stack: Stack) -> None:
    for host in stack.hosts.values():
        check(host)
    if stack.authority is not None:
        check(stack.authority)


def _claim(net: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0agentstack.net.{net}")
    except OSError:
        claim.close()
        return None
    claim.listen(QUESTIONS)
    return claim


def _holder(net: int) -> str:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        # nobody ever accepts: who asks after the queue is full gets no answer, and must not wait for one
        client.setblocking(False)
        client.connect(f"\0agentstack.net.{net}")
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return f" (process {struct.unpack('3i', credentials)[0]})"
    return ""


def _listener(address: str, port: int) -> str | None:
    """`NAME (process PID)` of the program that listens there, as far as /proc lets us see it."""
    wildcard = "00000000"
    exact = struct.pack("=I", struct.unpack("!I", socket.inet_aton(address))[0]).hex().upper()
    sought = {f"{exact}:{port:04X}", f"{wildcard}:{port:04X}"}
    inodes = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] in sought and fields[3] == "0A":
            inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        # processes come and go, and those of other users hide their descriptors
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None
