# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that others wrote for the real servers, made to work with the agents: libraries and Ansible modules."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import paramiko
import pytest
import requests
import yaml
from openssh_wrapper import SSHError
from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException
from proxmoxer.tools import Tasks
from pydantic import ValidationError

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
    pytest.mark.filterwarnings("ignore:Unknown (exit|signal)"),
]

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    guests = {100: {"node": "pve1", "name": "web"}, 101: {"node": "pve2", "type": "ct"}}
    return stack_factory(
        {"pve1": {"disks": [{"size": "8G"}, {"size": "4G", "count": 2}]}, "pve2": {}, "pbs1": {"kind": "pbs"}},
        scale=50,
        start={"clustered": {"name": "hatest", "nodes": ["pve1", "pve2"], "guests": guests}},
    )


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    found = Root(stack, "pve1")
    wait_until(lambda: len(found("GET", "/cluster/resources", type="vm")) == 2, 30)
    return found


@pytest.fixture(scope="module")
def password(stack: RunningStack) -> str:
    return str(stack.secrets["root_password"])


# ---- proxmoxer


def _use(api: ProxmoxAPI, name: str) -> None:
    """Read, create, read, refuse, delete: as a script would."""
    assert api.version.get()["release"] == "9.2"
    assert {node["node"] for node in api.nodes.get()} == {"pve1", "pve2"}
    assert api.nodes("pve2").lxc(101).config.get()["hostname"]
    api.pools.post(poolid=name, comment="two words")
    assert {"poolid": name, "comment": "two words"} in api.pools.get()
    # the one over openssh has an error of its own
    with pytest.raises((ResourceException, SSHError)):
        api.pools.post(poolid=name)
    api.pools(name).delete()
    assert api.pools.get() == []


def test_proxmoxer_over_https(root: Root, password: str) -> None:
    api = ProxmoxAPI(root.address, user="root@pam", password=password, verify_ssl=False)
    _use(api, "by-ticket")
    upid = api.nodes("pve1").disks.zfs.post(name="tank", raidlevel="mirror", devices="/dev/sdb,/dev/sdc")
    assert Tasks.blocking_status(api, upid, timeout=60)["exitstatus"] == "OK"
    made = root("POST", "/access/users/root@pam/token/px", privsep=0)
    token = ProxmoxAPI(
        root.address, user="root@pam", token_name="px", token_value=made["value"], verify_ssl=False, service="PVE"
    )
    _use(token, "by-token")


def test_proxmoxer_over_ssh_with_paramiko(root: Root, password: str) -> None:
    _use(ProxmoxAPI(root.address, user="root", password=password, port=2222, backend="ssh_paramiko"), "by-paramiko")


def test_proxmoxer_over_ssh_with_openssh(root: Root, password: str, tmp_path: Path) -> None:
    key, config = tmp_path / "key", tmp_path / "config"
    made = paramiko.RSAKey.generate(2048)
    made.write_private_key_file(str(key))
    config.write_text("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n")
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(root.address, 2222, "root", password, look_for_keys=False, allow_agent=False)
        with client.open_sftp() as files, files.open("/root/.ssh/authorized_keys", "a") as stream:
            stream.write(f"ssh-rsa {made.get_base64()}\n")
    api = ProxmoxAPI(
        root.address, user="root", port=2222, backend="openssh", identity_file=str(key), config_file=str(config)
    )
    _use(api, "by-openssh")


# ---- the generated clients

NAMES: dict[str, Any] = {
    "node": "pve1",
    "vmid": 100,
    "storage": "local",
    "userid": "root@pam",
    "sid": "vm:100",
    "groupid": "none",
    "roleid": "Administrator",
    "realm": "pam",
    "service": "ssh",
}
"""What a reading call may ask for."""

READING = ("get", "read", "list", "index", "status", "show")


def _is_ours(fault: Mapping[str, Any]) -> bool:
    """Whether what a client cannot read is wrong on our side, and not with real servers too: they take what is absent
    for null, and the patterns that were turned into Python's refuse names with hyphens and comments of any kind."""
    return fault["input"] is not None and "must validate the regular expression" not in fault["msg"]


def _readers(module: ModuleType, client: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every reading call of a generated client whose parameters are known."""
    for name, kind in inspect.getmembers(module, inspect.isclass):
        if not name.endswith("Api"):
            continue
        api = kind(client)
        for word, method in inspect.getmembers(api, inspect.ismethod):
            if word.startswith("_") or word.endswith(("_with_http_info", "_without_preload_content")):
                continue
            needed = [
                parameter.name
                for parameter in inspect.signature(method).parameters.values()
                if parameter.default is parameter.empty
            ]
            if any(part in READING for part in word.split("_")) and all(one in NAMES for one in needed):
                yield f"{name}.{word}", method, {one: NAMES[one] for one in needed}


def _read_everything(library: str, base: str, authorization: str, least: int) -> None:
    # here: a thousand generated classes take half a minute to read in, which every run of the tests would pay
    module = importlib.import_module(library)
    configuration = module.Configuration(host=f"{base}/api2/json")
    configuration.verify_ssl = False
    client = module.ApiClient(configuration)
    client.set_default_header("Authorization", authorization)
    parsed, faults, unforeseen = 0, [], []
    for name, method, given in _readers(module, client):
        try:
            method(**given)
        except module.exceptions.ApiException as error:
            # refusals are answers too; whether they are the right ones is told elsewhere
            if error.status not in (400, 403, 404, 424, 500, 501) or error.reason == "Internal Server Error":
                unforeseen.append(f"{name}: {error.status} {error.reason}")
        except ValidationError as error:
            faults += [f"{name}: {fault}" for fault in error.errors() if _is_ours(fault)]
        else:
            parsed += 1
    assert unforeseen == []
    assert faults == []
    assert parsed >= least


def test_clientapi_pve_reads_our_answers(root: Root) -> None:
    made = root("POST", "/access/users/root@pam/token/cl", privsep=0)
    authorization = f"PVEAPIToken={made['full-tokenid']}={made['value']}"
    _read_everything("clientapi_pve", f"https://{root.address}:8006", authorization, 80)


def test_clientapi_pbs_reads_our_answers(stack: RunningStack, password: str) -> None:
    base = f"https://{stack.resolved['hosts']['pbs1']['address']}:8007"
    session = requests.Session()
    session.verify, session.trust_env = False, False
    credentials = {"username": "root@pam", "password": password}
    ticket = session.post(f"{base}/api2/json/access/ticket", data=credentials, timeout=30).json()["data"]
    session.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
    session.cookies.set("PBSAuthCookie", ticket["ticket"])
    answer = session.post(f"{base}/api2/json/access/users/root@pam/token/cl", timeout=30)
    made = answer.json()["data"]
    acl = {"path": "/", "auth-id": "root@pam!cl", "role": "Admin"}
    assert session.put(f"{base}/api2/json/access/acl", data=acl, timeout=30).status_code == 200
    _read_everything("clientapi_pbs", base, f"PBSAPIToken={made['tokenid']}:{made['value']}", 30)


# ---- community.proxmox


@pytest.fixture(scope="module")
def peers() -> Path:
    """Where the collection is; fetched once."""
    done = subprocess.run([PROJECT / "scripts/peer-collection"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"community.proxmox cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def fresh(stack_factory: StackFactory) -> RunningStack:
    """Two nodes that are in no cluster yet."""
    return stack_factory(hosts=2, scale=20)


def _play(peers: Path, where: Path, stack: RunningStack, *tasks: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Run modules of community.proxmox on the controller, as `(name, arguments)`; their results, failures too."""
    access = {
        "api_host": stack.resolved["hosts"]["pve1"]["address"],
        "api_user": "root@pam",
        "api_password": stack.secrets["root_password"],
        "validate_certs": False,
    }
    written: list[dict[str, Any]] = [
        {
            f"community.proxmox.proxmox_{name}": access | arguments,
            "register": f"result{number}",
            "ignore_errors": True,
        }
        for number, (name, arguments) in enumerate(tasks)
    ]
    results = where / "results.json"
    names = ", ".join(f"result{number}" for number in range(len(tasks)))
    written.append({"ansible.builtin.copy": {"content": f"{{{{ [{names}] | to_json }}}}", "dest": str(results)}})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": written}
    file = where / "play.yml"
    file.write_text(yaml.safe_dump([play]))
    settings = where / "ansible.cfg"
    settings.touch()
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(peers),
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", file]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(results.read_text())
    return found


def _changed(results: list[dict[str, Any]]) -> list[bool | str]:
    """What each task says: whether it changed something, or why it failed."""
    return [str(result["msg"]) if result.get("failed") else bool(result["changed"]) for result in results]


def test_community_proxmox_manages_a_cluster(peers: Path, stack: RunningStack, root: Root, tmp_path: Path) -> None:
    """Create, again, change, delete, again, with the results that the modules have on real nodes."""
    user = {"name": "peer@pve", "comment": "c", "email": "a@b.c"}
    storage = {"name": "shelf", "type": "dir", "dir_options": {"path": "/srv/shelf"}, "content": ["backup"]}
    resource = {"name": "vm:100", "max_relocate": 2, "max_restart": 2}
    rule = {"name": "near", "type": "node-affinity", "nodes": ["pve1:10", "pve2:20"], "resources": ["vm:100"]}
    absent = {"state": "absent"}
    results = _play(
        peers,
        tmp_path,
        stack,
        ("node_info", {}),
        ("pool", {"poolid": "peers", "comment": "New pool"}),
        ("pool", {"poolid": "peers", "comment": "New pool"}),
        ("user", user),
        ("user", user),
        ("storage", {**storage, "nodes": ["pve1", "pve2"], "state": "present"}),
        ("storage", {**storage, "nodes": ["pve1", "pve2"], "state": "present"}),
        ("cluster_ha_resources", {**resource, "state": "present"}),
        ("cluster_ha_resources", {**resource, "state": "present"}),
        ("cluster_ha_rules", {**rule, "state": "present"}),
        ("cluster_ha_rules", {**rule, "state": "present"}),
        ("cluster_ha_rules", {"name": "near", **absent}),
        ("cluster_ha_rules", {"name": "near", **absent}),
        ("cluster_ha_resources", {"name": "vm:100", **absent}),
        ("cluster_ha_resources", {"name": "vm:100", **absent}),
        ("storage", {"name": "shelf", "type": "dir", "nodes": ["pve1"], **absent}),
        ("user", {"name": "peer@pve", **absent}),
        ("user", {"name": "peer@pve", **absent}),
        ("pool", {"poolid": "peers", **absent}),
        ("pool", {"poolid": "peers", **absent}),
    )
    assert {node["node"] for node in results[0]["proxmox_nodes"]} == {"pve1", "pve2"}
    # made, there already; taken away, gone already
    made, gone = [True, False], [True, False]
    expected = [*made, *made, *made, *made, *made, *gone, *gone, True, *gone, *gone]
    assert json.dumps(_changed(results[1:])) == json.dumps(expected)


def test_community_proxmox_makes_a_cluster(peers: Path, fresh: RunningStack, tmp_path: Path) -> None:
    hosts = fresh.resolved["hosts"]
    create = {"state": "present", "cluster_name": "peers", "link0": hosts["pve1"]["address"]}
    assert _changed(_play(peers, tmp_path, fresh, ("cluster", create))) == [True]
    member = Root(fresh, "pve1")

    def quorate() -> bool:
        try:
            return any(row.get("quorate") for row in member("GET", "/cluster/status"))
        except Refused:
            return False

    wait_until(quorate, 60)
    join = {
        "state": "present",
        "api_host": hosts["pve2"]["address"],
        "master_ip": hosts["pve1"]["address"],
        "fingerprint": fresh.secrets["hosts"]["pve1"]["fingerprint"],
    }
    assert _changed(_play(peers, tmp_path, fresh, ("cluster", join))) == [True]
    wait_until(lambda: sum(row.get("online", 0) for row in member("GET", "/cluster/status")) == 2, 90)
