# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that a backup server pulls from (facts §20.4). Private to this collection."""

from __future__ import annotations

from collections.abc import Sequence

from ._client import Client, Connection
from ._dialect import PBS
from ._errors import ConnectError, LoginError, QuorateError, StateError, TrustError
from ._pbs import FINGERPRINT, PbsCollection
from ._plan import DELETE, Change, raise_all
from ._secret_files import FROM_FILE, WithPasswordFile, has_secret, read_secret
from ._spec import Field, Spec
from ._values import INTEGER, Form

LOGIN = ("host", "port", "auth_id", "password", "fingerprint")

REMOTES = Spec(
    kind="remote",
    option="remotes",
    keys=("name",),
    path="/config/remote",
    item_path="/config/remote/{name}",
    digest=True,
    fields=(
        Field("name", required=True),
        Field("host", needed=True),
        Field("port", INTEGER, default=PBS.port),
        Field("auth_id", api="auth-id", needed=True),
        Field("password", secret=True, needed=True),
        Field("password_file", Form(str, str, "path"), listed=False, sent=False),
        Field("fingerprint", FINGERPRINT),
        Field("comment"),
    ),
)


class Remotes(WithPasswordFile, PbsCollection):
    """Entries of remote.cfg."""

    spec = REMOTES

    def check(self, changes: Sequence[Change]) -> None:
        """The other server must be the one that is meant, and take the login."""
        super().check(changes)
        errors: list[QuorateError] = []
        for change in changes:
            if change.action != DELETE and any(name in change.set for name in LOGIN):
                try:
                    self._try(change)
                except QuorateError as error:
                    errors.append(error)
        raise_all(errors)

    def _try(self, change: Change) -> None:
        remote = {**change.actual, **change.item}
        path, password = change.element.get("password_file"), remote.get("password")
        if path and password == FROM_FILE:
            if self.api.check_mode and not has_secret(path):
                self.api.unknown.append(f"{change.where}: there is no {path} yet")
                return
            password = read_secret(path, f"{change.where}: password_file")
        if not password:
            return
        who, token = str(remote["auth_id"]), "!" in str(remote["auth_id"])
        connection = Connection(
            hosts=(str(remote["host"]),),
            port=int(remote.get("port") or PBS.port),
            user=who,
            password=None if token else password,
            token_id=who if token else None,
            token_secret=password if token else None,
            fingerprints=tuple(filter(None, [remote.get("fingerprint")])),
            timeout=self.api.client.connection.timeout,
            dialect=PBS,
        )
        client = Client(connection)
        try:
            client.get("/version")
        except (LoginError, TrustError) as error:
            if self.api.check_mode and isinstance(error, LoginError):
                # users, tokens and their new passwords are made by earlier steps, on the other server
                self.api.unknown.append(f"{change.where}: {error.message} yet")
                return
            raise StateError(f"{error.message}. Nothing was changed", where=change.where, hint=error.hint) from error
        except ConnectError as error:
            self.api.warn(f"{change.where}: could not be tried from here: {error.message}")
        finally:
            client.close()
