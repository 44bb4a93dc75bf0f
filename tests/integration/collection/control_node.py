# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules as a control node runs them on a stack, without Ansible around them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils._client import Client, Connection
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome
from ansible_collections.quorate.pve.plugins.module_utils._shell import Login, Shell

from ...stacks import RunningStack

MODULES = "ansible_collections.quorate.pve.plugins.modules"


class Site:
    """A stack and what a control node knows of it."""

    def __init__(self, stack: RunningStack, *members: str) -> None:
        self.stack = stack
        self.hosts = stack.resolved["hosts"]
        self.keys = stack.secrets["hosts"]
        self.password = str(stack.secrets["root_password"])
        self.connection = {
            "api_hosts": [self.address(name) for name in members],
            "api_password": self.password,
            "api_validate_certs": False,
        }

    def address(self, name: str, network: str = "mgmt") -> str:
        return str(self.hosts[name]["addresses"][network])

    def shells(self, *names: str) -> list[dict[str, Any]]:
        """How nodes are reached over SSH."""
        return [
            {"node": name, "address": self.address(name), "host_key": self.keys[name]["ssh_host_key"]} for name in names
        ]

    def shell(self, name: str) -> Shell:
        """A session as root."""
        return Shell(self.address(name), Login(port=2222, password=self.password), self.keys[name]["ssh_host_key"])

    def client(self) -> Client:
        return Client(Connection(tuple(self.connection["api_hosts"]), password=self.password, validate=False))

    def run(self, module: str, *, check: bool = False, **parameters: Any) -> dict[str, Any]:
        """What a module returns."""
        file = import_module(f"{MODULES}.{module}")
        ssh = {"ssh_port": 2222} if "ssh_port" in file.ARGUMENT_SPEC else {}
        checked = ArgumentSpecValidator(file.ARGUMENT_SPEC).validate({**self.connection, **ssh, **parameters})
        assert not checked.error_messages, checked.error_messages
        return outcome(file.run, checked.validated_parameters, check, diff=True)

    def settled(self) -> bool:
        """Quorate, and everybody there."""
        return all(each.get("online", 1) and each.get("quorate", 1) for each in self.client().get("/cluster/status"))


def good(result: dict[str, Any]) -> list[str]:
    """What a run that must not fail has done."""
    assert not result.get("failed"), result.get("msg")
    return [f"{change['action']} {change['object']}" for change in result["plan"]]
