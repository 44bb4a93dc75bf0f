# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of the module ``preflight``, under its name.

The process that forks the workers looks for an action of a module's own name, not at what meta/runtime.yml routes to
another. This one it loads when a site begins, and with it what most of the workers after that would have to load.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from ansible_collections.quorate.pve.plugins.action.api import ActionModule

__all__ = ["ActionModule"]

UTILS = "ansible_collections.quorate.pve.plugins.module_utils"
SHARED = (
    *("requests", "proxmoxer.core", "paramiko", "ansible.plugins.action.normal"),
    *(f"{UTILS}.{name}" for name in ("_collection", "_pbs", "_site_checks")),
)
"""Of Ansible's own, what it looks into for each task whose action has not the module's name."""

for name in SHARED:
    # one that is missing is the affair of the first task that uses it
    with suppress(ImportError):
        import_module(name)
