# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firewalls of datacenter, node and guest over HTTP (facts §19)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

BASE = "/cluster/firewall"
NODE = "/nodes/pve1/firewall"
GUEST = "/nodes/pve1/qemu/100/firewall"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(hosts=1, scale=100)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve1")
    root.run("POST", "/nodes/pve1/qemu", vmid=100)
    return root


@pytest.fixture(scope="module")
def pve(stack: RunningStack) -> Path:
    """The mirror of /etc/pve."""
    return stack.dir / "hosts" / "pve1" / "root" / "etc" / "pve"


def errors(root: Root, verb: str, path: str, **given: Any) -> dict[str, str]:
    """The texts of a 400, by parameter."""
    with pytest.raises(Refused) as refused:
        root(verb, path, **given)
    assert (refused.value.status, refused.value.reason) == (400, "Parameter verification failed.")
    return refused.value.errors


def reason(root: Root, verb: str, path: str, **given: Any) -> str:
    """The reason of a 500."""
    with pytest.raises(Refused) as refused:
        root(verb, path, **given)
    assert refused.value.status == 500
    return refused.value.reason


def test_indexes(root: Root) -> None:
    assert {row["name"] for row in root("GET", BASE)} == {
        *("aliases", "groups", "ipset", "macros", "options", "refs", "rules")
    }
    assert {row["name"] for row in root("GET", NODE)} == {"log", "options", "rules"}
    assert {row["name"] for row in root("GET", GUEST)} == {*("aliases", "ipset", "log", "options", "refs", "rules")}


def test_options(root: Root, pve: Path) -> None:
    empty = root("GET", f"{BASE}/options")
    assert set(empty) == {"digest"}
    # DROP would keep everybody out who is in no network of the node, and so this client
    root("PUT", f"{BASE}/options", enable=1, policy_in="ACCEPT", digest=empty["digest"])
    found = root("GET", f"{BASE}/options")
    assert (found["enable"], found["policy_in"]) == (1, "ACCEPT")
    assert "detected modified" in reason(root, "PUT", f"{BASE}/options", enable=0, digest=empty["digest"])
    # more than 1 is the second from which on it counts
    root("PUT", f"{BASE}/options", enable=2)
    assert abs(root("GET", f"{BASE}/options")["enable"] - time.time()) < 600
    assert errors(root, "PUT", f"{BASE}/options", delete="nosuch") == {"delete": "no such option 'nosuch'"}
    root("PUT", f"{BASE}/options", delete="enable,policy_in", ebtables=0)
    assert "ebtables: 0" in (pve / "firewall/cluster.fw").read_text()

    root("PUT", f"{NODE}/options", nf_conntrack_max=40000, nosmurfs=1)
    assert root("GET", f"{NODE}/options")["nf_conntrack_max"] == 40000
    assert (pve / "nodes/pve1/host.fw").exists()
    root("PUT", f"{GUEST}/options", policy_in="ACCEPT", dhcp=1)
    assert {"policy_in": "ACCEPT", "dhcp": 1}.items() <= root("GET", f"{GUEST}/options").items()
    helpers = errors(root, "PUT", f"{NODE}/options", nf_conntrack_helpers="ftp,nosuch")
    assert "unknown conntrack helper 'nosuch'" in helpers["nf_conntrack_helpers"]


@pytest.mark.parametrize("path", [f"{NODE}/rules", f"{GUEST}/rules", f"{BASE}/groups/web"])
def test_rules_keep_an_order(root: Root, path: str) -> None:
    if path.startswith(BASE):
        root("POST", f"{BASE}/groups", group="web", comment="servers")
    root("POST", path, type="in", action="accept", macro="SSH", enable=1, comment="from anywhere")
    root("POST", path, type="in", action="DROP", proto="tcp", dport="80,443,1000:2000", source="192.0.2.0/24")
    root("POST", path, type="out", action="REJECT", pos=2, proto="icmp", **{"icmp__type": "echo-request"})
    rules = root("GET", path)
    assert [(rule["pos"], rule["action"], rule["enable"]) for rule in rules] == [
        *((0, "DROP", 0), (1, "ACCEPT", 1), (2, "REJECT", 0))
    ]
    assert (rules[0]["ipversion"], rules[1]["comment"], rules[2]["icmp-type"]) == (4, "from anywhere", "echo-request")

    root("PUT", f"{path}/0", moveto=3)
    assert [rule["action"] for rule in root("GET", path)] == ["ACCEPT", "REJECT", "DROP"]
    root("PUT", f"{path}/2", enable=1, delete="source,comment", digest=root("GET", path)[0]["digest"])
    assert {"enable": 1, "dport": "80,443,1000:2000"}.items() <= root("GET", f"{path}/2").items()
    assert "source" not in root("GET", f"{path}/2")
    assert "detected modified" in reason(root, "DELETE", f"{path}/0", digest=rules[0]["digest"])
    for verb in ("GET", "PUT", "DELETE"):
        assert reason(root, verb, f"{path}/7") == "no rule at position 7"
    for _ in range(3):
        root("DELETE", f"{path}/0")
    assert root("GET", path) == []
    if path.startswith(BASE):
        root("DELETE", f"{BASE}/groups/web")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"action": "ACCEPT", "dport": "22"}, {"proto": "missing property - 'dport' requires this property"}),
        ({"action": "ACCEPT", "proto": "icmp", "sport": "22"}, {"sport": "protocol 'icmp' does not support ports"}),
        ({"action": "JUMP"}, {"action": "unknown action 'JUMP'"}),
        ({"action": "ACCEPT", "macro": "NoSuch"}, {"macro": "unknown macro 'NoSuch'"}),
        ({"action": "ACCEPT", "source": "+nosuch"}, {"source": "no such ipset 'nosuch'"}),
        ({"action": "ACCEPT", "dest": "nosuch"}, {"dest": "no such alias 'nosuch'"}),
        (
            {"action": "ACCEPT", "source": "192.0.2.1", "dest": "2001:db8::1"},
            {"source": "detected mixed ipv4/ipv6 addresses in source/destination"},
        ),
        (
            {"action": "ACCEPT", "proto": "tcp", "icmp-type": "any"},
            {"icmp-type": "protocol 'tcp' does not support ICMP types"},
        ),
        ({"action": "nosuch", "type": "group"}, {"action": "security group 'nosuch' does not exist"}),
        (
            {"action": "ACCEPT", "proto": "tcp", "dport": "70000"},
            {"dport": "invalid format - invalid port '70000'\n"},
        ),
        ({"action": "ACCEPT", "proto": "quux"}, {"proto": "invalid format - unknown protocol 'quux'\n"}),
    ],
)
def test_refused_rules(root: Root, given: dict[str, str], fault: dict[str, str]) -> None:
    assert errors(root, "POST", f"{BASE}/rules", **{"type": "in", **given}) == fault


def test_guests_have_other_rules_than_nodes(root: Root) -> None:
    assert errors(root, "POST", f"{GUEST}/rules", type="forward", action="ACCEPT", iface="vmbr0") == {
        "type": "unknown rule type 'forward'",
        "iface": "invalid interface name for this object type",
    }
    root("POST", f"{NODE}/rules", type="forward", action="ACCEPT", iface="vmbr0")
    root("DELETE", f"{NODE}/rules/0")


def test_groups(root: Root) -> None:
    groups = f"{BASE}/groups"
    root("POST", groups, group="db")
    assert reason(root, "POST", groups, group="db") == "Security group 'db' already exists"
    root("POST", f"{groups}/db", type="in", action="ACCEPT", macro="MySQL")
    root("POST", f"{BASE}/rules", type="group", action="db", enable=1)
    root("POST", groups, group="sql", rename="db", comment="databases")
    assert [(row["group"], row["comment"]) for row in root("GET", groups)] == [("sql", "databases")]
    assert root("GET", f"{BASE}/rules/0")["action"] == "sql"
    assert reason(root, "DELETE", f"{groups}/sql") == "Security group 'sql' is not empty"
    assert reason(root, "GET", f"{groups}/db") == "no such security group 'db'"
    root("DELETE", f"{BASE}/rules/0")
    root("DELETE", f"{groups}/sql/0")
    root("DELETE", f"{groups}/sql")
    assert root("GET", groups) == []


@pytest.mark.parametrize("base", [BASE, GUEST])
def test_sets_and_aliases(root: Root, base: str) -> None:
    root("POST", f"{base}/aliases", name="Office", cidr="192.0.2.0/24", comment="home")
    assert "already exists" in errors(root, "POST", f"{base}/aliases", name="office", cidr="192.0.2.1")["name"]
    (alias,) = root("GET", f"{base}/aliases")
    assert {"name": "Office", "cidr": "192.0.2.0/24", "ipversion": 4, "comment": "home"}.items() <= alias.items()
    root("PUT", f"{base}/aliases/office", cidr="2001:db8::/32", rename="branch")
    assert root("GET", f"{base}/aliases/branch")["ipversion"] == 6

    sets = f"{base}/ipset"
    root("POST", sets, name="Admins", comment="people")
    assert errors(root, "POST", sets, name="admins") == {"name": "IPSet 'admins' already exists"}
    root("POST", f"{sets}/admins", cidr="198.51.100.0/24")
    root("POST", f"{sets}/admins", cidr="198.51.100.9", nomatch=1, comment="not him")
    root("POST", f"{sets}/admins", cidr="branch")
    again = errors(root, "POST", f"{sets}/admins", cidr="branch")
    assert again == {"cidr": "address 'branch' already exists"}
    assert errors(root, "POST", f"{sets}/admins", cidr="nobody") == {"cidr": "no such alias 'nobody'"}
    assert "cidr" in errors(root, "POST", f"{sets}/admins", cidr="0.0.0.0/0")
    members = {row["cidr"]: row for row in root("GET", f"{sets}/admins")}
    assert members["198.51.100.9"]["nomatch"] == 1
    # networks have a slash, which a path may hold as it is
    for written in ("198.51.100.0/24", "198.51.100.0%2F24"):
        assert root("GET", f"{sets}/admins/{written}")["cidr"] == "198.51.100.0/24"
    root("PUT", f"{sets}/admins/198.51.100.0/24", comment="all of it")
    assert root("GET", f"{sets}/admins/198.51.100.0/24")["comment"] == "all of it"

    refs = {row["ref"] for row in root("GET", f"{base}/refs")}
    scope = "dc" if base == BASE else "guest"
    assert {f"{scope}/branch", f"+{scope}/admins"} <= refs
    assert all(row["type"] == "ipset" for row in root("GET", f"{base}/refs", type="ipset"))
    root("POST", f"{base}/rules", type="in", action="ACCEPT", source=f"+{scope}/admins", dest="branch")
    root("DELETE", f"{base}/rules/0")

    assert reason(root, "DELETE", f"{sets}/admins") == "IPSet 'admins' is not empty"
    root("DELETE", f"{sets}/admins/198.51.100.0/24")
    root("POST", sets, name="staff", rename="admins")
    assert reason(root, "GET", f"{sets}/admins") == "no such IPSet 'admins'"
    root("DELETE", f"{sets}/staff", force=1)
    root("DELETE", f"{base}/aliases/branch")
    assert errors(root, "GET", f"{base}/aliases/branch") == {"name": "no such alias 'branch'"}


def test_macros_and_logs(root: Root, stack: RunningStack) -> None:
    assert {"SSH", "HTTPS", "Ceph"} <= {row["macro"] for row in root("GET", f"{BASE}/macros")}
    assert root("GET", f"{NODE}/log") == [{"n": 1, "t": "no content"}]
    log = stack.dir / "hosts/pve1/root/var/log/pve-firewall.log"
    log.write_text(
        "0 6 PVEFW-HOST-IN 22/Nov/2026:01:00:00 +0000 DROP\n100 6 tap100i0-IN 22/Nov/2026:02:00:00 +0000 DROP\n"
    )
    assert len(root("GET", f"{NODE}/log")) == 2
    assert [row["n"] for row in root("GET", f"{NODE}/log", start=1, limit=5)] == [2]
    assert [row["t"].split()[0] for row in root("GET", f"{GUEST}/log")] == ["100"]


def test_a_destroyed_guest_leaves_no_firewall(root: Root, pve: Path) -> None:
    root.run("POST", "/nodes/pve1/qemu", vmid=101)
    root("POST", "/nodes/pve1/qemu/101/firewall/rules", type="in", action="ACCEPT")
    assert (pve / "firewall/101.fw").exists()
    root.run("DELETE", "/nodes/pve1/qemu/101")
    assert not (pve / "firewall/101.fw").exists()
