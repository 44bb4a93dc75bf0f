# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Software-defined networks over HTTP: what is configured, what runs, what is in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SDN = "/cluster/sdn"
SUBNETS = f"{SDN}/vnets/web/subnets"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(hosts=1, scale=100)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    """Two zones and a vnet in each, applied."""
    root = Root(stack, "pve1")
    root("POST", f"{SDN}/zones", zone="plain", type="simple")
    root("POST", f"{SDN}/zones", zone="tagged", type="vlan", bridge="vmbr0", nodes="pve1", mtu=1400)
    root("POST", f"{SDN}/vnets", vnet="web", zone="plain", alias="front")
    root("POST", f"{SDN}/vnets", vnet="db", zone="tagged", tag=5)
    root.run("PUT", SDN)
    return root


def reason(root: Root, verb: str, path: str, **given: Any) -> str:
    """The reason of a 500."""
    with pytest.raises(Refused) as refused:
        root(verb, path, **given)
    assert refused.value.status == 500
    return refused.value.reason


def test_what_is_applied_runs(root: Root, stack: RunningStack) -> None:
    assert {"zones", "vnets", "ipams"} <= {row["id"] for row in root("GET", SDN)}
    (zone,) = root("GET", f"{SDN}/zones", type="vlan")
    assert {"zone": "tagged", "bridge": "vmbr0", "nodes": "pve1", "mtu": 1400}.items() <= zone.items()
    running = Path(stack.dir / "hosts/pve1/root/etc/pve/sdn/.running-config")
    assert json.loads(running.read_text())["vnets"]["ids"]["db"] == {"type": "vnet", "zone": "tagged", "tag": 5}
    assert all("state" not in row for row in root("GET", f"{SDN}/zones", pending=1))


def test_what_is_pending_is_applied_or_taken_back(root: Root) -> None:
    root("PUT", f"{SDN}/vnets/web", alias="back")
    root("POST", f"{SDN}/vnets", vnet="new1", zone="plain")
    root("DELETE", f"{SDN}/vnets/db")
    pending = {row["vnet"]: row for row in root("GET", f"{SDN}/vnets", pending=1)}
    assert {name: row["state"] for name, row in pending.items()} == {"web": "changed", "new1": "new", "db": "deleted"}
    assert (pending["web"]["alias"], pending["web"]["pending"]) == ("front", {"alias": "back"})
    assert {row["vnet"] for row in root("GET", f"{SDN}/vnets", running=1)} == {"web", "db"}
    root("POST", f"{SDN}/rollback")
    assert {row["vnet"]: row.get("alias") for row in root("GET", f"{SDN}/vnets")} == {"web": "front", "db": None}


def test_subnets(root: Root) -> None:
    ranges = ["start-address=10.1.0.10,end-address=10.1.0.20", "start-address=10.1.0.30,end-address=10.1.0.40"]
    root("POST", SUBNETS, type="subnet", subnet="10.1.0.0/24", gateway="10.1.0.1", snat=1, dhcp__range=ranges)
    (subnet,) = root("GET", SUBNETS)
    assert {"subnet": "plain-10.1.0.0-24", "cidr": "10.1.0.0/24", "zone": "plain", "dhcp-range": ranges}.items() <= (
        subnet.items()
    )
    one = f"{SUBNETS}/plain-10.1.0.0-24"
    root("PUT", one, delete="snat", gateway="10.1.0.254")
    assert root("GET", one)["gateway"] == "10.1.0.254"
    assert reason(root, "PUT", one, gateway="10.9.0.1") == (
        "update sdn subnet object failed: Gateway 10.9.0.1 is not in subnet 10.1.0.0/24"
    )
    assert "already defined" in reason(root, "POST", SUBNETS, type="subnet", subnet="10.1.0.0/24")
    assert "Can't delete vnet" in reason(root, "DELETE", f"{SDN}/vnets/web")
    assert "does not exist" in reason(root, "GET", f"{SDN}/vnets/db/subnets/plain-10.1.0.0-24")
    root("DELETE", one)
    assert root("GET", SUBNETS) == []


@pytest.mark.parametrize(
    ("verb", "path", "given", "why"),
    [
        ("POST", "zones", {"zone": "plain", "type": "simple"}, "sdn zone object ID 'plain' already defined"),
        ("POST", "zones", {"zone": "other", "type": "vlan"}, "missing value for required option 'bridge'"),
        ("POST", "zones", {"zone": "other", "type": "simple", "bridge": "x"}, "unexpected property 'bridge'"),
        (
            "POST",
            "zones",
            {"zone": "other", "type": "evpn", "controller": "none", "vrf-vxlan": 1},
            "controller none don't exist",
        ),
        ("POST", "vnets", {"vnet": "other", "zone": "none"}, "zone none doesn't exist"),
        ("POST", "vnets", {"vnet": "other", "zone": "plain", "tag": 7}, "vlan tag is not allowed on simple zone"),
        ("POST", "vnets", {"vnet": "other", "zone": "tagged"}, "missing vlan tag"),
        ("POST", "vnets", {"vnet": "other", "zone": "tagged", "tag": 4095}, "vlan tag max value is 4094"),
        (
            "POST",
            "vnets",
            {"vnet": "other", "zone": "tagged", "tag": 5},
            "tag 5 already exist in vnet db in zone tagged",
        ),
        ("DELETE", "zones/plain", {}, "zone plain is used by vnet web"),
        ("DELETE", "vnets/none", {}, "sdn 'none' does not exist"),
        ("PUT", "zones/none", {}, "sdn 'none' does not exist"),
        ("GET", "zones/none", {}, "sdn 'none' does not exist"),
        ("DELETE", "ipams/pve", {}, "ipam 'pve' is builtin"),
    ],
)
def test_refused_objects(root: Root, verb: str, path: str, given: dict[str, Any], why: str) -> None:
    assert reason(root, verb, f"{SDN}/{path}", **given).endswith(why)


def test_controllers_and_services(root: Root) -> None:
    root("POST", f"{SDN}/controllers", controller="ctl", type="evpn", asn=65000, peers="192.0.2.1")
    root("POST", f"{SDN}/zones", zone="fabric", type="evpn", controller="ctl", vrf__vxlan=10)
    assert "controller ctl is used by fabric" in reason(root, "DELETE", f"{SDN}/controllers/ctl")
    root("DELETE", f"{SDN}/zones/fabric")
    root("PUT", f"{SDN}/controllers/ctl", asn=65001)
    assert root("GET", f"{SDN}/controllers/ctl")["asn"] == 65001
    root("DELETE", f"{SDN}/controllers/ctl")
    root("POST", f"{SDN}/dns", dns="names", type="powerdns", url="http://192.0.2.1", key="k", ttl=60)
    assert [row["dns"] for row in root("GET", f"{SDN}/dns")] == ["names"]
    root("DELETE", f"{SDN}/dns/names")
    root("POST", f"{SDN}/ipams", ipam="box", type="netbox", url="http://192.0.2.1", token="t")
    assert {row["ipam"] for row in root("GET", f"{SDN}/ipams")} == {"pve", "box"}
    root("DELETE", f"{SDN}/ipams/box")


def test_a_lock_keeps_others_out(root: Root) -> None:
    token = root("POST", f"{SDN}/lock")
    assert "locked" in reason(root, "POST", f"{SDN}/lock")
    assert "locked" in reason(root, "PUT", f"{SDN}/vnets/web", alias="x")
    assert "invalid lock-token" in reason(root, "PUT", f"{SDN}/vnets/web", alias="x", lock__token="wrong")
    root("PUT", f"{SDN}/vnets/web", alias="x", lock__token=token)
    root("POST", f"{SDN}/rollback", lock__token=token, release__lock=1)
    root("PUT", f"{SDN}/vnets/web", alias="y")
    assert "pending changes" in reason(root, "POST", f"{SDN}/lock")
    root("POST", f"{SDN}/lock", allow__pending=1)
    root("DELETE", f"{SDN}/lock", force=1)
    root("POST", f"{SDN}/rollback")


def test_vnets_have_a_firewall(root: Root) -> None:
    rules = f"{SDN}/vnets/web/firewall/rules"
    root("POST", rules, type="forward", action="ACCEPT", macro="HTTP", enable=1)
    assert [rule["macro"] for rule in root("GET", rules)] == ["HTTP"]
    with pytest.raises(Refused) as refused:
        root("POST", rules, type="in", action="ACCEPT")
    assert refused.value.errors == {"type": "unknown rule type 'in'"}
    root("PUT", f"{SDN}/vnets/web/firewall/options", policy_forward="DROP")
    assert root("GET", f"{SDN}/vnets/web/firewall/options")["policy_forward"] == "DROP"
    root("DELETE", f"{rules}/0")


def test_rights_on_a_vnet_are_those_on_its_zone(root: Root) -> None:
    root("POST", "/access/users", userid="ann@pve", password="secret-12")
    given = {"username": "ann@pve", "password": "secret-12"}
    base = f"https://{root.address}:8006/api2/json"
    found = requests.post(f"{base}/access/ticket", data=given, verify=False, timeout=20).json()["data"]
    session = requests.Session()
    session.verify, session.trust_env = False, False
    session.cookies.set("PVEAuthCookie", found["ticket"])
    session.headers["CSRFPreventionToken"] = found["CSRFPreventionToken"]
    vnet = f"{base}{SDN}/vnets/web"
    assert session.get(f"{base}{SDN}/vnets", timeout=20).json()["data"] == []
    for path in (vnet, f"{vnet}/subnets", f"{vnet}/firewall/rules"):
        assert session.get(path, timeout=20).status_code == 403
    root("PUT", "/access/acl", path="/sdn/zones/plain", users="ann@pve", roles="PVEAuditor")
    assert [row["vnet"] for row in session.get(f"{base}{SDN}/vnets", timeout=20).json()["data"]] == ["web"]
    for path in (vnet, f"{vnet}/subnets", f"{vnet}/firewall/rules"):
        assert session.get(path, timeout=20).status_code == 200
    assert session.put(vnet, data={"alias": "x"}, timeout=20).status_code == 403
    rule = {"type": "forward", "action": "DROP"}
    assert session.post(f"{vnet}/firewall/rules", data=rule, timeout=20).status_code == 403
