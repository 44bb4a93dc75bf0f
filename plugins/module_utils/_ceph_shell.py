# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell on any one node, for Ceph's commands that the API does not have. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ._api import Api
from ._errors import InputError, ShellError, StateError
from ._shell import Login, Shell


@contextmanager
def on_a_node(api: Api, params: Mapping[str, Any]) -> Iterator[Shell]:
    """A shell on the first of the nodes that is online and lets us in. Raises ShellError: the last node's reason."""
    login = Login.from_params(params)
    there = [entry for entry in params["nodes"] if entry["node"] in api.nodes and api.online(entry["node"])]
    if not there:
        raise InputError("none of these nodes is an online member of the cluster", where="nodes")
    failure: ShellError | None = None
    for entry in there:
        try:
            shell = Shell(entry["address"], login, entry.get("host_key"))
        except ShellError as error:
            failure = error
            continue
        with shell:
            yield shell
        return
    raise failure or StateError("there is no node to ask over SSH", where="nodes")
