# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every module: documented as it is built, routed, in the action group, and danced."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.quorate.pve.plugins.action.api import run_in_process
from ansible_collections.quorate.pve.plugins.doc_fragments import connection, pbs_connection

from ...integration.collection.table import all_dances

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[a-z]*.py"))
RUNTIME = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
FRAGMENTS = {"connection": connection.ModuleDocFragment, "pbs_connection": pbs_connection.ModuleDocFragment}
LINES = 400


def load(name: str) -> Any:
    return import_module(f"ansible_collections.quorate.pve.plugins.modules.{name}")


def documented(name: str) -> dict[str, Any]:
    """The module's options with those of its fragments."""
    doc = yaml.safe_load(load(name).DOCUMENTATION)
    options: dict[str, Any] = {}
    for fragment in doc["extends_documentation_fragment"]:
        file, _, part = fragment.removeprefix("quorate.pve.").partition(".")
        text = getattr(FRAGMENTS[file], (part or "documentation").upper())
        options |= yaml.safe_load(text).get("options") or {}
    for option, words in (doc.get("options") or {}).items():
        options[option] = {**options.get(option, {}), **words}
    return options


def shape(options: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """What documentation and argument spec have to agree on."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "aliases": option.get("aliases"),
            "suboptions": shape(option[inner], inner) if option.get(inner) else None,
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_the_documentation_is_that_of_the_options(name: str) -> None:
    assert shape(documented(name), "suboptions") == shape(load(name).ARGUMENT_SPEC, "options")


@pytest.mark.parametrize("name", MODULES)
def test_what_is_returned_is_documented(name: str) -> None:
    module = load(name)
    returned = yaml.safe_load(module.RETURN)
    assert all(words.get("description") and words.get("returned") for words in returned.values())
    assert "calls" in returned
    assert ("plan" in returned) == ("writes" in module.DOCUMENTATION)
    examples = yaml.safe_load(module.EXAMPLES)
    assert all(f"quorate.pve.{name}" in task or "ansible.builtin" in str(task) for task in examples)


@pytest.mark.parametrize("name", MODULES)
def test_it_is_routed_grouped_and_danced(name: str) -> None:
    dances = all_dances()
    assert RUNTIME["plugin_routing"]["modules"][name] == {"action_plugin": "quorate.pve.api"}
    assert name in RUNTIME["action_groups"]["pbs" if name.startswith("pbs_") else "all"]
    assert name in dances


def test_nothing_else_is_routed() -> None:
    groups = RUNTIME["action_groups"]
    assert sorted(RUNTIME["plugin_routing"]["modules"]) == sorted([*groups["all"], *groups["pbs"]]) == MODULES


def test_every_option_of_a_list_is_used_in_a_dance() -> None:
    """`storages` is left out: most of its options belong to types of storage that need a server of their own."""
    dances = all_dances()
    unused = []
    for name in sorted({*MODULES} & {*dances}):
        used = str(dances[name])
        for option, words in load(name).ARGUMENT_SPEC.items():
            if option.startswith("api_") or name == "storages":
                continue
            for each in words.get("options") or [option]:
                if f"'{each}'" not in used:
                    unused.append(f"{name}: {option}.{each}")
    assert not unused


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda path: path.stem)
def test_files_have_one_reason_to_change(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


def test_secrets_are_masked_in_process(script: Any) -> None:
    script()
    arguments = {"api_hosts": [], "api_password": "geheim", "storages": [{"storage": "s", "password": "auch-geheim"}]}
    result = run_in_process(load("storages"), {**arguments, "nonsense": "geheim"}, False, diff=True)
    assert result["failed"]
    assert "nonsense" in result["msg"]
    assert "geheim" not in str(result)
    assert result["invocation"]["module_args"]["api_user"] == "root@pam"


def test_the_connection_may_come_from_the_environment(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVE_HOST", "192.0.2.7,192.0.2.8")
    monkeypatch.setenv("PVE_TOKEN_ID", "u@pve!t")
    monkeypatch.setenv("PVE_TOKEN_SECRET", "s")
    seen: dict[str, Any] = {}

    class Module:
        ARGUMENT_SPEC = load("cluster_info").ARGUMENT_SPEC

        @staticmethod
        def run(params: Mapping[str, Any], _check: bool) -> dict[str, Any]:
            seen.update(params)
            return {}

    run_in_process(Module, {}, False, diff=False)  # type: ignore[arg-type]
    assert seen["api_hosts"] == ["192.0.2.7", "192.0.2.8"]
    assert (seen["api_token_id"], seen["api_token_secret"]) == ("u@pve!t", "s")
