# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that order their certificates: accounts, proofs, what is installed, and what goes wrong."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

ACCOUNT, ORDER = "/cluster/acme/account", "/nodes/pve1/certificates/acme/certificate"
CONFIG = "/nodes/pve1/config"
NAME = "pve1.test.test"
DELEGATED = "dns.example.org"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    account = {"subdomain": "sub1", "username": "u1", "password": "geheim"}
    authority = {"http_port": 8088, "dns": {DELEGATED: account}}
    return stack_factory(2, scale=50, authority=authority, start={"clustered": {"name": "test"}})


@pytest.fixture(scope="module")
def directory(stack: RunningStack) -> str:
    return str(stack.resolved["authority"]["directory"])


@pytest.fixture(scope="module")
def root(stack: RunningStack, directory: str) -> Root:
    """With an account."""
    found = Root(stack, "pve1")
    found.run("POST", ACCOUNT, contact="a@example.org", directory=directory, tos_url=f"{directory}/terms")
    return found


@pytest.fixture(autouse=True)
def plain(stack: RunningStack, root: Root) -> Iterator[None]:
    """Each begins with one domain and no certificate of its own."""
    root("PUT", CONFIG, acme=f"account=default,domains={NAME}")
    yield
    stack.clear_faults("authority")
    root("DELETE", "/nodes/pve1/certificates/custom", restart=1)
    given = [name for name in root("GET", CONFIG) if name.startswith("acme")]
    root("PUT", CONFIG, delete=",".join(given))


def ends(root: Root, verb: str, path: str, **given: Any) -> str:
    """How a task ends that may fail."""
    return root.end_of(root(verb, path, **given))


def own(root: Root, node: str = "pve1") -> dict[str, Any] | None:
    found = root("GET", f"/nodes/{node}/certificates/info")
    return next((each for each in found if each["filename"] == "pveproxy-ssl.pem"), None)


def test_accounts(root: Root, stack: RunningStack, directory: str) -> None:
    assert root("GET", "/cluster/acme/tos", directory=directory) == directory.replace("directory", "terms")
    account = root("GET", f"{ACCOUNT}/default")
    assert (account["account"]["contact"], account["directory"]) == (["mailto:a@example.org"], directory)
    assert "key" not in account
    text = ends(root, "POST", ACCOUNT, name="other", contact="a@example.org", directory=directory)
    assert "userActionRequired" in text
    assert text.startswith(f"Error: POST to {directory.replace('directory', 'new-account')} 403 Forbidden")
    with pytest.raises(Refused) as twice:
        root("POST", ACCOUNT, contact="b@example.org", directory=directory)
    assert twice.value.errors == {"name": "ACME account config file 'default' already exists."}
    agreed = {"contact": "a@example.org", "directory": directory, "tos_url": "x"}
    log = root.log_of(root.run("POST", ACCOUNT, name="other", **agreed))
    assert log[:2] == ["Generating ACME account key..", "Registering ACME account.."]
    assert log[2].startswith("Registration successful, account URL: 'https://")
    # every member has it
    assert {each["name"] for each in Root(stack, "pve2")("GET", ACCOUNT)} == {"default", "other"}
    root.run("PUT", f"{ACCOUNT}/other", contact="b@example.org,c@example.org")
    assert root("GET", f"{ACCOUNT}/other")["account"]["contact"] == ["mailto:b@example.org", "mailto:c@example.org"]
    root.run("DELETE", f"{ACCOUNT}/other")
    assert root("GET", ACCOUNT) == [{"name": "default"}]
    # the name is free again
    root.run("POST", ACCOUNT, name="other", **agreed)
    root.run("DELETE", f"{ACCOUNT}/other")


def test_a_certificate_is_ordered_served_renewed_and_revoked(root: Root, stack: RunningStack) -> None:
    upid = root.run("POST", ORDER)
    assert upid.split(":")[5:7] == ["acmenewcert", ""]
    first = own(root)
    assert first is not None
    assert first["san"] == [NAME]
    context = ssl.create_default_context(cafile=str(stack.dir / "authority/root.pem"))
    assert shown(root.address, context) == first["fingerprint"]
    with pytest.raises(Refused) as there:
        root("POST", ORDER)
    assert list(there.value.errors) == ["force"]
    with pytest.raises(Refused) as early:
        root("PUT", ORDER)
    assert "does not expire within the next 30 days" in early.value.errors["force"]
    assert root.run("PUT", ORDER, force=1).split(":")[5] == "acmerenew"
    second = own(root)
    assert second is not None
    assert shown(root.address, context) == second["fingerprint"] != first["fingerprint"]
    # other members accept it
    assert own(Root(stack, "pve2")) == second
    assert root.run("DELETE", ORDER).split(":")[5] == "acmerevoke"
    assert own(root) is None


def test_a_certificate_that_ends_soon_is_renewed_by_the_node_itself(root: Root, stack: RunningStack) -> None:
    def renewals() -> list[str]:
        tasks = root("GET", "/nodes/pve1/tasks", typefilter="acmerenew", source="all")
        return [task["upid"] for task in tasks if task.get("status") == "OK"]

    root.run("POST", ORDER)
    first, before = own(root), len(renewals())
    # a day later there is nothing to do; of its 90 days 30 are left after 60
    stack.fault("clock", "pve1", "+2d")
    stamp = stack.dir / "hosts/pve1/root/var/lib/systemd/timers/stamp-pve-daily-update.timer"
    wait_until(lambda: float(stamp.read_text()) > time.time() + 86400)
    assert len(renewals()) == before
    stack.fault("clock", "pve1", "+62d")
    try:
        wait_until(lambda: len(renewals()) == before + 1)
    finally:
        stack.clear_faults("clock")
    second = own(root)
    assert first is not None
    assert second is not None
    assert second["fingerprint"] != first["fingerprint"]


def shown(address: str, context: ssl.SSLContext) -> str:
    """The fingerprint of what a node shows to one who trusts the authority."""
    with socket.create_connection((address, 8006), 20) as raw, context.wrap_socket(raw, server_hostname=NAME) as tls:
        digits = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest().upper()
    return ":".join(digits[at : at + 2] for at in range(0, 64, 2))


def test_records_of_acme_dns(root: Root, directory: str) -> None:
    data = {"BASE_URL": directory.removesuffix("/directory"), "USERNAME": "u1", "SUBDOMAIN": "sub1"}

    def encoded(**more: str) -> str:
        lines = "\n".join(f"ACMEDNS_{name}={value}" for name, value in {**data, **more}.items())
        return base64.b64encode(lines.encode()).decode()

    plugin = {"id": "zone", "type": "dns", "validation__delay": 40}
    root("POST", "/cluster/acme/plugins", api="acmedns", data=encoded(PASSWORD="falsch"), **plugin)
    root("PUT", CONFIG, delete="acme", acmedomain0=f"domain={DELEGATED},plugin=zone")
    said = ends(root, "POST", ORDER)
    assert said.endswith(f"proxmox-acme setup acmedns {DELEGATED}' failed: exit code 1")
    root("PUT", "/cluster/acme/plugins/zone", data=encoded(PASSWORD="geheim"))
    log = root.log_of(root.run("POST", ORDER))
    assert "Sleeping 40 seconds to wait for TXT record propagation" in log
    assert (own(root) or {})["san"] == [DELEGATED]
    root("PUT", "/cluster/acme/plugins/zone", api="cf")
    assert "setup cf" in ends(root, "POST", ORDER, force=1)
    root("PUT", "/cluster/acme/plugins/zone", nodes="pve2")
    assert "not available on node 'pve1'" in ends(root, "POST", ORDER, force=1)
    assert "zone" not in {each["plugin"] for each in root("GET", "/cluster/acme/plugins", type="standalone")}
    root("DELETE", "/cluster/acme/plugins/zone")


def test_what_goes_wrong(root: Root, stack: RunningStack, directory: str) -> None:
    with pytest.raises(Refused) as nothing:
        root("DELETE", ORDER)
    assert nothing.value.status == 500
    stack.fault("authority", "ca", "refuse")
    assert ends(root, "POST", ORDER).endswith("failed - status: invalid")
    stack.fault("authority", "ca", "restore")
    stack.fault("authority", "ca", "limit")
    assert "429 Too Many Requests" in ends(root, "POST", ORDER)
    stack.fault("authority", "ca", "restore")
    stack.fault("authority", "ca", "cut")
    place = directory.split("/")[2]
    assert f"500 Can't connect to {place}" in ends(root, "POST", ORDER)
    stack.clear_faults("authority")
    # a proof for a name that leads elsewhere
    root("PUT", CONFIG, acme="account=default,domains=pve2.test.test")
    assert ends(root, "POST", ORDER).endswith("failed - status: invalid")
    root("PUT", CONFIG, acme=f"account=nobody,domains={NAME}")
    assert "ACME account config file 'nobody' does not exist." in ends(root, "POST", ORDER)
    root("PUT", CONFIG, acme="account=default")
    with pytest.raises(Refused) as none:
        root("POST", ORDER)
    assert none.value.message.strip() == "no domains configured in node config"
    assert own(root) is None


@pytest.mark.long
def test_a_firewall_is_in_the_way(root: Root, stack: RunningStack) -> None:
    shell = Shell(stack, "pve1")

    def in_force() -> bool:
        return "pending" not in shell.run("pve-firewall status").out

    rule = {"type": "in", "action": "ACCEPT", "proto": "tcp", "enable": 1, "dport": "22,8006"}
    root("POST", "/cluster/firewall/rules", **rule)
    root("PUT", "/cluster/firewall/options", enable=1, policy_in="DROP")
    try:
        wait_until(in_force)
        assert ends(root, "POST", ORDER).endswith("failed - status: invalid")
        root("PUT", "/cluster/firewall/rules/0", **{**rule, "dport": "22,80,8006"})
        wait_until(in_force)
        root.run("POST", ORDER)
    finally:
        root("PUT", "/cluster/firewall/options", enable=0)
        root("DELETE", "/cluster/firewall/rules/0")
