# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules share: the connection's options, and how a run becomes a result. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from . import _run
from ._errors import QuorateError

Run = Callable[[Mapping[str, Any], bool], dict[str, Any]]

CONNECTION: dict[str, Any] = {
    "api_hosts": {
        "type": "list",
        "elements": "str",
        "required": True,
        "aliases": ["api_host"],
        "fallback": (env_fallback, ["PVE_HOST"]),
    },
    "api_port": {"type": "int", "default": 8006},
    "api_user": {"type": "str", "default": "root@pam", "fallback": (env_fallback, ["PVE_USER"])},
    "api_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PVE_PASSWORD"])},
    "api_otp": {"type": "str", "no_log": True},
    "api_token_id": {"type": "str", "no_log": False, "fallback": (env_fallback, ["PVE_TOKEN_ID"])},
    "api_token_secret": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PVE_TOKEN_SECRET"])},
    "api_fingerprints": {"type": "list", "elements": "str", "default": []},
    "api_trust_file": {"type": "path"},
    "api_ca_file": {"type": "path"},
    "api_validate_certs": {"type": "bool", "default": True},
    "api_timeout": {"type": "int", "default": 30},
}

PURGE: dict[str, Any] = {
    "purge": {"type": "bool", "default": False},
    "purge_limit": {"type": "str", "default": "20%"},
}


def arguments(**options: Any) -> dict[str, Any]:
    """A module's argument spec: its options with those of the connection."""
    return {**CONNECTION, **options}


def outcome(run: Run, params: Mapping[str, Any], check_mode: bool, *, diff: bool) -> dict[str, Any]:
    """Run a module; an error becomes a result with ``failed``."""
    try:
        try:
            result = run(params, check_mode)
        except _run.StartAgain:
            result = run(params, check_mode)
    except QuorateError as error:
        return {"changed": False, **error.facts(), "failed": True, "msg": str(error)}
    if not diff:
        result.pop("diff", None)
    return result


def finish(module: AnsibleModule, run: Run) -> None:
    """The end of every ``main()``."""
    _run.current = _run.Task.from_environment(module._name)
    result = outcome(run, module.params, module.check_mode, diff=module._diff)
    if _run.current.process:
        result[_run.COUNTS] = asdict(_run.current.counts)
    for text in result.pop("warnings", []):
        module.warn(text)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
