# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creating clusters, joining them and looking before: scripts of what was observed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils import _join, _preflight, _progress
from ansible_collections.quorate.pve.plugins.module_utils._errors import ConnectError, TrustError

from .scripted import Step, get, post, refused

CREATE = "UPID:pve1:00001A00:005725B2:6B021A1B:clustercreate:c1:root@pam:"
JOIN = "UPID:pve2:00001A00:005725B2:6B021A1B:clusterjoin::root@pam:"
OLD, NEW = (":".join([byte] * 32) for byte in ("AA", "BB"))
TICKET = {"ticket": "PVE:root@pam:1::x", "CSRFPreventionToken": "1:x", "username": "root@pam"}
LOGIN = post("/access/ticket", TICKET, username="root@pam", password="p")
LOCKED_OUT = refused("GET", "/cluster/status", 401, "Authentication failed!")


def status(
    cluster: str | None, *online: str, known: tuple[str, ...] = (), quorate: int = 1, local: str = "pve1"
) -> Step:
    names = [*online, *known]
    head = [{"type": "cluster", "name": cluster, "quorate": quorate, "version": 2}] if cluster else []
    nodes = [
        {"type": "node", "name": name, "nodeid": number, "online": int(name in online), "local": int(name == local)}
        for number, name in enumerate(names, 1)
    ]
    return get("/cluster/status", [*nodes, *head])


def config(*names: str) -> Step:
    nodes = [{"node": name, "nodeid": "1", "quorum_votes": "1", "ring0_addr": f"10.0.0.1{name[-1]}"} for name in names]
    return get("/cluster/config/nodes", nodes)


def ended(upid: str, end: str | None) -> Step:
    answer = {"status": "stopped", "exitstatus": end} if end else {"status": "running"}
    return get(f"/nodes/{upid.split(':')[1]}/tasks/{upid}/status", answer)


NODES = get("/nodes", [{"node": "pve1", "ssl_fingerprint": OLD}, {"node": "pve2", "ssl_fingerprint": NEW}])
INFO = get(
    "/cluster/config/join",
    {
        "nodelist": [{"name": "pve1", "ring0_addr": "10.0.0.11", "pve_addr": "10.0.0.11", "pve_fp": OLD}],
        "preferred_node": "pve1",
    },
)
JOINER = [
    LOGIN,
    status(None, "pve2", local="pve2"),
    get("/cluster/resources", [], type="vm"),
    INFO,
    get("/nodes/pve2/tasks", [], source="active", typefilter="clusterjoin"),
]
POST_JOIN = post("/cluster/config/join", JOIN, hostname="10.0.0.11", password="p", fingerprint=OLD, link0="10.0.0.12")
MEMBER: dict[str, Any] = {
    "api_password": "p",
    "api_fingerprints": [OLD],
    "node": "pve2",
    "address": "10.0.0.12",
    "fingerprint": NEW,
    "links": [{"number": 0, "address": "10.0.0.12"}],
}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Certificates that the node shows, one after another; the last one stays. None: nobody there."""
    sequence: list[str | None] = [NEW]

    def show(*_address: Any) -> str:
        now = sequence.pop(0) if len(sequence) > 1 else sequence[0]
        if now is None:
            raise ConnectError("no answer")
        return now

    monkeypatch.setattr(_join, "shown_fingerprint", show)
    monkeypatch.setattr(_preflight, "shown_fingerprint", show)
    return sequence


def test_a_cluster_is_created_and_seen_through_its_restart(run: Any) -> None:
    steps = [
        status(None, "pve1"),
        post("/cluster/config", CREATE, clustername="c1", votes=1, link0="10.0.0.11,priority=5"),
        refused("GET", f"/nodes/pve1/tasks/{CREATE}/status", 401, "Authentication failed!"),
        ended(CREATE, "OK"),
        status("c1", "pve1", quorate=0),
        status("c1", "pve1"),
        config("pve1"),
    ]
    links = [{"number": 0, "address": "10.0.0.11", "priority": 5}]
    result = run("cluster", steps, name="c1", votes=1, links=links)
    assert (result["changed"], result["quorate"], result["nodes"]) == (True, True, ["pve1"])


def test_a_cluster_that_another_run_began(run: Any) -> None:
    begun = refused("POST", "/cluster/config", 500, "cluster config '/etc/pve/corosync.conf' already exists")
    assert run("cluster", [status(None, "pve1"), begun, status("c1", "pve1")], name="c1")["changed"]


@pytest.mark.parametrize("check", [False, True])
def test_a_cluster_that_is_there(run: Any, check: bool) -> None:
    assert not run("cluster", [status("c1", "pve1", "pve2")], check=check, name="c1")["changed"]


def test_a_node_of_another_cluster(run: Any) -> None:
    message = run("cluster", [status("c2", "pve1")], name="c1")["msg"]
    assert "pve1 (192.0.2.11) is a member of the cluster c2, not of c1" in message


def test_links_that_differ(run: Any) -> None:
    links = [{"number": 0, "address": "10.0.0.99"}, {"number": 1, "address": "10.1.0.11"}]
    message = run("cluster", [status("c1", "pve1"), config("pve1")], name="c1", links=links)["msg"]
    assert "link 0 is 10.0.0.11 instead of 10.0.0.99, link 1 is not there instead of 10.1.0.11" in message


def test_a_join_is_followed_at_the_member(run: Any, shown: list[str | None], tmp_path: Path) -> None:
    shown[:] = [OLD, NEW, NEW, NEW]
    trust = tmp_path / "trust.json"
    version = get("/nodes/pve2/version", {})
    steps = [
        LOGIN,
        status("c1", "pve1"),
        *JOINER,
        POST_JOIN,
        ended(JOIN, None),
        status("c1", "pve1", known=("pve2",), quorate=0),
        # its logins die: from now on only the member is asked
        refused("GET", f"/nodes/pve2/tasks/{JOIN}/status", 401, "Authentication failed!"),
        status("c1", "pve1", "pve2"),
        config("pve1", "pve2"),
        refused("GET", f"/nodes/pve2/tasks/{JOIN}/status", 403, "Permission check failed"),
        ended(JOIN, "OK"),
        *[step for _ in range(4) for step in (version, NODES)],
        NODES,
    ]
    result = run("cluster_member", steps, **MEMBER, api_trust_file=str(trust))
    assert (result["changed"], result["nodes"], result["fingerprint"]) == (True, ["pve1", "pve2"], NEW)
    assert json.loads(trust.read_text())["nodes"]["10.0.0.12"]["fingerprint"] == NEW
    assert "'p'" not in str(result)


def test_a_join_tells_what_it_does(
    run: Any, shown: list[str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown[:] = [OLD, NEW, NEW, NEW]
    told: list[str] = []
    monkeypatch.setattr(_progress, "listener", told.append)
    monkeypatch.setattr(_progress, "QUIET", 0.0)
    version, log = get("/nodes/pve2/version", {}), f"/nodes/pve2/tasks/{JOIN}/log"
    steps = [
        LOGIN,
        status("c1", "pve1"),
        *JOINER,
        POST_JOIN,
        ended(JOIN, None),
        get(log, [{"n": 1, "t": "Request addition of this node"}], limit=0),
        status("c1", "pve1", known=("pve2",), quorate=0),
        refused("GET", f"/nodes/pve2/tasks/{JOIN}/status", 401, "Authentication failed!"),
        status("c1", "pve1", "pve2"),
        config("pve1", "pve2"),
        ended(JOIN, "OK"),
        # the rest of the log, through the member
        get(log, [{"n": 2, "t": "successfully joined"}], limit=0, start=1),
        *[step for _ in range(4) for step in (version, NODES)],
        NODES,
    ]
    assert run("cluster_member", steps, **MEMBER, api_trust_file=str(tmp_path / "trust.json"))["changed"]
    assert ["Request addition" in told[0], "successfully joined" in told[1]] == [True, True]
    assert "clusterjoin" in told[0]


def test_a_join_that_fails_says_why(run: Any, shown: list[str | None]) -> None:
    log = [{"n": 1, "t": "* this host already contains virtual guests"}, {"n": 2, "t": "TASK ERROR: x"}]
    steps = [
        LOGIN,
        status("c1", "pve1"),
        *JOINER,
        POST_JOIN,
        ended(JOIN, "Check if node may join a cluster failed!"),
        get(f"/nodes/pve2/tasks/{JOIN}/log", log, limit=0),
    ]
    message = run("cluster_member", steps, **MEMBER)["msg"]
    assert message.startswith("pve2 cannot join c1: the task clusterjoin on pve2 failed: Check if node may join")
    assert "* this host already contains virtual guests" in message


def test_a_join_that_an_earlier_run_began_is_taken_up(run: Any, shown: list[str | None]) -> None:
    version = get("/nodes/pve2/version", {})
    steps = [
        LOGIN,
        status("c1", "pve1", known=("pve2",)),
        config("pve1", "pve2"),
        NODES,
        status("c1", "pve1", "pve2"),
        config("pve1", "pve2"),
        *[step for _ in range(3) for step in (version, NODES)],
        NODES,
    ]
    result = run("cluster_member", steps, **MEMBER)
    assert (result["changed"], result["online"]) == (False, True)


def test_a_member_is_left_alone(run: Any, shown: list[str | None]) -> None:
    steps = [LOGIN, status("c1", "pve1", "pve2"), config("pve1", "pve2"), NODES]
    assert not run("cluster_member", steps, **MEMBER)["changed"]


def test_a_member_that_is_switched_off_is_no_failure(run: Any, shown: list[str | None]) -> None:
    shown[:] = [None]
    result = run("cluster_member", [LOGIN, status("c1", "pve1", known=("pve2",)), NODES], **MEMBER)
    assert result["warnings"] == ["pve2 is a member of c1 and offline"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([status("other", "pve2", local="pve2")], "pve2 is a member of the cluster other already"),
        ([status("c1", "pve2", local="pve2")], "it was removed from it"),
        ([status(None, "pve7", local="pve7")], "the machine at 10.0.0.12 is called pve7, not pve2"),
        (
            [status(None, "pve2", local="pve2"), get("/cluster/resources", [{"vmid": 100}], type="vm")],
            "pve2 has guests (100), and a joining node must have none",
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_nodes_that_must_not_join(run: Any, shown: Any, answers: list[Step], words: str, check: bool) -> None:
    result = run("cluster_member", [LOGIN, status("c1", "pve1"), LOGIN, *answers], check=check, **MEMBER)
    assert words in result["msg"]
    assert not result["changed"]


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ([{"number": 1, "address": "10.1.0.12"}], "c1 has link 0; pve2 has no address on link 0"),
        ([{"number": 0, "address": "10.0.0.12"}, {"number": 1, "address": "x"}], "c1 has link 0, and no link 1"),
        ([{"number": 0, "address": "10.0.0.11"}], "10.0.0.11 is the address of pve1 on link 0"),
    ],
)
def test_links_must_be_those_of_the_cluster(run: Any, shown: Any, links: list[dict[str, Any]], words: str) -> None:
    steps = [LOGIN, status("c1", "pve1"), *JOINER[:-1]]
    assert words in run("cluster_member", steps, **{**MEMBER, "links": links})["msg"]


def test_before_the_cluster_exists(run: Any, shown: Any) -> None:
    result = run("cluster_member", [LOGIN, status(None, "pve1")], check=True, **MEMBER)
    assert (result["changed"], result["unknown"]) == (True, ["pve2: the cluster does not exist yet"])
    assert (
        "is not in a cluster that pve2 could join"
        in run("cluster_member", [LOGIN, status(None, "pve1")], **MEMBER)["msg"]
    )


@pytest.mark.parametrize(
    ("witness", "votes"),
    [
        ({}, {"expected": 2, "present": 1, "quorum": 2, "witness": 0}),
        (
            {"Algorithm": "Fifty-Fifty split", "State": "Connected"},
            {"expected": 3, "present": 2, "quorum": 2, "witness": 1},
        ),
        (
            {"Algorithm": "Fifty-Fifty split", "State": "Connect failed"},
            {"expected": 3, "present": 1, "quorum": 2, "witness": 1},
        ),
    ],
)
def test_the_cluster_in_figures(run: Any, witness: dict[str, str], votes: dict[str, int]) -> None:
    steps = [
        status("c1", "pve1", known=("pve2",)),
        config("pve1", "pve2"),
        get("/cluster/config/qdevice", witness),
        get("/cluster/config/totem", {"token_coefficient": "125"}),
        get("/version", {"version": "9.2.11"}),
    ]
    result = run("cluster_info", steps)
    assert result["votes"] == votes
    assert [(node["name"], node["online"]) for node in result["nodes"]] == [("pve1", True), ("pve2", False)]
    assert result["links"] == [0]


def look(name: str, cluster: str | None = None, guests: tuple[int, ...] = (), version: str = "9.2.11") -> list[Step]:
    steps = [LOGIN, get("/version", {"version": version}), status(cluster, name, local=name)]
    if cluster is None:
        steps.append(get("/cluster/resources", [{"vmid": vmid} for vmid in guests], type="vm"))
    return steps


def preflight(run: Any, monkeypatch: pytest.MonkeyPatch, steps: list[Step], **more: Any) -> list[tuple[str, str, str]]:
    monkeypatch.setattr(_preflight, "side_by_side", lambda work, things: [work(thing) for thing in things])
    nodes = [{"name": name, "address": f"10.0.0.1{name[-1]}"} for name in ("pve1", "pve2")]
    given = {"nodes": nodes, **more}
    result = run("preflight", steps, cluster="c1", api_password="p", witness=len(given["nodes"]) % 2 == 0, **given)
    assert result["errors"] == sum(finding["severity"] == "error" for finding in result["findings"])
    return [(finding["severity"], finding["check"], finding["text"]) for finding in result["findings"]]


def test_nothing_in_the_way(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight(run, monkeypatch, [*look("pve1", guests=(100,)), *look("pve2")]) == []


def test_everything_in_the_way_is_said_at_once(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [*look("pve1", "other", version="8.4.1"), *look("pve7", guests=(100, 101))]
    found = preflight(run, monkeypatch, steps)
    assert [(severity, check) for severity, check, _ in found] == [
        ("error", "name"),
        ("error", "version"),
        ("error", "cluster"),
        ("error", "guests"),
    ]
    assert "pve2 has guests (100, 101)" in found[3][2]


def test_a_login_that_is_refused_is_a_finding(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = refused("POST", "/access/ticket", 401, "authentication failure")
    assert preflight(run, monkeypatch, [*look("pve1"), denied]) == [
        ("error", "login", "10.0.0.12 refuses the login of root@pam: authentication failure")
    ]


def test_a_member_that_is_still_joining_is_not_in_the_way(
    run: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = refused("POST", "/access/ticket", 401, "authentication failure")
    member = [LOGIN, get("/version", {"version": "9.2.11"}), status("c1", "pve1", known=("pve2",))]
    found = preflight(run, monkeypatch, [*member, denied, LOGIN, NODES, denied])
    assert [(severity, check) for severity, check, _ in found] == [("warning", "login")]


def test_a_member_has_another_certificate_by_now(run: Any, shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    member = [LOGIN, get("/version", {"version": "9.2.11"}), status("c1", "pve1", "pve2")]
    again = [LOGIN, get("/version", {"version": "9.2.11"}), status("c1", "pve2", "pve1", local="pve2")]
    untrusted = Step("POST", "/access/ticket", error=TrustError("another certificate"))
    found = preflight(run, monkeypatch, [*member, untrusted, LOGIN, NODES, *again])
    assert [(severity, check) for severity, check, _ in found] == [("info", "fingerprint")]


def test_disks_and_link_addresses_are_looked_at(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = get("/nodes/pve1/network", [{"iface": "vmbr0", "address": "10.0.0.11", "method": "static"}])
    disks = get("/nodes/pve1/disks/list", [{"devpath": "/dev/sdb", "used": "LVM"}], skipsmart=1)
    node = {"name": "pve1", "address": "10.0.0.11", "links": [{"number": 1, "address": "10.1.0.11"}]}
    pools = [
        {"node": "*", "name": "tank", "devices": ["/dev/sdb"]},
        {"node": "*", "name": "there", "devices": ["/dev/x"]},
    ]
    steps = [*look("pve1"), networks, disks, get("/nodes/pve1/disks/zfs", [{"name": "there"}])]
    assert preflight(run, monkeypatch, steps, nodes=[node], zfs_pools=pools) == [
        ("error", "links", "pve1 has no address 10.1.0.11 for link 1; it has 10.0.0.11"),
        ("error", "disks", "/dev/sdb on pve1 is in use (LVM)"),
    ]


def test_disks_for_osds_are_looked_at(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        {"devpath": "/dev/sdb", "used": "ext4", "model": "SSD-A"},
        {"devpath": "/dev/sdc", "model": "PERC H730 Mini", "vendor": "DELL"},
        {"devpath": "/dev/sdd", "used": "LVM", "osdid": 3, "model": "SSD-A"},
    ]
    disks = get("/nodes/pve1/disks/list", found, skipsmart=1)
    node = {"name": "pve1", "address": "10.0.0.11"}
    osds = [
        {"node": "*", "devices": {"model": "SSD-A"}},
        {"node": "pve1", "devices": ["/dev/sdc"]},
        {"node": "pve1", "devices": ["/dev/sdd"]},
    ]
    steps = [*look("pve1"), disks, get("/nodes/pve1/disks/zfs", [])]
    assert preflight(run, monkeypatch, steps, nodes=[node], ceph_osds=osds) == [
        ("error", "disks", "/dev/sdb on pve1 is in use (ext4)"),
        (
            "error",
            "disks",
            "/dev/sdc (0 PERC H730 Mini) on pve1 is behind a RAID controller, which hides failing disks from Ceph",
        ),
    ]


def test_two_nodes_of_one_name_or_address(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"name": "pve1", "address": "10.0.0.11"}
    found = preflight(run, monkeypatch, [*look("pve1"), *look("pve1")], nodes=[node, node])
    assert [text for _, check, text in found if check == "unique"] == [
        "the name pve1 is also that of nodes[0] (pve1)",
        "the address 10.0.0.11 is also that of nodes[0] (pve1)",
    ]
