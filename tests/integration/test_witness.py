# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes and a witness: set up, survive the loss of either, do without it again."""

from __future__ import annotations

import re

import pytest

from ..api_client import Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

NODES = ("pve1", "pve2")


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(
        {
            **{name: {"kind": "pve", "packages": ["corosync-qdevice"]} for name in NODES},
            "lone": {"kind": "pve", "packages": ["corosync-qdevice"]},
            "witness": {"kind": "witness"},
        },
        scale=40,
        networks={"mgmt": {}, "ring0": {}},
        start={
            "clustered": [
                {"name": "two", "nodes": list(NODES), "links": ["ring0"]},
                {"name": "one", "nodes": ["lone"], "links": ["ring0"]},
            ]
        },
    )


def address(stack: RunningStack, name: str) -> str:
    found: str = stack.resolved["hosts"][name]["address"]
    return found


def cluster(stack: RunningStack, name: str) -> dict[str, object]:
    return stack.host(name)["cluster"] or {}


def quorate(stack: RunningStack, *names: str) -> bool:
    return all(cluster(stack, name).get("quorate") for name in names)


def votes(shell: Shell) -> dict[str, int]:
    text = shell.run("corosync-quorumtool -s").out
    return {name: int(re.findall(rf"{name}: +(\d+)", text)[0]) for name in ("Expected votes", "Total votes", "Quorum")}


def test_it_is_set_up_with_a_package_on_every_host(stack: RunningStack) -> None:
    wait_until(lambda: quorate(stack, *NODES))
    where = address(stack, "witness")
    node, witness = Shell(stack, "pve1"), Shell(stack, "witness")
    assert node.run("pvecm qdevice remove").err == "No QDevice configured!\n"
    # the witness has no key of the node yet, and nobody types a password
    assert "Permission denied" in node.run(f"pvecm qdevice setup {where}").err
    key = node.run("cat /root/.ssh/id_rsa.pub").out
    sftp = witness._client.open_sftp()
    with sftp.open("/root/.ssh/authorized_keys", "w") as stream:
        stream.write(key)
    refused = node.run(f"pvecm qdevice setup {where}")
    assert (refused.status, refused.err) == (255, "bash: corosync-qnetd-certutil: command not found\n")
    assert witness.run("systemctl is-active corosync-qnetd").out == "inactive\n"
    assert witness.run("apt-get install -y corosync-qnetd").status == 0
    assert witness.run("systemctl is-active corosync-qnetd").out == "active\n"

    done = node.run(f"pvecm qdevice setup {where}")
    assert done.status == 0, done.err
    assert "INFO: start and enable corosync qdevice daemon on node 'pve2'..." in done.out
    wait_until(lambda: votes(node)["Total votes"] == 3)
    assert votes(node) == {"Expected votes": 3, "Total votes": 3, "Quorum": 2}
    status = node.run("pvecm status").out
    assert "Flags:            Quorate Qdevice" in status
    assert "0x00000000          1            Qdevice" in status
    assert Root(stack, "pve2")("GET", "/cluster/config/qdevice") == {
        "Algorithm": "Fifty-Fifty split",
        "Model": "Net",
        "QNetd host": f"{where}:5403",
        "State": "Connected",
        "Tie-breaker": "Node with lowest node ID",
    }
    assert node.run(f"pvecm qdevice setup {where}").err == "QDevice already configured!\n"
    assert 'Cluster "two"' in witness.run("corosync-qnetd-tool -l").out


def test_an_odd_number_of_nodes_needs_force(stack: RunningStack) -> None:
    wait_until(lambda: quorate(stack, "lone"))
    refused = Shell(stack, "lone").run(f"pvecm qdevice setup {address(stack, 'witness')}")
    # observed: commands
    assert (refused.status, refused.err) == (255, "Clusters with an odd node count are not officially supported!\n")


@pytest.mark.parametrize("lost", ["pve2", "pve1"])
def test_the_other_node_goes_on_alone(stack: RunningStack, lost: str) -> None:
    (left,) = set(NODES) - {lost}
    stack.power("off", lost)
    wait_until(lambda: cluster(stack, left).get("online") == [left] and quorate(stack, left))
    assert cluster(stack, left)["votes"] == 2
    wait_until(lambda: stack.host(lost)["power"] == "off")
    refused = Shell(stack, left).run("pvecm qdevice remove")
    assert refused.err == f"All nodes must be online! Node {lost} is offline, aborting.\n"
    Root(stack, left)("POST", "/pools", poolid=f"without-{lost}")
    stack.power("on", lost)
    stack.wait_ready(lost, 30)
    wait_until(lambda: quorate(stack, *NODES) and cluster(stack, left).get("votes") == 3)


def test_the_nodes_go_on_without_it(stack: RunningStack) -> None:
    stack.power("off", "witness")
    wait_until(lambda: [cluster(stack, name).get("votes") for name in NODES] == [2, 2])
    assert quorate(stack, *NODES)
    wait_until(lambda: stack.host("witness")["power"] == "off")
    stack.power("on", "witness")
    wait_until(lambda: [cluster(stack, name).get("votes") for name in NODES] == [3, 3], 30)


def test_only_one_half_has_the_vote(stack: RunningStack) -> None:
    stack.fault("network", "ring0", "cut")
    # both still reach the witness: the lower node id decides
    wait_until(lambda: quorate(stack, "pve1") and cluster(stack, "pve1").get("online") == ["pve1"])
    wait_until(lambda: not quorate(stack, "pve2"))
    stack.clear_faults()
    wait_until(lambda: quorate(stack, *NODES) and cluster(stack, "pve2").get("votes") == 3)
    # whoever does not reach it has none
    stack.fault("host", "pve1", "cut")
    wait_until(lambda: quorate(stack, "pve2") and cluster(stack, "pve2").get("online") == ["pve2"], 30)
    wait_until(lambda: not quorate(stack, "pve1"))
    stack.clear_faults()
    wait_until(lambda: quorate(stack, *NODES) and cluster(stack, "pve1").get("votes") == 3, 30)


def test_it_is_removed(stack: RunningStack) -> None:
    node = Shell(stack, "pve1")
    done = node.run("pvecm qdevice remove")
    assert done.status == 0, done.err
    assert done.out.endswith("Removed Qdevice.\n")
    wait_until(lambda: votes(node) == {"Expected votes": 2, "Total votes": 2, "Quorum": 2})
    assert "Qdevice" not in node.run("pvecm status").out
    assert Root(stack, "pve1")("GET", "/cluster/config/qdevice") == {}
