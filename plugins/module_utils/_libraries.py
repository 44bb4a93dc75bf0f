# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is imported when it is first used: libraries that Ansible does not bring along, and parts of this collection.

Private to this collection. So the absence of a library is an error that says what to install, and modules can be looked
into without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
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


def later(module: str, name: str) -> Callable[..., Any]:
    """A function of this directory's module of that name, which is imported at the first call.

    To find one filter Ansible loads the files of all filters, in every worker.
    """

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(f"{__package__}.{module}"), name)(*arguments, **named)

    call.__name__ = name
    return call
