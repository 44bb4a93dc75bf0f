# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every module of the API inside the controller's worker, where no interpreter has to be started for it.

A task that runs elsewhere than on the controller, or asynchronously, or with QUORATE_IN_PROCESS=0 in its environment
or in that of ansible-playbook, is an ordinary module execution.
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
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.quorate.pve.plugins.module_utils import _client, _run
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome
from ansible_collections.quorate.pve.plugins.module_utils._processes import forker
from ansible_collections.quorate.pve.plugins.module_utils._run_records import record
from ansible_collections.quorate.pve.plugins.module_utils._tickets import TicketStore

MODULES = "ansible_collections.quorate.pve.plugins.modules"
SWITCH = "QUORATE_IN_PROCESS"
FACT = "_pve_run"
PLANNING = "_pve_planning"
"""A variable of plays that only look. As ``check_mode`` of a play, Ansible would render it anew for each task."""
SHOWN_FROM = 3
"""The verbosity (-vvv) from which Ansible shows with which arguments a module was called."""


class ActionModule(ActionBase):
    """The one action of this collection's modules."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the task's arguments with the module's own spec, run it, and mask secrets in what it returns."""
        if (task_vars or {}).get(PLANNING):
            self._task.check_mode = True
        result: dict[str, Any] = super().run(tmp, task_vars)
        task = self._of_the_run(task_vars or {})
        module = import_module(f"{MODULES}.{task.module}")
        if not (self._in_process() or getattr(module, "ON_CONTROLLER", False)):
            self._hand_over(task)
            wrap_async = self._task.async_val and not self._connection.has_native_async
            result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
            if not wrap_async:
                self._remove_tmp_path(self._connection._shell.tmpdir)
            if counts := result.pop(_run.COUNTS, None):
                task.counts = _run.Counts(**counts)
        else:
            _run.current = task
            with self._environment():
                shown = Display().verbosity >= SHOWN_FROM
                arguments, check_mode = self._task.args, self._task.check_mode
                result.update(run_in_process(module, arguments, check_mode, diff=self._task.diff, shown=shown))
        record(task, result, name=self._task.get_name(), check_mode=self._task.check_mode)
        return result

    def _of_the_run(self, task_vars: Mapping[str, Any]) -> _run.Task:
        """This task as the run sees it. The fact is there if the role ``safety`` was in the play."""
        fact = task_vars.get(FACT)
        if fact is not None:
            fact = json.loads(json.dumps(self._templar.template(fact), default=str))
        password = self._templar.template(task_vars["pve_ssh_password"]) if "pve_ssh_password" in task_vars else None
        return _run.Task(
            self._task.action.rpartition(".")[2],
            Path(C.DEFAULT_LOCAL_TMP),
            forker(),
            _run.Safety.from_fact(fact) if fact else None,
            host=str(task_vars.get("inventory_hostname", "")),
            ssh_password=str(password) if password else None,
        )

    def _hand_over(self, task: _run.Task) -> None:
        """To a module that is a process of its own on this machine; elsewhere there is no lock to be held."""
        if self._connection.transport == "local":
            environment = {_run.ENVIRONMENT: task.to_environment()}
            self._task.environment = [*(self._task.environment or []), environment]
        elif task.safety is not None and task.safety.plan and not self._task.check_mode:
            raise AnsibleActionFail(
                f"{self._task.action} runs on another machine than this one and cannot be held to the plan "
                f"{task.safety.plan}. Run it here (connection: local)."
            )

    def _in_process(self) -> bool:
        switch = self._wanted_environment().get(SWITCH) or os.environ.get(SWITCH, "1")
        switched_off = switch.lower() in ("0", "no", "false")
        return self._connection.transport == "local" and not self._task.async_val and not switched_off

    def _wanted_environment(self) -> dict[str, str]:
        """``environment:`` of the task."""
        wanted: dict[str, str] = {}
        for block in self._task.environment or []:
            values = self._templar.template(block)
            if isinstance(values, Mapping):
                wanted |= {str(key): str(value) for key, value in values.items()}
        return wanted

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """What a module of its own process would find in place."""
        wanted = self._wanted_environment()
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


def run_in_process(
    module: ModuleType, arguments: Mapping[str, Any], check_mode: bool, *, diff: bool, shown: bool = True
) -> dict[str, Any]:
    """What ``AnsibleModule`` does around a module, for one that is imported.

    Its arguments are in the result if they are ``shown``: of a thousand elements they take their time to be masked, and
    on the way to the process that prints.
    """
    # plain values: what comes from templates carries marks of where it came from
    checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(json.loads(json.dumps(dict(arguments), default=str)))
    secrets = checked._no_log_values
    if checked.error_messages:
        result: dict[str, Any] = {"failed": True, "changed": False, "msg": "; ".join(checked.error_messages)}
    else:
        _client.ticket_store = TicketStore(Path(C.DEFAULT_LOCAL_TMP))
        result = outcome(module.run, checked.validated_parameters, check_mode, diff=diff)
    if shown:
        result["invocation"] = {"module_args": checked.validated_parameters}
    masked: dict[str, Any] = remove_values(result, secrets)
    return masked
