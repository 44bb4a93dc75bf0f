# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of a stack have in memory in common, loaded before the first of them is forked."""

from __future__ import annotations

import gc
import importlib
import pkgutil

from agentstack.api import tables
from agentstack.stack import Kind

NOT_IN_HOSTS = (
    "__main__",
    "access.directory",
    "authority",
    "cli",
    "commands",
    "launch",
    "sim",
    "supervisor",
    "supervisor_machine",
    "warm_up",
)
"""What no host needs to have in memory: modules and packages of agentstack."""

PACKAGES_OF: dict[Kind, tuple[str, ...]] = {"pbs": ("pbs", "api.pbs")}
"""What only hosts of one kind need."""


def warm_up(kinds: set[Kind]) -> None:
    """Import everything that hosts of these kinds use, so that they share it."""
    # nothing of this is ever garbage, and looking for some takes a tenth of the time
    gc.disable()
    for module in ("aiohttp.web", "asyncssh", "cryptography.x509", "sqlite3", "zstandard"):
        importlib.import_module(module)
    skipped = {*NOT_IN_HOSTS, *(name for kind in set(PACKAGES_OF) - kinds for name in PACKAGES_OF[kind])}
    load_package("agentstack", {f"agentstack.{name}" for name in skipped})
    for kind in kinds & set(tables.NEWEST):
        tables.load(tables.NEWEST[kind])
    gc.enable()
    gc.collect()
    gc.freeze()


def load_package(package: str, skipped: set[str]) -> None:
    """Import a package with all that is in it, but for the modules and packages named."""
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if found.name in skipped:
            continue
        importlib.import_module(found.name)
        if found.ispkg:
            load_package(found.name, skipped)
