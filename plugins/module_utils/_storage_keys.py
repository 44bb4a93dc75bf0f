# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption keys of storages on backup servers: nothing is encrypted before the key lies in a second place.

Private to this collection. The server says a key that it makes once (facts §12). So it makes it on a storage that is
switched off, the key is put into the file, and only then the storage is switched on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._errors import InputError, QuorateError, StateError, VerifyError
from ._plan import UPDATE, Change, Wanted, raise_all
from ._secret_files import (
    WithPasswordFile,
    begin_secret,
    has_secret,
    prepare_directory,
    read_secret,
    was_begun,
    write_secret,
)
from ._spec import PRESENT, Item, Key

FILE = "encryption_key_file"
_API = "encryption-key"
_NEW = {"encryption_key": "new, in the file"}
_TAKEN = {"encryption_key": "that of the file"}


class WithKeyFile(WithPasswordFile):
    """Storages with ``encryption_key_file``, the second place of the key."""

    _fingerprints: dict[str, str]

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """A file that can be written, or that has a key in it."""
        errors: list[QuorateError] = []
        for want in wanted:
            path = want.item.get(FILE)
            try:
                if path and want.item.get("encryption_key"):
                    raise InputError("encryption_key and encryption_key_file exclude each other")
                if path and want.state == PRESENT and has_secret(path):
                    _key_in(path)
            except QuorateError as error:
                errors.append(error.at(f"{want.where}: {FILE}"))
        raise_all(errors)
        # a run that was cut off leaves a storage that is off and was meant to be on
        on = [replace(want, item={"disable": False, **want.item}) if want.item.get(FILE) else want for want in wanted]
        return super().prepare(on)

    def by_key(self, answers: Sequence[Mapping[str, Any]]) -> dict[Key, Item]:
        """The server shows the fingerprint of a storage's key, or 1 for a key without one."""
        self._fingerprints = {str(answer["storage"]): str(answer[_API]) for answer in answers if answer.get(_API)}
        return super().by_key(answers)

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """With the keys that are missing; a key that is used and lies nowhere else is an error."""
        planned = map(self._sparing_keys, super().plan(wanted, actual, whole=whole))
        changes = {change.key: change for change in planned if change}
        errors: list[QuorateError] = []
        for want in wanted:
            path, key = want.item.get(FILE), self.spec.key(want.item)
            if not path or want.state != PRESENT:
                continue
            try:
                if not has_secret(path) and whole:
                    self._check_place(path, want)
                missing = self._missing(want, path, actual.get(key))
            except QuorateError as error:
                errors.append(error.at(f"{want.where}: {FILE}"))
                continue
            if missing:
                change = changes.get(key) or Change(
                    UPDATE,
                    self.spec.kind,
                    self.spec.label(want.item),
                    key,
                    want.item,
                    actual.get(key, {}),
                    where=want.where,
                    element=want.element,
                )
                changes[key] = replace(change, after={**change.after, **missing})
        raise_all(errors)
        return list(changes.values())

    def _sparing_keys(self, change: Change) -> Change | None:
        """A change without ``autogen`` for a storage that has a key: that which its backups need would be replaced."""
        another = change.action == UPDATE and change.set.get("encryption_key") == "autogen"
        if not another or str(change.actual["storage"]) not in self._fingerprints:
            return change
        rest, before, after = (
            {name: value for name, value in part.items() if name != "encryption_key"}
            for part in (change.set, change.before, change.after)
        )
        return replace(change, set=rest, before=before, after=after) if rest or change.unset else None

    def _check_place(self, path: str, want: Wanted) -> None:
        if not self.api.check_mode:
            prepare_directory(path, f"{want.where}: {FILE}")

    def _missing(self, want: Wanted, path: str, there: Item | None) -> dict[str, str] | None:
        """What there is to do about the key of a storage."""
        storage = str(want.item["storage"])
        used = self._fingerprints.get(storage) if there is not None else None
        if used is None:
            return _TAKEN if has_secret(path) else _NEW
        if not has_secret(path):
            if was_begun(path) and (there or {}).get("disable"):
                return _NEW  # a run was cut off before the key was kept: nothing was encrypted with it
            raise StateError(
                f"{storage} encrypts with the key {used}, which is not in {path}",
                hint=f"Copy /etc/pve/priv/storage/{storage}.enc of any node there: without it no backup can be read.",
            )
        shown = _key_in(path).get("fingerprint")
        if shown and used != "1" and shown != used:
            raise StateError(
                f"{storage} encrypts with the key {used}, and {path} holds {shown}",
                hint="Put the right key there, or name another file.",
            )
        return None

    def create(self, change: Change) -> None:
        """Switched off until the key is kept."""
        path = change.item.get(FILE)
        if not path:
            super().create(change)
            return
        payload = {**self.spec.payload(change.item), **self._key(path)}
        self._keep(change, path, self.api.client.post(self.spec.path, payload), on=not change.item.get("disable"))

    def update(self, change: Change) -> None:
        """The key first, then the rest."""
        path = change.item.get(FILE)
        if path and "encryption_key" in change.after and change.action == UPDATE:
            one = self.spec.fill(self.spec.item_path, change.actual)
            new = not has_secret(path)
            answer = self.api.client.put(one, self._key(path))
            self._keep(change, path, answer, on=not change.item.get("disable"))
            if new and not change.item.get("disable"):
                change = replace(change, set={name: change.set[name] for name in change.set if name != "disable"})
        if change.set or change.unset:
            super().update(change)

    def _key(self, path: str) -> dict[str, Any]:
        if has_secret(path):
            return {_API: read_secret(path, FILE)}
        begin_secret(path)
        return {_API: "autogen", "disable": 1}

    def _keep(self, change: Change, path: str, answer: Any, *, on: bool) -> None:
        """Put a new key into the file; only then the storage is used."""
        if has_secret(path):
            return
        key = ((answer or {}).get("config") or {}).get(_API)
        if not key:
            raise VerifyError("the server has made a key, and did not say it", where=change.where)
        write_secret(path, str(key))
        _key_in(path)
        if on:
            storage = str(change.key[0])
            self.api.client.put(self.spec.item_path.format(storage=storage), {"delete": "disable"})


def _key_in(path: str) -> dict[str, Any]:
    """The key file's content. Raises :class:`InputError` if it is none."""
    try:
        key = json.loads(read_secret(path, FILE))
    except ValueError as error:
        raise InputError(f"{path} holds no encryption key: {error}", where=FILE) from error
    if not isinstance(key, dict) or not key.get("data"):
        raise InputError(f"{path} holds no encryption key", where=FILE)
    return key
