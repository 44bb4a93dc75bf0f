# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' examples do what they say: each is carried out on a live site, in one run of one playbook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ...stacks import RunningStack, StackFactory
from ...unit.collection.test_every_module import MODULES, ROOT, load
from .examples import TURNS, Turn
from .stage import fill

pytestmark = pytest.mark.long

BIN = Path(sys.executable).parent
PATIENCE = 900
NODES = ("pve1", "pve2", "pve3")
DISKS: list[dict[str, Any]] = [{"size": "32G"}, {"size": "1T", "model": "SSD-A", "count": 2}]
FLASH: dict[str, Any] = {"size": "4T", "model": "NVME-B", "type": "nvme"}
OF_NODE: dict[str, list[dict[str, Any]]] = {
    "pve1": [*DISKS, FLASH, {"size": "1T", "model": "NVME-C", "type": "nvme", "count": 3}],
    "pve2": [*DISKS, FLASH, {"size": "1T", "model": "SSD-A"}],
    "pve3": [*DISKS, {"size": "2T", "model": "HDD-C", "type": "hdd", "count": 3}, FLASH],
}
WRONG = (
    ("an option that is not there", "ha_resources", {"resources": [{"sid": "vm:102", "stat": "started"}]}),
    ("a value that is none", "ha_resources", {"resources": [{"sid": "vm:102", "state": "begun"}]}),
    ("an object that is not there", "pools", {"pools": [{"poolid": "web", "guests": [999]}]}),
)
"""What must fail: otherwise nobody would know that the rest could."""


@dataclass(frozen=True)
class Task:
    """One task of the playbook; `turn` is None for preparations and what must fail."""

    name: str
    content: dict[str, Any]
    turn: Turn | None = None
    wrong: bool = False


def translated(text: str, places: dict[str, str]) -> str:
    """An example with the site's addresses and a day to come in place of those that the documentation makes up."""
    known = {"192.0.2.101": "pbs1", "192.0.2.102": "pbs2", "192.0.2.21": "pbs1", "203.0.113.5": "witness"}
    for number in (1, 2, 3):
        known |= {f"192.0.2.1{number}": f"pve{number}", f"198.51.100.1{number}": f"ring{number}"}
    known |= {"198.51.100.0/24": "ring", "10.0.0.0/24": "mgmt", "10.20.0.0/24": "ceph", "192.0.2.5": "control"}
    for word in sorted(known, key=len, reverse=True):
        text = re.sub(rf"(?<![\d.]){re.escape(word)}(?![\d/])", places[known[word]], text)
    for folder in ("/var/log", "/var/lib/quorate"):
        text = text.replace(f"{folder}/", f"{places['directory']}/")
    return text.replace("2026-11-20T12:00:00Z", places["later"]).replace("ha-pve1", "ha-lab")


def tasks(places: dict[str, str]) -> Iterator[Task]:
    """Preparations and examples, in the table's order, and at the end what must fail."""
    defaults = {"api_hosts": [places["pve1"]], "api_password": places["password"]}
    for turn in TURNS:
        for number, (module, options, *until) in enumerate(turn.before):
            given = fill(options, places)
            if "." not in module:
                api = {**defaults, "api_hosts": [places["pbs1" if module.startswith("pbs_") else "pve1"]]}
                module, given = f"quorate.pve.{module}", {**api, **given}
            patience = {"until": until[0], "retries": 60, "delay": 1, "register": "done"} if until else {}
            yield Task(f"before {turn.module} {number}", {module: given, **patience})
        found = yaml.safe_load(translated(load(turn.module).EXAMPLES, places))
        number = -1
        for task in found:
            own = f"quorate.pve.{turn.module}" in task
            number += own
            if turn.only in (None, number):
                content = {key: value for key, value in task.items() if key != "name"}
                content |= {"check_mode": True} if turn.check else {}
                yield Task(f"{turn.module}: {task['name']}", content, turn)
    for name, module, options in WRONG:
        yield Task(name, {f"quorate.pve.{module}": {**defaults, **options}}, wrong=True)


def play(stack: RunningStack, places: dict[str, str], all_tasks: list[Task]) -> list[dict[str, Any]]:
    """Everything in one play that goes on after failures and writes down what each task returned."""
    directory = places["directory"]
    defaults: dict[str, dict[str, Any]] = {}
    for name in MODULES:
        spec = load(name).ARGUMENT_SPEC
        reached = {"api_trust_file": f"{directory}/trust.json"} if "api_trust_file" in spec else {}
        if "ssh_port" in spec:
            reached |= {"ssh_port": 2222, "ssh_known_hosts": f"{directory}/known_hosts"}
        defaults[f"quorate.pve.{name}"] = reached
    steps: list[dict[str, Any]] = []
    for index, task in enumerate(all_tasks):
        register = task.content.get("register")
        steps.append({"name": task.name, "register": f"result_{index}", **task.content, "ignore_errors": True})
        if register:
            steps.append({"set_fact": {f"result_{index}": f"{{{{ {register} }}}}"}})
    names = ", ".join(f"result_{index}" for index in range(len(all_tasks)))
    steps.append({"copy": {"content": f"{{{{ [{names}] | to_json }}}}", "dest": f"{directory}/results.json"}})
    key = Path(directory, "pve1.key").read_text(encoding="utf-8")
    variables = {
        "_pve_run": {"target": "examples", "directory": directory, "lock": False, "restore_point": False},
        "vault_root_password": places["password"],
        "vault_token": "{{ lookup('ansible.builtin.file', '" + directory + "/secrets/look') }}",
        "vault_pve1_key": key,
        "vault_keys": {"pve1": "pve2c-0123456789", "pve2": "pve2c-1234567890"},
        **{f"vault_{name}": "secret" for name in ("cf_token", "influx_token", "ipmi_password", "ldap_password")},
        "vault_ticket_key": "secret",
        "vault_eab_key": "c2VjcmV0",
        "pve_fingerprint": places["fingerprint1"],
        "pve_zfs_pools": [],
    }
    return [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": defaults,
            "vars": variables,
            "tasks": steps,
        }
    ]


def places_of(stack: RunningStack, directory: Path) -> dict[str, str]:
    """What stands for what in the examples and their preparations."""
    hosts, keys, networks = stack.resolved["hosts"], stack.secrets["hosts"], stack.resolved["networks"]
    found = {name: hosts[name]["addresses"]["mgmt"] for name in hosts}
    for number in (1, 2, 3):
        found[f"ring{number}"] = hosts[f"pve{number}"]["addresses"]["ring1"]
        found[f"fingerprint{number}"] = keys[f"pve{number}"]["fingerprint"]
    return {
        **found,
        "ring": networks["ring1"]["cidr"],
        "mgmt": networks["mgmt"]["cidr"],
        "ceph": networks["ceph"]["cidr"],
        "control": "127.0.0.1",
        "pbs_fingerprint1": keys["pbs1"]["fingerprint"],
        "password": str(stack.secrets["root_password"]),
        "directory": str(directory),
        "state": str(stack.dir),
        "agentstack": str(BIN / "agentstack"),
        "later": (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def furnish(stack: RunningStack, directory: Path) -> Path:
    """What a user has beside a playbook: known hosts, fingerprints, a certificate, an inventory."""
    hosts, keys = stack.resolved["hosts"], stack.secrets["hosts"]
    addresses = {name: host["addresses"]["mgmt"] for name, host in hosts.items()}
    lines = [f"[{address}]:2222 {keys[name]['ssh_host_key']}\n" for name, address in addresses.items()]
    (directory / "known_hosts").write_text("".join(lines))
    shown = {name: keys[name]["fingerprint"] for name in addresses if keys[name].get("fingerprint")}
    trust = {"nodes": {addresses[name]: {"node": name, "fingerprint": shown[name]} for name in shown}}
    (directory / "trust.json").write_text(json.dumps(trust))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pve1.example.org")])
    now = datetime.now(UTC)
    dates = (now, now + timedelta(days=9))
    certificate = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), *dates)
    (directory / "pve1.pem").write_bytes(
        certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "pve1.key").write_bytes(key.private_bytes(*form))
    inventory = directory / "hosts.yml"
    of_host = {name: {f"{name[:3]}_fingerprint": shown[name]} for name in shown}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": {}, **of_host}, "vars": local}}))
    return inventory


@pytest.fixture(scope="module")
def done(stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Task, dict[str, Any]]]:
    """Every task and what it returned."""
    hosts: dict[str, Any] = {
        name: {"kind": "pve", "version": "9.2.4", "memory": "64G", "disks": OF_NODE[name]} for name in NODES
    }
    hosts |= {name: {"kind": "pbs", "version": "4.0"} for name in ("pbs1", "pbs2")}
    hosts["witness"] = {"kind": "witness"}
    networks: dict[str, Any] = {"mgmt": {}, "ring1": {}, "ceph": {}}
    stack = stack_factory(hosts, scale=10, networks=networks)
    directory = tmp_path_factory.mktemp("examples")
    inventory = furnish(stack, directory)
    places = places_of(stack, directory)
    all_tasks = list(tasks(places))
    playbook = directory / "examples.yml"
    playbook.write_text(yaml.safe_dump(play(stack, places, all_tasks), sort_keys=False, width=1000))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "PBS_", "ANSIBLE_"))}
    with (directory / "output.txt").open("w", encoding="utf-8") as output:
        run = subprocess.run(
            [BIN / "ansible-playbook", "-i", inventory, playbook],
            cwd=directory,
            env={
                **clean,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
                "ANSIBLE_NOCOLOR": "1",
            },
            stdout=output,
            stderr=output,
            timeout=PATIENCE,
            check=False,
        )
    assert run.returncode == 0, (directory / "output.txt").read_text(encoding="utf-8")[-6000:]
    results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    return list(zip(all_tasks, results, strict=True))


def failed(result: dict[str, Any]) -> bool:
    return bool(result.get("failed"))


def test_what_they_need_can_be_made(done: list[tuple[Task, dict[str, Any]]]) -> None:
    wrong = [f"{task.name}: {result.get('msg')}" for task, result in done if task.name.startswith("before ")
             and failed(result)]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_each_example_does_what_it_says(done: list[tuple[Task, dict[str, Any]]]) -> None:
    wrong = []
    for task, result in done:
        turn = task.turn
        if turn is None:
            continue
        own = f"quorate.pve.{turn.module}" in task.content
        if not own:
            # an assertion about somebody's site may be false here, but it has to be one
            bad = failed(result) and "evaluated_to" not in result
        elif turn.refused:
            bad = not failed(result) or turn.refused not in str(result.get("msg"))
        else:
            bad = failed(result) or bool(result.get("skipped"))
            bad = bad or (turn.changes is not None and result["changed"] != turn.changes)
        if bad:
            state = (
                "failed" if failed(result) else "skipped" if result.get("skipped") else f"changed: {result['changed']}"
            )
            wrong.append(f"{task.name} ({state}): {result.get('msg', '')}")
    assert not wrong, "\n".join(wrong)


def test_what_is_wrong_fails(done: list[tuple[Task, dict[str, Any]]]) -> None:
    assert [task.name for task, result in done if task.wrong and not failed(result)] == []
