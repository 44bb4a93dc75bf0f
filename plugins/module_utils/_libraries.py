# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that Ansible does not bring along, imported when they are first used. Private to this collection.

So their absence is an error that says what to install, and modules can be looked into without them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from ._errors import QuorateError


class LibraryError(QuorateError):
    """A library is missing."""


class Library:
    """Stands for a module of that name. Raises :class:`LibraryError` on use if there is none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        try:
            module = import_module(self._name)
        except ImportError as error:
            package = self._name.partition(".")[0]
            raise LibraryError(
                f"the Python library {package} is not installed for {sys.executable}: {error}",
                hint=f"Install it there (pip install {package}), or run the task on the controller.",
            ) from error
        return getattr(module, attribute)
