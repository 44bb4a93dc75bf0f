# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine under the API: connections, limits, pages, faults that are ordered, and what must never leak."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentstack import control
from agentstack.commands.fault import set_fault

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, agentstack, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SCALE = 50


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(
        {"pve1": {"disks": [{"size": "8G"}, {"size": "4G", "count": 3}]}, "pve2": {}, "pbs1": {"kind": "pbs"}},
        scale=SCALE,
        start={"clustered": {"name": "hatest", "nodes": ["pve1", "pve2"], "guests": {100: {"node": "pve2"}}}},
    )


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


@pytest.fixture
def faults(stack: RunningStack) -> Iterator[Any]:
    """As `agentstack fault api …`; everything is restored afterwards."""
    yield lambda *words: set_fault(stack.dir, "api", *words)
    control.request(stack.dir, {"do": "clear faults", "kind": None})


def _connect(root: Root) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(root.address, 8006, context=ssl._create_unverified_context(), timeout=20)


# ---- connections and limits


def _raw(root: Root, *heads: str) -> Iterator[str]:
    """The answers to requests as they stand, made over one connection until that is closed."""
    context = ssl._create_unverified_context()
    with (
        socket.create_connection((root.address, 8006), timeout=20) as plain,
        context.wrap_socket(plain) as connection,
    ):
        for head in heads:
            connection.sendall(head.replace("\n", "\r\n").encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
            yield f"{answer.status} {answer.reason} ({answer.getheader('Connection')})"
        assert connection.recv(1) == b"", "the connection is not closed"


def test_a_connection_is_closed_when_the_client_says_so(root: Root) -> None:
    start = "GET /api2/json/access/domains HTTP/1.1\nHost: x\n"
    answers = list(_raw(root, f"{start}\n", f"{start}\n", f"{start}Connection: close\n\n"))
    assert answers == ["200 OK (Keep-Alive)", "200 OK (Keep-Alive)", "200 OK (close)"]
    old = "GET /api2/json/access/domains HTTP/1.0\n\n"
    assert list(_raw(root, old)) == ["200 OK (close)"]


def test_the_head_is_limited(root: Root) -> None:
    start = "GET /api2/json/access/domains HTTP/1.1\nHost: x\n"
    many = "".join(f"X-{number}: 1\n" for number in range(80))
    assert list(_raw(root, f"{start}{many}\n")) == ["501 too many http header lines (close)"]
    long = f"X-Long: {'x' * 9000}\n"
    assert list(_raw(root, f"{start}{long}\n")) == ["501 http header too large (close)"]


def test_a_body_that_is_nested_too_deep_is_refused(root: Root) -> None:
    for depth in (600, 100_000):
        text = '{"a":' + "[" * depth + "]" * depth + "}"
        url = f"https://{root.address}:8006/api2/json/access/ticket"
        answer = requests.post(url, data=text, headers={"Content-Type": "application/json"}, verify=False, timeout=20)
        assert answer.status_code == 501


def test_formats_for_browsers(root: Root) -> None:
    base = f"https://{root.address}:8006/api2"
    shown = requests.get(f"{base}/htmljs/access/domains", verify=False, timeout=20)
    assert shown.headers["Content-Type"] == "text/html;charset=UTF-8"
    assert shown.text.startswith("<html><body>{")
    viewer = requests.get(f"{base}/spiceconfig/access/domains", verify=False, timeout=20)
    assert viewer.text.startswith("[virt-viewer]")
    assert requests.get(f"{base}/xml/access/domains", verify=False, timeout=20).status_code == 501


# ---- pages


def test_the_document_says_what_behaves(root: Root) -> None:
    document = requests.get(f"https://{root.address}:8006/openapi.json", verify=False, timeout=20).json()
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    assert sum(len(verbs) for verbs in paths.values()) >= 300
    create = paths["/cluster/ha/resources"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert create["required"] == ["sid"]
    assert create["properties"]["max_restart"]["minimum"] == 0
    assert "/nodes/{node}/vncwebsocket" not in paths or root("GET", "/nodes/pve1/vncwebsocket") is not None


# ---- faults


def test_calls_are_refused_a_number_of_times(root: Root, faults: Any) -> None:
    faults("pve1", "/cluster/**", "method=GET", "status=503", "count=2")
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            root("GET", "/cluster/status")
        assert (refusal.value.status, refusal.value.reason) == (503, "Service Unavailable")
    assert root("GET", "/cluster/status")
    assert root("PUT", "/cluster/options", keyboard="de") is None


def test_the_order_lasts_until_it_is_taken_back(stack: RunningStack, root: Root, faults: Any) -> None:
    faults("pve1", "/version", "status=595", "reason=No route to host")
    with pytest.raises(Refused) as refusal:
        root("GET", "/version")
    assert (refusal.value.status, refusal.value.reason) == (595, "No route to host")
    assert "/version" in agentstack("fault", "list", "--dir", stack.dir).stdout
    faults("pve1", "/version", "restore")
    assert root("GET", "/version")


def test_a_connection_is_dropped(root: Root, faults: Any) -> None:
    faults("pve1", "/nodes/*/status", "drop", "count=1")
    connection = _connect(root)
    connection.request("GET", "/api2/json/nodes/pve1/status")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)):
        connection.getresponse()
    assert root("GET", "/nodes/pve1/status")


def test_an_answer_is_lost_though_the_call_was_carried_out(root: Root, faults: Any) -> None:
    faults("pve1", "/pools", "method=POST,PUT", "unanswered", "count=1")
    with pytest.raises(requests.exceptions.ConnectionError):
        root("POST", "/pools", poolid="lost")
    assert "lost" in [pool["poolid"] for pool in root("GET", "/pools")]


def test_what_answers_nothing_can_be_ignored(root: Root, faults: Any) -> None:
    faults("pve1", "/pools", "method=POST", "ignore", "count=1")
    assert root("POST", "/pools", poolid="ignored") is None
    assert "ignored" not in [pool["poolid"] for pool in root("GET", "/pools")]
    root("POST", "/pools", poolid="ignored")
    assert "ignored" in [pool["poolid"] for pool in root("GET", "/pools")]


def test_a_task_fails_or_warns(root: Root, faults: Any) -> None:
    given = {"name": "troubled", "raidlevel": "single", "devices": "/dev/sdd"}
    faults("pve1", "/nodes/*/disks/zfs", "method=POST", "fail=command 'zpool' failed", "count=1")
    upid = root("POST", "/nodes/pve1/disks/zfs", **given)
    assert root.end_of(upid) == "command 'zpool' failed"
    assert root.log_of(upid)[-1] == "TASK ERROR: command 'zpool' failed"
    faults("pve1", "/nodes/*/disks/zfs", "restore")
    faults("pve1", "/nodes/*/disks/zfs", "method=POST", "warn=mind the gap", "count=1")
    upid = root("POST", "/nodes/pve1/disks/zfs", **given)
    assert root.end_of(upid) == "WARNINGS: 1"
    assert root.log_of(upid)[-2:] == ["WARN: mind the gap", "TASK WARNINGS: 1"]


def test_a_call_that_is_late_meets_the_proxys_limit(root: Root, faults: Any) -> None:
    """Facts §1.4: a node that asks another one gives up after 30 seconds."""
    faults("pve2", "/nodes/pve2/status", "delay=600s")
    with pytest.raises(Refused) as refusal:
        root("GET", "/nodes/pve2/status")
    assert (refusal.value.status, refusal.value.reason) == (596, "Connection timed out")


def test_a_task_dies_half_way(root: Root, faults: Any) -> None:
    faults("pve1", "/nodes/*/disks/zfs", "method=POST", "die=task")
    upid = root("POST", "/nodes/pve1/disks/zfs", name="tank", raidlevel="mirror", devices="/dev/sdb,/dev/sdc")
    assert root.end_of(upid) == "unexpected status"
    assert not any(line.startswith("TASK ") for line in root.log_of(upid))


def test_a_host_dies_while_a_task_runs(stack: RunningStack, faults: Any) -> None:
    faults("pve2", "/nodes/pve2/qemu", "method=POST", "die=host")
    Root(stack, "pve2")("POST", "/nodes/pve2/qemu", vmid=200)
    wait_until(lambda: stack.host("pve2")["power"] == "off", 30)
    stack.power("on", "pve2")
    stack.wait_ready("pve2", 60)


def test_words_that_are_no_fault_are_refused(stack: RunningStack) -> None:
    for words in (("pve9", "/x", "drop"), ("pve1", "/x", "status=200"), ("pve1", "/x", "die=all"), ("pve1", "/x")):
        done = agentstack("fault", "api", *words, "--dir", stack.dir)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr


# ---- what must not leak


def test_everything_listens_on_loopback_only(stack: RunningStack) -> None:
    inodes = set()
    for pid in stack.pids():
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                name = str(entry.readlink())
            except OSError:
                continue
            if name.startswith("socket:["):
                inodes.add(name[8:-1])
    addresses = set()
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                addresses.add(words[1].partition(":")[0])
    assert addresses
    for address in addresses:
        assert len(address) == 8, f"listens on IPv6 {address}"
        assert struct.pack("<I", int(address, 16))[0] == 127


def test_secrets_stay_out_of_the_logs(stack: RunningStack, root: Root) -> None:
    secrets = [stack.secrets["root_password"]]
    root("POST", "/access/users", userid="leak@pve", password="Geheimes-Wort-1")
    made = root("POST", "/access/users/leak@pve/token/t1", privsep=0)
    secrets += ["Geheimes-Wort-1", made["value"]]
    with pytest.raises(Refused):
        root(
            "POST",
            "/storage",
            storage="shop",
            type="pbs",
            server="127.0.0.1",
            datastore="d",
            password="Geheimes-Wort-2",
        )
    secrets.append("Geheimes-Wort-2")
    with pytest.raises(Refused):
        root("POST", "/access/users", userid="leak@pve", password="Geheimes-Wort-3", nosuch=1)
    secrets.append("Geheimes-Wort-3")
    root("DELETE", "/access/users/leak@pve")
    logs = [*stack.dir.rglob("*.log"), *(path for path in stack.dir.rglob("root/var/log/**/*") if path.is_file())]
    assert len(logs) > 3
    for log in logs:
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log


CLIMBS = st.lists(
    st.sampled_from(["..", "%2e%2e", ".", "secrets.yml", "stack.json", "etc", "root", "\0", "~", "hosts", "a"]),
    min_size=1,
    max_size=12,
).map("/".join)


def _places(document: dict[str, Any]) -> list[str]:
    """GET paths with a parameter that names something (a node apart)."""
    return [path for path, verbs in document["paths"].items() if "get" in verbs and "{" in path.replace("{node}", "")]


def test_no_parameter_leads_out_of_the_hosts_root(stack: RunningStack, root: Root) -> None:
    document = requests.get(f"https://{root.address}:8006/openapi.json", verify=False, timeout=20).json()
    places = _places(document)
    password = stack.secrets["root_password"]
    assert password in (stack.dir / "secrets.yml").read_text()
    session = requests.Session()
    session.verify, session.trust_env = False, False
    credentials = {"username": "root@pam", "password": password}
    ticket = session.post(f"https://{root.address}:8006/api2/json/access/ticket", data=credentials, timeout=20).json()
    cookie = f"PVEAuthCookie={ticket['data']['ticket']}"

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(places), CLIMBS)
    def climb(place: str, value: str) -> None:
        words = place.replace("{node}", "pve1").split("/")
        path = "/".join(quote(value, safe="") if word.startswith("{") else word for word in words)
        connection = _connect(root)
        connection.request("GET", f"/api2/json{path}", headers={"Cookie": cookie})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        assert password not in text
        assert "root_password" not in text
        # a fault of ours has no message of the API's
        assert (answer.status, answer.reason) != (500, "Internal Server Error"), f"GET {path}"

    climb()


def test_one_request_knows_nothing_of_the_one_before(root: Root) -> None:
    """A connection is used again by whoever comes next: nothing of a caller stays with it."""
    connection = _connect(root)
    credentials = json.dumps({"username": "root@pam", "password": root._password})
    connection.request("POST", "/api2/json/access/ticket", credentials, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    ticket = json.loads(answer.read())["data"]["ticket"]
    connection.request("GET", "/api2/json/version", headers={"Cookie": f"PVEAuthCookie={ticket}"})
    answer = connection.getresponse()
    assert (answer.status, bool(answer.read())) == (200, True)
    connection.request("GET", "/api2/json/version")
    answer = connection.getresponse()
    assert (answer.status, answer.reason) == (401, "No ticket")
    assert yaml.safe_load(answer.read() or "null") is None


def test_callers_at_once_get_their_own_answers(root: Root) -> None:
    """Each user may see one pool only; nobody is ever shown another's."""
    numbers = range(1, 5)
    headers = {}
    for number in numbers:
        user = f"own{number}@pve"
        root("POST", "/access/users", userid=user)
        root("POST", "/pools", poolid=f"own{number}")
        root("PUT", "/access/acl", path=f"/pool/own{number}", users=user, roles="PVEPoolUser")
        made = root("POST", f"/access/users/{user}/token/t1", privsep=0)
        headers[number] = {"Authorization": f"PVEAPIToken={made['full-tokenid']}={made['value']}"}

    def seen(number: int) -> set[str]:
        connection = _connect(root)
        found = set()
        for _ in range(25):
            connection.request("GET", "/api2/json/pools", headers=headers[number])
            answer = connection.getresponse()
            found.add(",".join(pool["poolid"] for pool in json.loads(answer.read())["data"]))
        connection.close()
        return found

    with ThreadPoolExecutor(len(numbers)) as callers:
        assert list(callers.map(seen, numbers)) == [{f"own{number}"} for number in numbers]
    for number in numbers:
        root("DELETE", f"/access/users/own{number}@pve")
        root("DELETE", f"/pools/own{number}")
