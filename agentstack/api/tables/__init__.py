# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declarations of the API's methods, read from the YAML files beside this module.

One directory a release: `pve9` and `pbs4` are whole, `pve8` is laid over `pve9` (a method that is null there does not
exist in 8; `params` are merged by name, null takes one away). `scripts/take-table` writes the files and tells
their form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

Param = Mapping[str, Any]
"""One parameter in the words of JSON schema: `type`, `optional`, `format`, `enum`, `minimum` …"""

_INDEXED = re.compile(r"(.+)\[n\]")

BASES = {"pve9": (), "pve8": ("pve9",), "pbs4": ()}
"""What each release's tables are laid over."""

NEWEST = {"pve": "pve9", "pbs": "pbs4"}
"""The tables that most hosts of a kind need."""


@dataclass(frozen=True, slots=True)
class Method:
    """The declaration of one method: what it takes, who may call it and where it runs.

    `check` is a permission expression, `user` is `all` or `world`; a method with neither is root@pam's alone. `proxyto`
    names the parameter with the node that executes it. `index` is `(key, names)` for a path whose listing is fixed.
    """

    verb: str
    path: str
    params: Mapping[str, Param]
    returns: str | None = None
    check: list[Any] | None = None
    user: str | None = None
    proxyto: str | None = None
    protected: bool = False
    allowtoken: bool = True
    additional: bool = False
    index: tuple[str, tuple[str, ...]] | None = None
    indexed: Mapping[str, Param] = field(default_factory=dict)

    def param(self, name: str) -> Param | None:
        """The declaration of a parameter; `link3` is found under `link[n]`."""
        found = self.params.get(name)
        if found is None and self.indexed:
            stem = name.rstrip("0123456789")
            number = name[len(stem) :]
            # numbers are written without leading zeros: net00 is unknown
            if number and str(int(number)) == number:
                return self.indexed.get(stem)
        return found


Table = Mapping[str, Mapping[str, Method]]
"""Methods by path template and verb."""


def _method(path: str, verb: str, raw: Mapping[str, Any]) -> Method:
    index = raw.get("index")
    params = raw.get("params") or {}
    return Method(
        verb=verb,
        path=path,
        params={name: param for name, param in params.items() if not name.endswith("[n]")},
        indexed={match[1]: param for name, param in params.items() if (match := _INDEXED.fullmatch(name))},
        returns=raw.get("returns"),
        check=raw.get("check"),
        user=raw.get("user"),
        proxyto=raw.get("proxyto"),
        protected=bool(raw.get("protected")),
        allowtoken=bool(raw.get("allowtoken", 1)),
        additional=bool(raw.get("additional")),
        index=next((key, tuple(names)) for key, names in index.items()) if index else None,
    )


def _overlay(base: Mapping[str, Any] | None, over: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if over is None:
        return None
    merged = {**(base or {}), **over}
    if base and "params" in over:
        merged["params"] = {**base.get("params", {}), **over["params"]}
    found = {key: value for key, value in merged.items() if value is not None}
    if "params" in found:
        found["params"] = {name: param for name, param in found["params"].items() if param is not None}
        if not found["params"]:
            del found["params"]
    return found


def raw_methods(release: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every (path, verb, declaration) of a release in the form of the files."""
    merged: dict[tuple[str, str], dict[str, Any] | None] = {}
    for name in (*BASES[release], release):
        for file in sorted((files(__name__) / name).iterdir(), key=lambda found: found.name):
            if file.name.endswith(".yml"):
                for path, verbs in (yaml.load(file.read_text(), Loader=yaml.CSafeLoader) or {}).items():
                    for verb, raw in verbs.items():
                        merged[path, verb] = _overlay(merged.get((path, verb)), raw)
    for (path, verb), method in merged.items():
        if method is not None:
            yield path, verb, method


@lru_cache
def load(release: str) -> Table:
    """The table of `pve9`, `pve8` or `pbs4`; read once a process (and its forks)."""
    table: dict[str, dict[str, Method]] = {}
    for path, verb, raw in raw_methods(release):
        table.setdefault(path, {})[verb] = _method(path, verb, raw)
    return table
