# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Realms of a directory: users and groups taken over, and logins. The directory is Debian's slapd."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome
from ansible_collections.quorate.pve.plugins.modules import realm_sync_jobs

from agentstack import x509

from ..api_client import Refused, Root
from ..ldap_server import BASE, READ_SECRET, READER, LdapServer, is_there, ldap_server
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = [
    pytest.mark.skipif(not is_there(), reason="slapd is not installed (Debian package slapd)"),
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

REALM = "/access/domains/example"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LdapServer]:
    with ldap_server(tmp_path_factory.mktemp("ldap") / "slapd") as found:
        yield found


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(1, scale=50)


@pytest.fixture(scope="module")
def root(stack: RunningStack, directory: LdapServer) -> Root:
    found = Root(stack, "pve1")
    realm = {"realm": "example", "type": "ldap", "server1": "127.0.0.1", "port": directory.port, "user_attr": "uid"}
    reads = {"base_dn": BASE, "bind_dn": READER, "password": READ_SECRET}
    found("POST", "/access/domains", **realm, **reads, sync_attributes="email=mail,firstname=givenName")
    return found


def users(root: Root) -> dict[str, dict[str, Any]]:
    found = {row["userid"]: row for row in root("GET", "/access/users", full=1)}
    return {name: row for name, row in found.items() if name.endswith("@example")}


def groups(root: Root) -> dict[str, set[str]]:
    return {row["groupid"]: set(filter(None, row["users"].split(","))) for row in root("GET", "/access/groups")}


def sync(root: Root, **given: Any) -> list[str]:
    return root.log_of(root.run("POST", f"{REALM}/sync", **given))


def test_a_synchronisation_needs_a_scope_and_a_directory(root: Root) -> None:
    with pytest.raises(Refused) as caught:
        root("POST", f"{REALM}/sync")
    assert list(caught.value.errors) == ["scope"]
    with pytest.raises(Refused) as caught:
        root("POST", "/access/domains/pve/sync", scope="users")
    assert "Only LDAP/AD realms can be synced" in caught.value.message


def test_users_and_groups_come_and_go(root: Root, directory: LdapServer) -> None:
    log = sync(root, scope="both", dry__run=1)
    assert "adding user 'ann@example'" in log
    assert users(root) == {}
    sync(root, scope="both")
    assert set(users(root)) == {"ann@example", "bob@example"}
    ann = users(root)["ann@example"]
    assert (ann["email"], ann["firstname"], ann["enable"]) == ("ann@example.org", "Ann", 1)
    assert groups(root) == {"staff-example": {"ann@example", "bob@example"}, "admins-example": {"ann@example"}}
    # what was said here stays, what the directory says follows it
    root("PUT", "/access/users/ann@example", comment="ours", lastname="Other")
    directory.change(f"uid=ann,{BASE}", mail="ann@example.net")
    directory.person("eve", "eves")
    sync(root, scope="users", enable__new=0)
    ann, eve = users(root)["ann@example"], users(root)["eve@example"]
    assert (ann["email"], ann["comment"], eve["enable"]) == ("ann@example.net", "ours", 0)
    sync(root, scope="users", remove__vanished="properties")
    assert "comment" not in users(root)["ann@example"]
    # who is gone stays, until that is said
    root("PUT", "/access/acl", path="/vms", roles="PVEAuditor", users="eve@example", groups="admins-example")
    directory.change(f"uid=eve,{BASE}")
    directory.change(f"cn=admins,{BASE}")
    sync(root, scope="both")
    assert "eve@example" in users(root)
    sync(root, scope="both", remove__vanished="acl;entry")
    assert set(users(root)) == {"ann@example", "bob@example"}
    assert set(groups(root)) == {"staff-example"}
    assert root("GET", "/access/acl") == []


def test_defaults_are_the_realms(root: Root) -> None:
    root("PUT", REALM, **{"sync-defaults-options": "scope=users,remove-vanished=entry"})
    assert "syncing users (remove-vanished opts: entry)" in sync(root)
    root("PUT", REALM, delete="sync-defaults-options")


def test_a_job_may_bring_them_at_once(root: Root, stack: RunningStack) -> None:
    sync(root, scope="both", remove__vanished="entry")
    root("DELETE", "/access/users/bob@example")
    arguments = {
        "api_hosts": [root.address],
        "api_password": stack.secrets["root_password"],
        "api_fingerprints": [stack.secrets["hosts"]["pve1"]["fingerprint"]],
        "jobs": [{"id": "nightly", "realm": "example", "schedule": "daily", "scope": "users", "initial_sync": True}],
    }
    checked = ArgumentSpecValidator(realm_sync_jobs.ARGUMENT_SPEC).validate(arguments)
    assert not checked.error_messages
    result = outcome(realm_sync_jobs.run, checked.validated_parameters, False, diff=False)
    assert result["changed"], result
    assert "bob@example" in users(root)
    assert [job["id"] for job in root("GET", "/cluster/jobs/realm-sync")] == ["nightly"]
    root("DELETE", "/cluster/jobs/realm-sync/nightly")


def test_a_job_runs_when_its_time_comes(root: Root) -> None:
    root("DELETE", "/access/users/bob@example")
    job = {"realm": "example", "scope": "users", "schedule": "*:*:*"}
    root("POST", "/cluster/jobs/realm-sync/often", **job)
    wait_until(lambda: "bob@example" in users(root))
    (row,) = root("GET", "/cluster/jobs/realm-sync")
    assert 0 < row["last-run"] < row["next-run"]
    (newest, *_) = root("GET", "/nodes/pve1/tasks", typefilter="auth-realm-sync", source="all")
    assert (newest["user"], newest["id"]) == ("root@pam", "example")
    root("PUT", "/cluster/jobs/realm-sync/often", schedule=job["schedule"], enabled=0)
    assert "next-run" not in root("GET", "/cluster/jobs/realm-sync")[0]
    root("DELETE", "/cluster/jobs/realm-sync/often")


def login(root: Root, user: str, password: str) -> int:
    url = f"https://{root.address}:8006/api2/json/access/ticket"
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data={"username": user, "password": password}, verify=False, timeout=60).status_code


def test_logins(root: Root, directory: LdapServer) -> None:
    sync(root, scope="users")
    assert login(root, "ann@example", "annas") == 200
    assert login(root, "ann@example", "bobs") == 401
    assert login(root, "ann@example", "") in (400, 401)
    # in the directory, and unknown here
    directory.person("new", "neu")
    assert login(root, "new@example", "neu") == 401
    directory.change(f"uid=bob,{BASE}", userPassword="anders")
    assert (login(root, "bob@example", "bobs"), login(root, "bob@example", "anders")) == (401, 200)
    root("PUT", "/access/users/bob@example", enable=0)
    assert login(root, "bob@example", "anders") == 401


def test_what_goes_wrong(root: Root) -> None:
    root("PUT", REALM, password="falsch")
    assert "invalidCredentials" in root.end_of(root("POST", f"{REALM}/sync", scope="users"))
    assert login(root, "ann@example", "annas") == 401
    root("PUT", REALM, password=READ_SECRET, port=1)
    assert root.end_of(root("POST", f"{REALM}/sync", scope="users")) == "failed to connect to 127.0.0.1:1"
    assert login(root, "ann@example", "annas") == 401


def test_certificates_of_the_server(root: Root, stack: RunningStack, directory: LdapServer) -> None:
    bundle = stack.dir / "hosts/pve1/root/etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    plain = {"password": READ_SECRET, "port": directory.port}
    root("PUT", REALM, mode="ldaps", **{**plain, "port": directory.tls_port})
    sync(root, scope="users")
    root("PUT", REALM, verify=1)
    said = root.end_of(root("POST", f"{REALM}/sync", scope="users"))
    assert said == "cannot verify the server: no certificates in /etc/ssl/certs/ca-certificates.crt"
    bundle.write_bytes(x509.make_ca(time.time()).certificate)
    assert root.end_of(root("POST", f"{REALM}/sync", scope="users")).startswith("failed to connect")
    assert login(root, "ann@example", "annas") == 401
    bundle.write_bytes(directory.authority)
    sync(root, scope="users")
    assert login(root, "ann@example", "annas") == 200
    root("PUT", REALM, mode="ldap+starttls", port=directory.port)
    sync(root, scope="users")
    assert login(root, "ann@example", "annas") == 200
    bundle.unlink()
    root("PUT", REALM, mode="ldap", delete="verify")
    sync(root, scope="users")
