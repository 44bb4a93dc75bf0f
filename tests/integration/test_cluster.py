# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's life as its clients see it: create, join, lose nodes, find them again, delete one."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Callable
from typing import Any

import paramiko
import pytest
import requests

from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

SCALE = 40
NETWORKS = {"mgmt": {}, "ring0": {}, "ring1": {}}
WRONG = ":".join(["AA"] * 32)


class Node:
    """A client of one node's API."""

    def __init__(self, stack: RunningStack, name: str) -> None:
        self.stack = stack
        self.name = name
        self.addresses: dict[str, str] = stack.resolved["hosts"][name]["addresses"]
        self.address = self.addresses["mgmt"]
        self.session = requests.Session()
        self.session.verify = False
        self.session.trust_env = False

    def login(self) -> requests.Response:
        self.session.cookies.clear()
        answer = self.call("POST", "/access/ticket", username="root@pam", password=self.stack.secrets["root_password"])
        if answer.status_code == 200:
            data = answer.json()["data"]
            self.session.cookies.set("PVEAuthCookie", data["ticket"])
            self.session.headers["CSRFPreventionToken"] = data["CSRFPreventionToken"]
        return answer

    def call(self, verb: str, path: str, **parameters: Any) -> requests.Response:
        place = "data" if verb in ("POST", "PUT") else "params"
        url = f"https://{self.address}:8006/api2/json{path}"
        return self.session.request(verb, url, timeout=10, **{place: parameters})

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.call("GET", path, **parameters)
        assert answer.status_code == 200, (answer.status_code, answer.reason)
        return answer.json()["data"]

    def task(self, answer: requests.Response) -> tuple[str, list[str]]:
        """Exit status and log of the task that a call has started; logs in again when the old ticket has died."""
        assert answer.status_code == 200, answer.text
        path = f"/nodes/{self.name}/tasks/{answer.json()['data']}"

        def ended() -> dict[str, Any] | None:
            found = self.call("GET", f"{path}/status")
            if found.status_code == 401:
                self.login()
                return None
            status: dict[str, Any] = found.json()["data"]
            return status if status["status"] == "stopped" else None

        status = wait_until(ended, 20)
        assert status is not None
        return status["exitstatus"], [line["t"] for line in self.get(f"{path}/log", limit=0)]

    def join(self, member: Node, links: tuple[str, ...] = ("ring0", "ring1"), **changed: Any) -> requests.Response:
        parameters = {
            "hostname": member.address,
            "password": self.stack.secrets["root_password"],
            "fingerprint": member.fingerprint(),
            **{f"link{number}": self.addresses[network] for number, network in enumerate(links)},
            **changed,
        }
        return self.call("POST", "/cluster/config/join", **parameters)

    def fingerprint(self) -> str:
        """Of the certificate that the node shows at this moment."""
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((self.address, 8006)))).hexdigest()
        return ":".join(digest[index : index + 2] for index in range(0, 64, 2)).upper()

    def status(self) -> tuple[bool, set[str]]:
        """Whether the cluster is quorate and which nodes are online, as this node sees it."""
        items = self.get("/cluster/status")
        cluster = next((item for item in items if item["type"] == "cluster"), {"quorate": 0})
        return bool(cluster["quorate"]), {item["name"] for item in items if item["type"] == "node" and item["online"]}

    def run(self, line: str) -> tuple[int, str, str]:
        with self.ssh() as client:
            _, out, err = client.exec_command(line)
            return out.channel.recv_exit_status(), out.read().decode(), err.read().decode()

    def ssh(self) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        password = self.stack.secrets["root_password"]
        client.connect(self.address, 2222, "root", password, allow_agent=False, look_for_keys=False, timeout=10)
        return client


def nodes_of(stack: RunningStack) -> list[Node]:
    found = [Node(stack, name) for name in stack.resolved["hosts"]]
    for node in found:
        assert node.login().status_code == 200
    return found


def create(node: Node, name: str = "ha-lab") -> tuple[str, list[str]]:
    links = {f"link{number}": node.addresses[f"ring{number}"] for number in (0, 1)}
    outcome = node.task(node.call("POST", "/cluster/config", clustername=name, **links))
    wait_until(lambda: node.status()[0])
    return outcome


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(4, scale=SCALE, networks=NETWORKS)


@pytest.fixture(scope="module")
def nodes(stack: RunningStack) -> list[Node]:
    return nodes_of(stack)


def settled(nodes: list[Node]) -> Callable[[], bool]:
    """All of these see each other, and a quorum."""
    names = {node.name for node in nodes}
    return lambda: all(node.status() == (True, names) for node in nodes)


def test_before(nodes: list[Node]) -> None:
    answer = nodes[0].call("GET", "/cluster/config/join")
    assert (answer.status_code, answer.reason) == (424, "node is not in a cluster, no join info available!")
    assert nodes[0].get("/cluster/config/nodes") == []
    assert nodes[0].get("/cluster/config/totem") is None
    assert nodes[0].get("/cluster/config/apiversion") == 1
    assert nodes[0].get("/cluster/config/qdevice") == {}
    status, _, error = nodes[0].run("pvecm status")
    assert (status, "does not exist - is this node part of a cluster?" in error) == (255, True)


def test_create(nodes: list[Node]) -> None:
    one = nodes[0]
    bad = one.call("POST", "/cluster/config", clustername="a_cluster")
    assert (bad.status_code, list(bad.json()["errors"])) == (400, ["clustername"])
    exit_status, log = create(one)
    assert exit_status == "OK"
    assert log[0] == "Corosync Cluster Engine Authentication key generator."
    assert log[-2:] == ["Restart corosync and cluster filesystem", "TASK OK"]
    assert one.status() == (True, {"pve1"})
    again = one.call("POST", "/cluster/config", clustername="other")
    assert (again.status_code, again.reason) == (500, "cluster config '/etc/pve/corosync.conf' already exists")


def test_join_information(nodes: list[Node]) -> None:
    found = nodes[0].get("/cluster/config/join")
    (node,) = found["nodelist"]
    assert node["nodeid"] == node["quorum_votes"] == "1"
    assert node["pve_addr"] == nodes[0].address
    assert node["pve_fp"] == nodes[0].fingerprint()
    assert found["totem"]["interface"] == {"0": {"linknumber": "0"}, "1": {"linknumber": "1"}}
    assert found["preferred_node"] == "pve1"


def test_refused_joins_change_nothing(nodes: list[Node]) -> None:
    one, two = nodes[:2]
    before = one.get("/cluster/config/join")["config_digest"]
    missing = two.call("POST", "/cluster/config/join", hostname=one.address, fingerprint=WRONG)
    assert (missing.status_code, list(missing.json()["errors"])) == (400, ["password"])

    assert two.task(two.join(one, password="wrong"))[0] == "401 authentication failure"
    assert two.task(two.join(one, fingerprint=WRONG))[0] == f"fingerprint '{one.fingerprint()}' not verified, abort!"
    nowhere = one.address.rpartition(".")[0] + ".99"
    assert two.task(two.join(one, hostname=nowhere))[0].startswith(f"500 Can't connect to {nowhere}:8006 (")

    status, log = two.task(two.join(one, link1="10.1.2.3"))
    assert status == "Check if node may join a cluster failed!"
    assert "* link1: cannot use IP '10.1.2.3', not found on local node!" in log
    status, log = two.task(two.join(one, links=("ring0",)))
    assert status == "Cluster join aborted!"
    assert any("corosync: link 1 exists in cluster config but wasn't specified for new node" in line for line in log)
    status, log = two.task(two.join(one, links=()))
    assert status == "Cluster join aborted!"
    assert any("fallback only supported on single-link clusters" in line for line in log)

    taken = one.call("POST", "/cluster/config/nodes/pve1", apiversion=1, link0="10.1.2.3", link1="10.1.2.4")
    assert (taken.status_code, taken.reason) == (500, "can't add existing node 'pve1'")
    used = one.call("POST", "/cluster/config/nodes/pve9", apiversion=1, link0=one.addresses["ring0"], link1="10.1.2.4")
    assert used.reason == (
        f"corosync: address '{one.addresses['ring0']}' already used on link ring0_addr by node 'pve1'"
    )

    assert one.get("/cluster/config/join")["config_digest"] == before
    assert two.get("/cluster/config/nodes") == []


def test_a_node_with_guests_is_refused(nodes: list[Node]) -> None:
    one, four = nodes[0], nodes[3]
    with four.ssh() as client, client.open_sftp() as sftp:
        with sftp.open("/etc/pve/qemu-server/100.conf", "w") as stream:
            stream.write("name: precious\n")
        status, log = four.task(four.join(one))
        sftp.remove("/etc/pve/qemu-server/100.conf")
    assert status == "Check if node may join a cluster failed!"
    assert "* this host already contains virtual guests" in log


def test_join(nodes: list[Node]) -> None:
    one, two = nodes[:2]
    before = two.fingerprint()
    old = dict(two.session.cookies), two.session.headers["CSRFPreventionToken"]
    status, log = two.task(two.join(one))
    assert status == "OK"
    assert log[0] == f"Establishing API connection with host '{one.address}'"
    assert {"Login succeeded.", "Request addition of this node", "waiting for quorum...OK"} <= set(log)
    assert log[-2:] == ["successfully added node 'pve2' to cluster.", "TASK OK"]
    wait_until(settled(nodes[:2]))

    assert two.fingerprint() != before
    members = {node["name"]: node for node in one.get("/cluster/config/join")["nodelist"]}
    assert members["pve2"]["pve_fp"] == two.fingerprint()
    assert members["pve2"]["nodeid"] == "2"
    old_session = Node(two.stack, "pve2")
    old_session.session.cookies.update(old[0])
    assert old_session.call("GET", "/version").status_code == 401
    # the same ticket key now: who logged in at one is known at the other
    two.session.cookies.set("PVEAuthCookie", one.session.cookies["PVEAuthCookie"])
    assert two.call("GET", "/version").status_code == 200

    status, log = two.task(two.join(one))
    assert status == "Check if node may join a cluster failed!"
    assert "* cluster config '/etc/pve/corosync.conf' already exists" in log


def test_a_quorate_cluster_goes_on_while_a_third_joins(nodes: list[Node]) -> None:
    one, _, three = nodes[:3]
    started = three.join(one)
    refused = []
    path = f"/nodes/pve3/tasks/{started.json()['data']}/status"
    for number in range(400):
        answer = one.call("PUT", "/cluster/options", description=f"change {number}")
        refused += [answer.reason] if answer.status_code != 200 else []
        if one.status() == (True, {"pve1", "pve2", "pve3"}) and one.call("GET", path).status_code == 200:
            break
    assert three.task(started)[0] == "OK"
    assert refused == []
    wait_until(settled(nodes[:3]))


def test_commands(nodes: list[Node]) -> None:
    one = nodes[0]
    _, out, _ = one.run("pvecm status")
    assert "Name:             ha-lab\nConfig Version:   3\nTransport:        knet\n" in out
    assert "Quorum:           2  \nFlags:            Quorate \n" in out
    assert f"0x00000001          1 {one.addresses['ring0']} (local)\n" in out
    assert "         2          1 pve2\n" in one.run("pvecm nodes")[1]
    assert "\t\tnodeid:          2:\tconnected\n" in one.run("corosync-cfgtool -s")[1]
    assert one.run("pvecm expected 3") == (0, "", "")
    assert one.run("pvecm delnode nosuch")[::2] == (
        255,
        "Node/IP: nosuch is not a known host of the cluster.\n",
    )


def test_configuration_changes_by_file(nodes: list[Node]) -> None:
    def change(text: str) -> None:
        with nodes[1].ssh() as client, client.open_sftp() as sftp:
            with sftp.open("/etc/pve/corosync.conf.new", "w") as stream:
                stream.write(text)
            sftp.posix_rename("/etc/pve/corosync.conf.new", "/etc/pve/corosync.conf")

    def local(node: Node) -> str:
        return node.run("cat /etc/corosync/corosync.conf")[1]

    three = nodes[:3]
    before = local(nodes[0])
    newer = before.replace("config_version: 3", "config_version: 4").replace("debug: off", "debug: on")
    change(newer)
    wait_until(lambda: all(local(node) == newer for node in three))
    wait_until(lambda: "Config Version:   4" in nodes[2].run("pvecm status")[1])
    for refused in (before, "totem {\n"):
        change(refused)
        assert all(node.run("cat /etc/pve/corosync.conf")[1] == refused for node in three)
        assert all(local(node) == newer for node in three)
    change(newer.replace("config_version: 4", "config_version: 5"))
    wait_until(settled(three))


def test_power_loss_and_return(stack: RunningStack, nodes: list[Node]) -> None:
    one, two, three = nodes[:3]
    stack.power("off", "pve3")
    wait_until(lambda: one.status() == (True, {"pve1", "pve2"}))
    assert one.call("PUT", "/cluster/options", description="without pve3").status_code == 200
    stack.power("off", "pve2")
    wait_until(lambda: one.status() == (False, {"pve1"}))
    answer = one.call("DELETE", "/cluster/config/nodes/pve3")
    assert (answer.status_code, answer.reason) == (500, "cluster not ready - no quorum?")
    answer = one.call("PUT", "/cluster/options", description="no")
    assert answer.reason == "cfs-lock 'file-datacenter_cfg' error: no quorum!"
    assert "Activity blocked" in one.run("pvecm status")[1]
    for name in ("pve3", "pve2"):
        stack.power("on", name)
    for name in ("pve3", "pve2"):
        stack.wait_ready(name)
    wait_until(settled([one, two, three]))
    assert three.get("/cluster/options")["description"] == "without pve3\n"


def test_delete(stack: RunningStack, nodes: list[Node]) -> None:
    one, two, three = nodes[:3]
    assert one.call("DELETE", "/cluster/config/nodes/pve1").reason == "Cannot delete myself from cluster!"
    unknown = one.call("DELETE", "/cluster/config/nodes/pve9")
    assert (unknown.status_code, unknown.reason) == (500, "Node/IP: pve9 is not a known host of the cluster.")
    stack.power("off", "pve3")
    wait_until(lambda: one.status() == (True, {"pve1", "pve2"}))
    version = int(one.get("/cluster/config/totem")["config_version"])
    deleted = one.call("DELETE", "/cluster/config/nodes/pve3")
    assert (deleted.status_code, deleted.json()["data"]) == (200, None)
    assert int(one.get("/cluster/config/totem")["config_version"]) == version + 1
    assert {node["name"] for node in one.get("/cluster/config/nodes")} == {"pve1", "pve2"}
    wait_until(settled([one, two]))
    assert one.run("ls /etc/pve/nodes")[1].split() == ["pve1", "pve2", "pve3"]
    # it still believes to be a member; nobody else does
    stack.power("on", "pve3")
    stack.wait_ready("pve3")
    assert three.login().status_code == 200
    assert three.status()[0] is False
    assert one.status() == (True, {"pve1", "pve2"})


def test_two_joins_at_once(stack_factory: StackFactory) -> None:
    one, two, three = nodes_of(stack_factory(3, scale=SCALE, networks=NETWORKS))
    create(one)
    started = [(node, node.join(one)) for node in (two, three)]
    joined = {"pve1"}
    for node, answer in started:
        log = (node.stack.dir / "hosts" / node.name / "root/var/log/pve/tasks").glob(f"*/{answer.json()['data']}")
        path = next(log)
        # the API of a node that is cut off half-way lets nobody in
        last = wait_until(lambda path=path: re.search(r"^TASK .*", path.read_text(), re.MULTILINE), 20)
        assert last is not None
        assert last[0] in (
            "TASK OK",
            "TASK ERROR: Cluster join aborted!",
            f"TASK ERROR: unable to create directory '/etc/pve/nodes/{node.name}' - Permission denied",
        )
        joined |= {node.name} if last[0] == "TASK OK" else set()
    assert len(joined) >= 2
    wait_until(lambda: one.status() == (True, joined))


def test_join_over_ssh(stack_factory: StackFactory) -> None:
    one, two, three = nodes_of(stack_factory(3, scale=SCALE, networks=NETWORKS))
    assert one.run("pvecm create ha-ssh")[::2] == (0, "")
    wait_until(lambda: one.status()[0])
    password = one.stack.secrets["root_password"]
    with two.ssh() as client:
        stdin, out, _ = client.exec_command(f"pvecm add {one.address} --use_ssh")
        stdin.write(f"{password}\n")
        stdin.channel.shutdown_write()
        assert out.channel.recv_exit_status() == 0
        assert out.read().decode().endswith("successfully added node 'pve2' to cluster.\n")
    with three.ssh() as client:
        stdin, out, _ = client.exec_command(f"pvecm add {one.address} --fingerprint {one.fingerprint()}")
        stdin.write(f"{password}\n")
        stdin.channel.shutdown_write()
        assert out.channel.recv_exit_status() == 0
    for node in (two, three):
        node.login()
    wait_until(settled([one, two, three]))
