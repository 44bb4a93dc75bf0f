# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be broken in a running stack: the table of kinds (`kinds`), the desk where faults are ordered (`desk`, in
the supervisor), and how a host's parts learn of theirs (`host`).

A fault is a state, not an event: it lasts until it is restored or the stack ends, and outlives the host's reboots. A
new kind is one line in `kinds.KINDS`; whoever makes it happen subscribes: `host.faults.subscribe("disk", apply=…)`.
"""
