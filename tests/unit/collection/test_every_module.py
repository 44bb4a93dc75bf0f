# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every module: documented as it is built, routed, in the action group, danced, its examples run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.quorate.pve.plugins.action.api import run_in_process
from ansible_collections.quorate.pve.plugins.doc_fragments import (
    chosen_backup,
    connection,
    exported,
    notification_endpoints,
    pbs_connection,
    ssh,
    whole_cluster,
)

from ...integration.collection.examples import TURNS
from ...integration.collection.table import all_dances, by_file

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[a-z]*.py"))
RUNTIME = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
FRAGMENTS = {
    "connection": connection.ModuleDocFragment,
    "pbs_connection": pbs_connection.ModuleDocFragment,
    "ssh": ssh.ModuleDocFragment,
    "chosen_backup": chosen_backup.ModuleDocFragment,
    "exported": exported.ModuleDocFragment,
    "notification_endpoints": notification_endpoints.ModuleDocFragment,
    "whole_cluster": whole_cluster.ModuleDocFragment,
}
LINES = 400
REFUSED = frozenset({"_", "bar", "baz", "foo", "tata", "toto", "tutu"})


def load(name: str) -> Any:
    return import_module(f"ansible_collections.quorate.pve.plugins.modules.{name}")


def documented(name: str) -> dict[str, Any]:
    """The module's options with those of its fragments."""
    doc = yaml.safe_load(load(name).DOCUMENTATION)
    options: dict[str, Any] = {}
    for fragment in doc["extends_documentation_fragment"]:
        file, _, part = fragment.removeprefix("quorate.pve.").partition(".")
        text = getattr(FRAGMENTS[file], (part or "documentation").upper())
        # as Ansible does it: of two fragments the first one counts
        options = (yaml.safe_load(text).get("options") or {}) | options
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
    # `off` without quotes is no word, and ansible-doc of ansible-core 2.17 fails of it
    assert all(isinstance(name, str) for name in returned)
    assert "calls" in returned
    assert ("plan" in returned) == ("writes" in module.DOCUMENTATION)
    examples = yaml.safe_load(module.EXAMPLES)
    assert all(f"quorate.pve.{name}" in task or "ansible.builtin" in str(task) for task in examples)


@pytest.mark.parametrize("name", MODULES)
def test_it_is_routed_grouped_and_danced(name: str) -> None:
    dances = all_dances()
    assert RUNTIME["plugin_routing"]["modules"][name] == {"action_plugin": "quorate.pve.api"}
    assert (
        name in RUNTIME["action_groups"][next((each for each in ("pbs", "run") if name.startswith(f"{each}_")), "all")]
    )
    assert name in dances
    # the examples of `name` are carried out, too
    turns = [turn.only for turn in TURNS if turn.module == name]
    examples = sum(f"quorate.pve.{name}" in task for task in yaml.safe_load(load(name).EXAMPLES))
    assert turns in ([None], list(range(examples)))


def test_nothing_else_is_routed() -> None:
    groups = RUNTIME["action_groups"]
    assert (
        sorted(RUNTIME["plugin_routing"]["modules"])
        == sorted(name for group in groups.values() for name in group)
        == MODULES
    )


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


# What a dance cannot turn on: what breaks or overwrites, and is not the same a second time. Tests of their own do.
NEVER_TWICE = {
    "acme_certificates: certificates.force",
    "drill: confirm",
    "node_power: confirm",
    "restore: overwrite",
    "restore: stop",
    "restore_files: overwrite",
    # asks a directory that is not there
    "realm_sync_jobs: jobs.initial_sync",
    # a node without guests, of which there are none in clusters of two
    *(f"{name}: nodes.voter" for name in ("drill", "preflight", "report_data")),
}


def given(name: str) -> Iterator[dict[str, Any]]:
    """The parameters with which a module is run in dances, its own and those that need it."""
    for dances in by_file().values():
        for danced, dance in dances.items():
            yield from dance.steps if danced == name else ()
            yield from (parameters for other, parameters in (*dance.before, *dance.after) if other == name)


def never_on(options: Mapping[str, Any], values: Sequence[Mapping[str, Any]], path: str = "") -> Iterator[str]:
    """The switches that are off unless they are given, and that nobody turns on."""
    for option, words in options.items():
        here = [value[option] for value in values if value.get(option) is not None]
        if words.get("type") == "bool" and words.get("default") is False and not option.startswith("api_"):
            if not any(here):
                yield f"{path}{option}"
        elif words.get("options"):
            inner = [each for value in here for each in (value if isinstance(value, list) else [value])]
            yield from never_on(
                words["options"], [each for each in inner if isinstance(each, dict)], f"{path}{option}."
            )


def test_every_switch_is_turned_on_in_a_dance() -> None:
    """`storages` is left out for the same reason."""
    off = {
        f"{name}: {option}"
        for name in MODULES
        if name != "storages"
        for option in never_on(load(name).ARGUMENT_SPEC, list(given(name)))
    }
    assert not off - NEVER_TWICE


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda path: path.stem)
def test_files_have_one_reason_to_change(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda path: path.stem)
def test_no_name_is_one_that_ansible_test_refuses(path: Path) -> None:
    """Its pylint says so minutes later."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    named = [(node.id, node.lineno) for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    assert [(name, line) for name, line in named if name in REFUSED] == []


def test_secrets_are_masked_in_process(script: Any) -> None:
    script()
    arguments = {"api_hosts": [], "api_password": "geheim", "storages": [{"storage": "s", "password": "auch-geheim"}]}
    result = run_in_process(load("storages"), {**arguments, "nonsense": "geheim"}, False, diff=True)
    assert result["failed"]
    assert "nonsense" in result["msg"]
    assert "geheim" not in str(result)
    assert result["invocation"]["module_args"]["api_user"] == "root@pam"


@pytest.mark.parametrize("name", ["node_power", "drill", "cluster_shutdown", "cluster_startup"])
def test_of_a_power_button_the_password_alone_is_masked(script: Any, name: str) -> None:
    """A word like ``on`` would be masked in every sentence of the result."""
    script()
    power = {"on": ["ipmi", "on"], "ipmi": {"host": "192.0.2.1", "password": "geheim"}}
    node = {"node": "pve1", **(power if name == "node_power" else {"power": power})}
    result = run_in_process(load(name), {"api_hosts": [], "nodes": [node], "nonsense": "geheim"}, False, diff=True)
    assert result["failed"]
    assert "nonsense" in result["msg"]
    assert "geheim" not in str(result)
    assert "********" not in result["msg"]
    assert ["ipmi", "on"] in [
        each.get("on") or each["power"]["on"] for each in result["invocation"]["module_args"]["nodes"]
    ]


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
