# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's own settings: network, services, names, time, packages, certificates, logs (facts §18)."""

from __future__ import annotations

import ssl
import time
from typing import Any

import pytest

from agentstack import x509

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

NODE = "/nodes/pve1"
OLD_DIGEST = "detected modified configuration - file changed by other user? Try again."


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory({"pve1": {"version": "9.2.4"}, "pve2": {}}, scale=50, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


@pytest.fixture(scope="module")
def shell(stack: RunningStack) -> Shell:
    return Shell(stack, "pve1")


def refused(root: Root, verb: str, path: str, **given: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        root(verb, path, **given)
    return caught.value


def changes(root: Root) -> str | None:
    answer = root._session.get(root._url(f"{NODE}/network"), timeout=60).json()
    found: str | None = answer.get("changes")
    return found


def test_network_changes_are_staged_and_applied(stack: RunningStack, root: Root, shell: Shell) -> None:
    network = f"{NODE}/network"
    assert changes(root) is None
    bridge = {"type": "bridge", "cidr": "10.9.9.1/24", "autostart": 1, "bridge_vlan_aware": 1, "comments": "for guests"}
    root("POST", network, iface="vmbr1", **bridge)
    assert refused(root, "POST", network, iface="vmbr1", type="bridge").errors == {"iface": "interface already exists"}
    used = refused(root, "POST", network, iface="bond0", type="bond", slaves="nic0", bond_mode="802.3ad")
    assert used.errors == {"slaves": "nic0 is already used on interface 'vmbr0'."}
    root("POST", network, iface="vmbr1.20", type="vlan", cidr6="fd00::1/64", gateway6="fd00::2")
    taken = refused(root, "PUT", f"{network}/vmbr1", type="bridge", cidr6="fd01::1/64", gateway6="fd01::2")
    assert taken.errors == {"gateway6": "Default gateway already exists on interface 'vmbr1.20'."}
    staged = root("GET", f"{network}/vmbr1")
    assert (staged["cidr"], staged["bridge_vids"], staged["comments"]) == ("10.9.9.1/24", "2-4094", "for guests\n")
    assert "active" not in staged
    assert "+iface vmbr1 inet static\n" in (changes(root) or "")
    assert "vmbr1" not in shell.run("cat /etc/network/interfaces").out
    assert root.run("PUT", network).split(":")[5:7] == ["srvreload", "networking"]
    assert changes(root) is None
    assert root("GET", f"{network}/vmbr1")["active"] == 1
    vlan = root("GET", f"{network}/vmbr1.20")
    assert (vlan["vlan-id"], vlan["vlan-raw-device"], vlan["method6"]) == ("20", "vmbr1", "static")
    # addresses that are not repeated are gone
    root("PUT", f"{network}/vmbr1", type="bridge", mtu=9000)
    kept = root("GET", f"{network}/vmbr1")
    assert (kept["method"], kept["mtu"], kept["autostart"], "cidr" in kept) == ("manual", "9000", 1, False)
    root("DELETE", network)
    assert root("GET", f"{network}/vmbr1")["method"] == "static"
    root("DELETE", f"{network}/vmbr1.20")
    root.run("PUT", network)
    assert refused(root, "GET", f"{network}/vmbr1.20").errors == {"iface": "interface does not exist"}


def test_a_bond_without_its_cards_does_not_come_up(root: Root) -> None:
    root("POST", f"{NODE}/network", iface="bond0", type="bond", slaves="nic8 nic9", bond_mode="802.3ad")
    assert root.end_of(root("PUT", f"{NODE}/network")) == "command 'ifreload -a' failed: exit code 1"
    root("DELETE", f"{NODE}/network/bond0")
    root.run("PUT", f"{NODE}/network")


def test_files_and_settings(root: Root) -> None:
    hosts = root("GET", f"{NODE}/hosts")
    assert refused(root, "POST", f"{NODE}/hosts", data="x", digest="0" * 40).reason == OLD_DIGEST
    root("POST", f"{NODE}/hosts", data=hosts["data"] + "10.0.0.9 other\n", digest=hosts["digest"])
    assert root("GET", f"{NODE}/hosts")["data"].endswith("\n10.0.0.9 other\n")
    root("PUT", f"{NODE}/dns", search="example.org", dns1="10.0.0.1")
    assert root("GET", f"{NODE}/dns") == {"search": "example.org", "dns1": "10.0.0.1"}
    root("PUT", f"{NODE}/time", timezone="Europe/Vienna")
    assert root("GET", f"{NODE}/time")["timezone"] == "Europe/Vienna"
    assert refused(root, "PUT", f"{NODE}/time", timezone="Mars").status == 500
    root("PUT", f"{NODE}/config", description="rack 3", acmedomain0="a.example.org")
    config = root("GET", f"{NODE}/config")
    assert config["description"] == "rack 3\n"
    twice = refused(root, "PUT", f"{NODE}/config", acmedomain1="a.example.org")
    assert list(twice.errors) == ["acmedomain1"]
    assert refused(root, "PUT", f"{NODE}/config", digest="0" * 40, delete="description").reason == OLD_DIGEST
    root("PUT", f"{NODE}/config", digest=config["digest"], delete="description")
    assert "description" not in root("GET", f"{NODE}/config")


def test_subscription_key(root: Root) -> None:
    assert root("GET", f"{NODE}/subscription")["status"] == "notfound"
    root("PUT", f"{NODE}/subscription", key="pve1c-0123456789")
    found = root("GET", f"{NODE}/subscription")
    assert (found["status"], found["level"], found["key"]) == ("new", "c", "pve1c-0123456789")
    root("DELETE", f"{NODE}/subscription")
    assert "key" not in root("GET", f"{NODE}/subscription")


def test_services_are_the_daemons_behind_them(root: Root, shell: Shell) -> None:
    state = f"{NODE}/services/pvestatd/state"
    assert root.run("POST", f"{NODE}/services/pvestatd/stop").split(":")[5:7] == ["srvstop", "pvestatd"]
    assert (root("GET", state)["state"], root("GET", state)["active-state"]) == ("dead", "inactive")
    assert shell.run("systemctl is-active pvestatd").out == "inactive\n"
    root.run("POST", f"{NODE}/services/pvestatd/start")
    assert root("GET", state)["state"] == "running"
    root.run("POST", f"{NODE}/services/pve-ha-lrm/restart")
    root.run("POST", f"{NODE}/services/corosync/stop")
    wait_until(lambda: not _quorate(root), 30)
    root.run("POST", f"{NODE}/services/corosync/start")
    wait_until(lambda: _quorate(root), 30)
    assert refused(root, "POST", f"{NODE}/services/pveproxy/stop").status == 500
    assert refused(root, "POST", f"{NODE}/services/nosuch/stop").status == 400


def _quorate(root: Root) -> bool:
    return bool(next(row for row in root("GET", "/cluster/status") if row["type"] == "cluster")["quorate"])


def test_updates_come_from_repositories_that_answer(root: Root, shell: Shell) -> None:
    update = f"{NODE}/apt/update"
    assert root("GET", update) == []
    assert root.end_of(root("POST", update)) == "command 'apt-get update' failed: exit code 100"
    repositories = root("GET", f"{NODE}/apt/repositories")
    standard = {row["handle"]: row.get("status") for row in repositories["standard-repos"]}
    assert (standard["enterprise"], standard["no-subscription"]) == (1, None)
    for file in repositories["files"]:
        for index, entry in enumerate(file["repositories"]):
            if "enterprise" in entry["URIs"][0]:
                root("POST", f"{NODE}/apt/repositories", path=file["path"], index=index, enabled=0)
    old = refused(root, "PUT", f"{NODE}/apt/repositories", handle="no-subscription", digest=repositories["digest"])
    assert old.reason == OLD_DIGEST
    root("PUT", f"{NODE}/apt/repositories", handle="no-subscription")
    root.run("POST", update)
    pending = {row["Package"]: (row.get("OldVersion"), row["Version"]) for row in root("GET", update)}
    assert pending["pve-manager"] == ("9.2.4", "9.2.11")
    assert "pve-manager/trixie 9.2.11" in shell.run("apt list --upgradable").out
    assert shell.run("apt-get dist-upgrade").status == 1
    assert shell.run("DEBIAN_FRONTEND=noninteractive apt-get -y dist-upgrade").status == 0
    assert root("GET", "/version")["version"] == "9.2.11"
    assert root("GET", update) == []
    assert shell.run("dpkg-query -W -f='${Version}' pve-manager").out == "9.2.11"
    # the new kernel waits for the next boot
    rows = {row["Package"]: row for row in root("GET", f"{NODE}/apt/versions")}
    assert rows["proxmox-ve"]["RunningKernel"] == "6.17.2-1-pve"
    assert "proxmox-kernel-6.17.4-2-pve-signed" in rows


def test_a_certificate_of_ones_own(root: Root) -> None:
    def shown() -> str:
        return x509.fingerprint(ssl.get_server_certificate((root.address, 8006)).encode())

    custom, before = f"{NODE}/certificates/custom", shown()
    pair = x509.make_self_signed("Example", "Test", "pve1.example.org", [], time.time())
    chain, key = pair.certificate.decode(), pair.key.decode()
    assert list(refused(root, "POST", custom, certificates=chain).errors) == ["key"]
    found = root("POST", custom, certificates=chain, key=key, restart=1)
    assert found["fingerprint"] == shown() == x509.fingerprint(pair.certificate)
    assert list(refused(root, "POST", custom, certificates=chain, key=key).errors) == ["force"]
    root("DELETE", custom, restart=1)
    assert shown() == before


def test_logs_and_reports(root: Root) -> None:
    root.run("POST", f"{NODE}/services/cron/restart")
    lines = root("GET", f"{NODE}/syslog", service="pvedaemon", limit=10_000)
    assert any("starting task UPID:pve1" in row["t"] for row in lines)
    first, *entries, last = root("GET", f"{NODE}/journal", lastentries=3)
    assert (len(entries), first != last) == (3, True)
    assert "pve-manager: 9.2.11" in root("GET", f"{NODE}/report")
    assert {row["id"] for row in root("GET", f"{NODE}/capabilities/qemu/machines")} >= {"pc-q35-10.1"}
    figures = root("GET", f"{NODE}/rrddata", timeframe="hour")
    assert len(figures) == 70


def test_a_sleeping_node_is_woken(stack: RunningStack, root: Root) -> None:
    wake = "/nodes/pve2/wakeonlan"
    assert refused(root, "POST", f"{NODE}/wakeonlan").status == 400
    assert refused(root, "POST", wake).reason == "No wake on LAN MAC address defined for 'pve2'!"
    root("PUT", "/nodes/pve2/config", wakeonlan="aa:bb:cc:dd:ee:f0")
    stack.power("off", "pve2")
    wait_until(lambda: stack.host("pve2")["power"] == "off")
    assert root("POST", wake) == "aa:bb:cc:dd:ee:f0"
    assert stack.wait_ready("pve2", 60)["power"] == "on"


def test_commands_about_versions_and_errors(root: Root, shell: Shell) -> None:
    assert "\npve-manager: 9.2.11 (running version: 9.2.11/" in shell.run("pveversion -v").out
    checked = shell.run("pve8to9 --full").out
    assert "PASS: already upgraded to Proxmox VE 9\n" in checked
    assert checked.splitlines()[-1] == "FAILURES: 0"
    missing = shell.run("qm config 999")
    assert (missing.status, missing.err) == (2, "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n")
    assert shell.run("pvesh create /cluster/ha/resources --sid vm:999").status == 17
    assert shell.run("pvesh set /nodes/pve1/dns --nosuch 1").status == 255
    root.run("POST", f"{NODE}/qemu", vmid=900)
    root("PUT", f"{NODE}/qemu/900/config", lock="backup")
    assert refused(root, "PUT", f"{NODE}/qemu/900/config", cores=2).reason == "VM is locked (backup)"
    assert shell.run("qm unlock 900").status == 0
    root("PUT", f"{NODE}/qemu/900/config", cores=2)
