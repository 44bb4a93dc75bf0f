# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every module of the API inside the controller's worker, where no interpreter has to be started for it.

A task that runs elsewhere than on the controller, or asynchronously, or with QUORATE_IN_PROCESS=0 in the environment
of ansible-playbook, is an ordinary module execution.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible import constants as C
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible_collections.quorate.pve.plugins.module_utils import _client
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome
from ansible_collections.quorate.pve.plugins.module_utils._tickets import TicketStore

MODULES = "ansible_collections.quorate.pve.plugins.modules"
SWITCH = "QUORATE_IN_PROCESS"


class ActionModule(ActionBase):
    """The one action of this collection's modules."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the task's arguments with the module's own spec, run it, and mask secrets in what it returns."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if not self._in_process():
            wrap_async = self._task.async_val and not self._connection.has_native_async
            result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
            if not wrap_async:
                self._remove_tmp_path(self._connection._shell.tmpdir)
            return result
        module = import_module(f"{MODULES}.{self._task.action.rpartition('.')[2]}")
        with self._environment():
            result.update(run_in_process(module, self._task.args, self._task.check_mode, diff=self._task.diff))
        return result

    def _in_process(self) -> bool:
        switched_off = os.environ.get(SWITCH, "1").lower() in ("0", "no", "false")
        return self._connection.transport == "local" and not self._task.async_val and not switched_off

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """``environment:`` of the task, which a module of its own process would find in place."""
        wanted: dict[str, str] = {}
        for block in self._task.environment or []:
            values = self._templar.template(block)
            if isinstance(values, Mapping):
                wanted |= {str(key): str(value) for key, value in values.items()}
        before = {key: os.environ.get(key) for key in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value


def run_in_process(module: ModuleType, arguments: Mapping[str, Any], check_mode: bool, *, diff: bool) -> dict[str, Any]:
    """What ``AnsibleModule`` does around a module, for one that is imported."""
    # plain values: what comes from templates carries marks of where it came from
    checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(json.loads(json.dumps(dict(arguments), default=str)))
    secrets = checked._no_log_values
    if checked.error_messages:
        result: dict[str, Any] = {"failed": True, "changed": False, "msg": "; ".join(checked.error_messages)}
    else:
        _client.ticket_store = TicketStore(Path(C.DEFAULT_LOCAL_TMP))
        result = outcome(module.run, checked.validated_parameters, check_mode, diff=diff)
    result["invocation"] = {"module_args": checked.validated_parameters}
    masked: dict[str, Any] = remove_values(result, secrets)
    return masked
