# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How rights are given and taken away: users with nothing but what docs/rights.yml says, and modules run as them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome

from ..backups import Api, fingerprint
from ..stacks import RunningStack

TABLE = yaml.safe_load((Path(__file__).parents[2] / "docs" / "rights.yml").read_text(encoding="utf-8"))
KINDS = ("needs", "unnamed", "sees")
SAID = {"unnamed": "permission check failed", "sees": ""}
PASSING = {"calls", "changed", "diff", "warnings", "unknown", "measured", "text"}
"""What two runs that see the same may differ in."""
MEASURED = {"path", "latency", "jitter", "loss", "mtu", "clock", "load"}
"""Checks of preflight whose outcome depends on the moment."""
Rights = dict[str, set[str]]
Result = dict[str, Any]
Step = dict[str, Any]


@dataclass
class Trial:
    """A server, root on it, and how the user with the least rights logs in there."""

    stack: RunningStack
    root: Api
    hosts: tuple[str, ...]
    login: dict[str, Any]

    @property
    def as_root(self) -> dict[str, Any]:
        return {**self.place, "api_password": self.stack.secrets["root_password"]}

    @property
    def place(self) -> dict[str, Any]:
        known = [host for host in self.stack.secrets["hosts"] if host[:3] == self.hosts[0][:3]]
        # firewalls are changed by one node, and all of them have to be reached afterwards
        accepted = [fingerprint(self.stack, host) for host in known]
        addresses = [self.stack.resolved["hosts"][host]["address"] for host in self.hosts]
        return {"api_hosts": addresses, "api_fingerprints": accepted}


@dataclass
class Node(Trial):
    """Privileges: a role for each path with what is needed there. ``user`` has them, and a token."""

    user: str = "least@pve"

    @classmethod
    def make(cls, stack: RunningStack, root: Api, hosts: tuple[str, ...], user: str = "least@pve") -> Node:
        """Make the user and its token."""
        root.data("POST", "/access/users", userid=user)
        made = root.data("POST", f"/access/users/{user}/token/try", privsep=0)
        node = cls(stack, root, hosts, {}, user)
        node.login = {**node.place, "api_token_id": f"{user}!try", "api_token_secret": made["value"]}
        return node

    def give(self, rights: Rights) -> None:
        """The user has these and nothing else; those on / for nothing below it."""
        known = {row["roleid"] for row in self.root.data("GET", "/access/roles")}
        held = {row["path"]: row["roleid"] for row in self.root.data("GET", "/access/acl") if row["ugid"] == self.user}
        name = self.user.partition("@")[0].capitalize()
        roles = {path: f"{name}{path.replace('/', '-')}" for path in rights}
        for path in set(held) - {path for path, privileges in rights.items() if privileges}:
            self.root.data("PUT", "/access/acl", path=path, roles=held[path], users=self.user, delete=1)
        for path, role in roles.items():
            privileges = ",".join(sorted(rights[path]))
            if role in known:
                self.root.data("PUT", f"/access/roles/{role}", privs=privileges)
            else:
                self.root.data("POST", "/access/roles", roleid=role, privs=privileges)
            if privileges:
                propagate = int(path != "/")
                self.root.data("PUT", "/access/acl", path=path, roles=role, users=self.user, propagate=propagate)


class Server(Trial):
    """The backup server has fixed roles: those stand in the table."""

    def give(self, rights: Rights) -> None:
        """The user has these roles and nothing else; those on / for nothing below it."""
        for row in self.root.data("GET", "/access/acl"):
            if row["ugid"] == "least@pbs":
                self.root.data(
                    "PUT", "/access/acl", path=row["path"], role=row["roleid"], auth_id="least@pbs", delete=1
                )
        for path, roles in rights.items():
            for role in roles:
                propagate = int(path != "/")
                self.root.data("PUT", "/access/acl", path=path, role=role, auth_id="least@pbs", propagate=propagate)


def rights_of(name: str) -> Rights:
    """Path → privileges, those to see with included."""
    found: Rights = {}
    for kind in KINDS:
        for path, privileges in TABLE[name].get(kind, {}).items():
            found.setdefault(path, set()).update(privileges)
    return found


def without_each(name: str) -> Iterator[tuple[str, str, str]]:
    """Path, privilege, and what is said without it."""
    for kind in KINDS:
        for path, privileges in TABLE[name].get(kind, {}).items():
            # the backup server names no privilege
            said = "permission" if TABLE[name].get("server") == "pbs" and kind == "needs" else None
            yield from ((path, privilege, said or SAID.get(kind, privilege)) for privilege in privileges)


def attempt(name: str, connection: dict[str, Any], step: Step) -> Result:
    module = import_module(f"ansible_collections.quorate.pve.plugins.modules.{name}")
    checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate({**connection, **step})
    assert not checked.error_messages, checked.error_messages
    return outcome(module.run, checked.validated_parameters, False, diff=True)


def told(result: Result) -> dict[str, Any]:
    """What can be compared."""
    found = {name: value for name, value in result.items() if name not in PASSING}
    if "findings" in found:
        found["findings"] = [each for each in found["findings"] if each["check"] not in MEASURED]
    return found


def try_out(
    name: str,
    trial: Node | Server,
    steps: Sequence[Step],
    again: Callable[[], None] = lambda: None,
) -> None:
    """All steps with just the rights of the table, and with each of them taken away; before each round, ``again``."""
    row, rights = TABLE[name], rights_of(name)
    full: list[Result] = []

    def enough() -> None:
        again()
        trial.give(rights)
        for step in steps:
            full.append(attempt(name, trial.login, step))
            assert not full[-1].get("failed"), full[-1]["msg"]

    if not row.get("once"):
        enough()
    for path, privilege, said in without_each(name):
        again()
        trial.give({**rights, path: rights[path] - {privilege}})
        results = [attempt(name, trial.login, step) for step in steps]
        failed = [result["msg"] for result in results if result.get("failed")]
        # who reads on is told what could not be read, or less than before
        failed += [text for result in results for text in result.get("unread", [])]
        if row.get("reads") and not failed:
            assert [told(result) for result in results] != [told(result) for result in full], (path, privilege)
            continue
        assert failed, f"{name} does without {privilege} on {path}"
        assert any(said.lower() in text.lower() for text in failed), (privilege, path, failed)
        if any(result["changed"] for result in results):
            put_back = attempt(name, trial.as_root, steps[-1])
            assert not put_back.get("failed"), put_back["msg"]
    if row.get("once"):
        enough()


def filled(value: Any, places: dict[str, Any]) -> Any:
    """Put what placeholders stand for in their place: a text that is one becomes what it stands for."""
    if isinstance(value, str):
        if value in places:
            return places[value]
        for word, place in places.items():
            value = value.replace(word, place) if isinstance(place, str) else value
        return value
    if isinstance(value, list):
        return [filled(each, places) for each in value]
    return {key: filled(each, places) for key, each in value.items()} if isinstance(value, dict) else value


def over_ssh(stack: RunningStack, *names: str) -> dict[str, Any]:
    """How modules reach these hosts as root."""
    nodes = [
        {
            "node": name,
            "address": stack.resolved["hosts"][name]["address"],
            "host_key": stack.secrets["hosts"][name]["ssh_host_key"],
        }
        for name in names
    ]
    return {"nodes": nodes, "ssh_port": 2222, "ssh_password": stack.secrets["root_password"]}
