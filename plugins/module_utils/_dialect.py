# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Proxmox VE and Proxmox Backup Server differ in the plumbing of their APIs. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """One product's way of saying the same things (facts §3, §20.1 to §20.3).

    ``token_separator`` stands between an API token's id and its secret. ``local_node`` is the name by which tasks are
    asked for if there is one host only. ``whole_log`` is the ``limit`` that gives all lines of a task's log, which
    begin with the time where it is ``stamped_log``.
    """

    product: str
    port: int
    environment: str
    token_scheme: str
    token_separator: str
    cookie: str
    plain_errors: bool
    local_node: str
    whole_log: int
    log_command: str
    stamped_log: bool = False


PVE = Dialect(
    product="Proxmox VE",
    port=8006,
    environment="PVE",
    token_scheme="PVEAPIToken",
    token_separator="=",
    cookie="PVEAuthCookie",
    plain_errors=False,
    local_node="",
    whole_log=0,
    log_command="pvesh get /nodes/NODE/tasks/UPID/log",
)
PBS = Dialect(
    product="Proxmox Backup Server",
    port=8007,
    environment="PBS",
    token_scheme="PBSAPIToken",
    token_separator=":",
    cookie="PBSAuthCookie",
    plain_errors=True,
    local_node="localhost",
    whole_log=100_000,
    stamped_log=True,
    log_command="proxmox-backup-manager task log UPID",
)
