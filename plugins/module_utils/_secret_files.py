# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in files on the machine where the module runs, each readable for its owner alone.

Private to this collection. What is in them is never part of a result.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from ._collection import Collection
from ._errors import InputError
from ._plan import Change, Wanted
from ._whole_files import replace_file

# Stands for a secret that is not read yet
FROM_FILE = "(in the file)"


def read_secret(path: str, where: str) -> str:
    """The secret in a file. Raises :class:`InputError` if it cannot be read or is empty."""
    try:
        secret = Path(path).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the secret's file {path} cannot be read: {_reason(error)}", where=where) from error
    if not secret:
        raise InputError(f"the secret's file {path} is empty", where=where)
    return secret


def prepare_directory(path: str, where: str) -> None:
    """Make sure that a secret can be written before there is one. Raises :class:`InputError`."""
    directory = Path(path).expanduser().parent
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise InputError(f"the secret's file {path} cannot be written: {_reason(error)}", where=where) from error


def write_secret(path: str, secret: str) -> None:
    """Put a secret into a file of mode 0600, all of it or nothing."""
    replace_file(Path(path).expanduser(), f"{secret}\n")


def begin_secret(path: str) -> None:
    """Leave an empty file of mode 0600: from here until the secret is in it, a run that is cut off has lost one."""
    os.close(os.open(Path(path).expanduser(), os.O_WRONLY | os.O_CREAT, 0o600))


def was_begun(path: str) -> bool:
    """Whether a run was cut off between asking for a secret and keeping it."""
    file = Path(path).expanduser()
    return file.is_file() and file.stat().st_size == 0


def has_secret(path: str) -> bool:
    """Whether there is such a file with something in it."""
    file = Path(path).expanduser()
    return file.is_file() and file.stat().st_size > 0


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is no text"


class WithPasswordFile(Collection):
    """Objects with ``password``, which may lie in the file ``password_file`` instead.

    It is read when the secret is sent, so that an earlier task may be the one that writes the file.
    """

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Let the file stand for the secret in it."""
        return [
            replace(want, item={**want.item, "password": FROM_FILE}) if want.item.get("password_file") else want
            for want in super().prepare(wanted)
        ]

    def change_one(self, change: Change) -> None:
        """Put the secret in where it is sent."""
        path = change.element.get("password_file")
        if path and FROM_FILE in (change.item.get("password"), change.set.get("password")):
            secret = {"password": read_secret(path, f"{change.where}: password_file")}
            change = replace(
                change,
                item={**change.item, **secret},
                set={**change.set, **secret} if "password" in change.set else change.set,
            )
        super().change_one(change)
