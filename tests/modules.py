# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's modules on a live stack, called in this process as its action calls them."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome

MODULES = "ansible_collections.quorate.pve.plugins.modules"


class Failed(AssertionError):
    """A module's failure; `result`: all that it returned."""

    def __init__(self, name: str, result: dict[str, Any]) -> None:
        super().__init__(f"{name}: {result['msg']}")
        self.result = result


class Modules:
    """Calls with root's password to one host of the stack in `state`; the trust file lies beside that."""

    def __init__(self, state: Path, host: str = "pve1") -> None:
        hosts = json.loads((state / "stack.json").read_text())["hosts"]
        secrets = yaml.safe_load((state / "secrets.yml").read_text())
        self.connection: dict[str, Any] = {
            "api_hosts": [hosts[host]["address"]],
            "api_password": secrets["root_password"],
            "api_fingerprints": [secrets["hosts"][name]["fingerprint"] for name in hosts if name in secrets["hosts"]],
            "api_trust_file": str(state.parent / "trust.json"),
        }

    def __call__(self, name: str, /, **parameters: Any) -> dict[str, Any]:
        """What the module returns. Raises Failed."""
        module = import_module(f"{MODULES}.{name}")
        checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate({**self.connection, **parameters})
        assert not checked.error_messages, checked.error_messages
        result = outcome(module.run, checked.validated_parameters, False, diff=False)
        if result.get("failed"):
            raise Failed(name, result)
        return result
