# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is out of the ordinary about the modules of access and notifications."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, ClassVar

import pytest

from .scripted import delete, get, post, put, refused

USERS = [
    {"userid": "root@pam", "enable": 1, "realm-type": "pam", "tokens": [{"tokenid": "t", "privsep": 0, "expire": 0}]},
    {"userid": "ann@pve", "enable": 1, "realm-type": "pve", "groups": "b,a", "tokens": [{"tokenid": "laptop"}]},
    {"userid": "eve@example", "enable": 1, "realm-type": "ldap"},
]
LIST = get("/access/users", USERS, full=1)
ROLES = [
    {"roleid": "Administrator", "privs": "VM.Audit,Sys.Audit", "special": 1},
    {"roleid": "Operator", "privs": "VM.Audit", "special": 0},
]
TARGETS = get("/cluster/notifications/targets", [{"name": "mail-to-root", "type": "sendmail", "origin": "builtin"}])


class TestUsers:
    """Who may log in."""

    def test_nothing_to_do_is_one_call(self, run: Any) -> None:
        result = run("users", [LIST], users=[{"userid": "ann@pve", "groups": ["a", "b"], "enable": True}])
        assert (result["changed"], result["calls"]) == (False, 1)

    def test_a_purge_spares_this_login_and_the_users_of_directories(self, run: Any) -> None:
        steps = [LIST, delete("/access/users/ann@pve"), get("/access/users", [USERS[0], USERS[2]], full=1)]
        result = run("users", steps, users=[], purge=True)
        assert [change["object"] for change in result["plan"]] == ["user ann@pve"]

    def test_nobody_takes_their_own_login_away(self, run: Any) -> None:
        result = run("users", [LIST], users=[{"userid": "root@pam", "state": "absent"}])
        assert result["msg"] == "users[0] (root@pam): root@pam, and the login of this very run, stay"

    def test_a_password_has_a_call_of_its_own(self, run: Any) -> None:
        login = post(
            "/access/ticket", {"ticket": "T", "CSRFPreventionToken": "C"}, username="bob@pve", password="geheim"
        )
        change = put("/access/password", userid="ann@pve", password="new-secret", **{"confirmation-password": "geheim"})
        arguments = {"api_user": "bob@pve", "api_password": "geheim", "update_secrets": True}
        steps = [login, LIST, change, LIST]
        result = run("users", steps, **arguments, users=[{"userid": "ann@pve", "password": "new-secret"}])
        assert result["changed"], result
        assert "new-secret" not in str(result)

    def test_groups_must_be_there(self, run: Any) -> None:
        steps = [LIST, get("/access/groups", [{"groupid": "a"}, {"groupid": "b"}])]
        result = run("users", steps, users=[{"userid": "ann@pve", "groups": ["a", "c"]}])
        assert result["msg"] == "users[0] (ann@pve): groups: there is no group c. There are: a, b."


class TestTokens:
    """Secrets that are said once."""

    def test_the_secret_goes_into_the_file_alone(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        made = {"full-tokenid": "ann@pve!u", "value": "streng-geheim", "info": {"privsep": "1"}}
        after = [{"userid": "ann@pve", "tokens": [{"tokenid": "u"}]}]
        steps = [LIST, post("/access/users/ann@pve/token/u", made), get("/access/users", after, full=1)]
        result = run("api_tokens", steps, tokens=[{"tokenid": "ann@pve!u", "secret_file": str(file)}])
        assert result["changed"], result
        assert "geheim" not in str(result)
        assert file.read_text() == "streng-geheim\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_where_no_secret_can_be_renewed_the_token_is_made_anew_with_its_rules(
        self, run: Any, tmp_path: Path
    ) -> None:
        url = "/access/users/ann@pve/token/laptop"
        words = {"regenerate": "property is not defined in schema and the schema does not allow additional properties"}
        rule = {"path": "/vms", "type": "token", "ugid": "ann@pve!laptop", "roleid": "PVEAuditor", "propagate": 1}
        steps = [
            LIST,
            refused("PUT", url, 400, "Parameter verification failed.", errors=words),
            get("/access/acl", [rule, {**rule, "ugid": "ann@pve"}]),
            delete(url),
            post(url, {"value": "streng-geheim"}, comment="mine"),
            put("/access/acl", path="/vms", roles="PVEAuditor", tokens="ann@pve!laptop", propagate=1),
            get("/access/users", [{"userid": "ann@pve", "tokens": [{"tokenid": "laptop", "comment": "mine"}]}], full=1),
        ]
        file = tmp_path / "secret"
        element = {"tokenid": "ann@pve!laptop", "secret_file": str(file), "regenerate": True, "comment": "mine"}
        assert run("api_tokens", steps, tokens=[element])["changed"]
        assert file.read_text() == "streng-geheim\n"

    def test_a_purge_spares_the_token_of_this_login(self, run: Any) -> None:
        left = get("/access/users", [USERS[0], {**USERS[1], "tokens": []}, USERS[2]], full=1)
        result = run("api_tokens", [LIST, delete("/access/users/ann@pve/token/laptop"), left], tokens=[], purge=True)
        assert [change["object"] for change in result["plan"]] == ["API token ann@pve!laptop"]


class TestRules:
    """Who may do what."""

    GIVEN = (
        get("/access/acl", []),
        get("/access/roles", ROLES),
        LIST,
        get("/access/groups", [{"groupid": "a"}]),
    )

    @pytest.mark.parametrize(
        ("auth_id", "parameter"), [("ann@pve", "users"), ("ann@pve!laptop", "tokens"), ("@a", "groups")]
    )
    def test_each_kind_has_its_parameter(self, run: Any, auth_id: str, parameter: str) -> None:
        who = auth_id.removeprefix("@")
        row = {"path": "/vms", "type": parameter[:-1], "ugid": who, "roleid": "Operator", "propagate": 1}
        steps = [
            *self.GIVEN,
            put("/access/acl", path="/vms", roles="Operator", **{parameter: who}),
            get("/access/acl", [row]),
        ]
        assert run("acls", steps, acls=[{"path": "/vms/", "auth_id": auth_id, "role": "Operator"}])["changed"]

    def test_who_is_not_there_is_named(self, run: Any) -> None:
        result = run("acls", [*self.GIVEN], acls=[{"path": "/", "auth_id": "bob@pve", "role": "Operator"}])
        assert "acls[0] (/ bob@pve Operator): there is no user or API token or group bob@pve." in result["msg"]

    def test_a_role_that_is_not_there_is_named(self, run: Any) -> None:
        steps = self.GIVEN[:2]
        result = run("acls", [*steps], acls=[{"path": "/", "auth_id": "ann@pve", "role": "Admin"}])
        assert "role: there is no role Admin. There are: Administrator, Operator." in result["msg"]


def test_privileges_are_those_of_this_server(run: Any) -> None:
    steps = [get("/access/roles", ROLES)]
    result = run("roles", steps, roles=[{"roleid": "Operator", "privs": ["VM.Monitor"]}])
    assert "roles[0] (Operator): privs: there is no privilege VM.Monitor on this server." in result["msg"]


def test_the_servers_own_roles_stay(run: Any) -> None:
    result = run("roles", [get("/access/roles", ROLES)], roles=[{"roleid": "Administrator", "privs": []}])
    assert "is a role of the server's own" in result["msg"]
    steps = [get("/access/roles", ROLES), delete("/access/roles/Operator"), get("/access/roles", ROLES[:1])]
    assert run("roles", steps, roles=[], purge=True)["changed"]


def test_a_guest_is_not_taken_out_of_another_pool_unasked(run: Any) -> None:
    steps = [
        get("/pools", []),
        get("/cluster/resources", [{"vmid": 101, "type": "qemu", "pool": "mail"}], type="vm"),
    ]
    result = run("pools", steps, pools=[{"poolid": "web", "guests": [101]}])
    assert "pools[0] (web): guests: guest 101 is in the pool mail. Take it out of mail, or say" in result["msg"]


class TestNotifications:
    """Where what happens is told."""

    def test_what_the_server_brought_along_is_no_more_than_reset(self, run: Any) -> None:
        assert not run("notification_endpoints", [TARGETS], endpoints=[], purge=True)["changed"]
        result = run("notification_endpoints", [TARGETS], endpoints=[{"name": "mail-to-root", "state": "absent"}])
        assert not result["changed"]

    def test_parts_of_webhooks_are_sent_in_base64_and_secrets_told_nowhere(self, run: Any) -> None:
        sent = {
            "name": "hook",
            "url": "http://h",
            "method": "post",
            "header": ["name=X-Key,value=YT1iLGM="],
            "body": "dGVzdA==",
            "secret": ["name=key,value=Z2VoZWlt"],
        }
        shown = {**sent, "secret": ["name=key"], "origin": "user-created"}
        steps = [
            TARGETS,
            post("/cluster/notifications/endpoints/webhook", **sent),
            get("/cluster/notifications/targets", [{"name": "hook", "type": "webhook", "origin": "user-created"}]),
            get("/cluster/notifications/endpoints/webhook", [shown]),
        ]
        element = {"name": "hook", "type": "webhook", "url": "http://h", "method": "post", "body": "test\n"}
        element |= {"headers": {"X-Key": "a=b,c"}, "secrets": {"key": "geheim"}}
        result = run("notification_endpoints", steps, endpoints=[element])
        assert result["changed"], result
        assert "geheim" not in str(result)
        assert "Z2VoZWlt" not in str(result)

    def test_a_target_must_be_there(self, run: Any) -> None:
        steps = [get("/cluster/notifications/matchers", []), TARGETS]
        result = run("notification_matchers", steps, matchers=[{"name": "m", "targets": ["mail"]}])
        expected = "matchers[0] (m): targets: there is no endpoint mail. There are: mail-to-root."
        assert result["msg"] == expected


def test_an_address_goes_with_every_change_of_a_metric_server(run: Any) -> None:
    before = {"id": "g", "type": "graphite", "server": "h", "port": 2003}
    url = "/cluster/metrics/server"
    steps = [
        get(url, [before]),
        get(f"{url}/g", {**before, "digest": "d"}),
        put(f"{url}/g", server="h", port=2004, path="pve"),
        get(url, [before]),
        get(f"{url}/g", {**before, "port": 2004, "path": "pve"}),
    ]
    assert run("metric_servers", steps, servers=[{"id": "g", "port": 2004, "path": "pve"}])["changed"]


class TestRealmSyncJobs:
    """Jobs for realms with a directory."""

    JOBS = get("/cluster/jobs/realm-sync", [])
    DOMAINS = get("/access/domains", [{"realm": "pve", "type": "pve"}, {"realm": "example", "type": "ldap"}])
    JOB: ClassVar[dict[str, Any]] = {"id": "nightly", "realm": "example", "schedule": "daily"}

    def test_the_id_is_part_of_the_path_and_a_change_says_the_schedule(self, run: Any) -> None:
        row = {"id": "nightly", "type": "realm-sync", "realm": "example", "schedule": "daily", "enabled": 1}
        made = post("/cluster/jobs/realm-sync/nightly", None, realm="example", schedule="daily")
        listed = get("/cluster/jobs/realm-sync", [row])
        assert run("realm_sync_jobs", [self.JOBS, self.DOMAINS, made, listed], jobs=[self.JOB])["changed"]
        change = put("/cluster/jobs/realm-sync/nightly", None, schedule="daily", **{"remove-vanished": "acl;entry"})
        after = get("/cluster/jobs/realm-sync", [{**row, "remove-vanished": "entry;acl"}])
        element = {"id": "nightly", "remove_vanished": ["entry", "acl"]}
        assert run("realm_sync_jobs", [listed, change, after], jobs=[element])["changed"]

    def test_another_schedule_is_said_instead_of_the_present_one(self, run: Any) -> None:
        row = {"id": "nightly", "type": "realm-sync", "realm": "example", "schedule": "daily"}
        steps = [
            get("/cluster/jobs/realm-sync", [row]),
            put("/cluster/jobs/realm-sync/nightly", None, schedule="hourly"),
            get("/cluster/jobs/realm-sync", [{**row, "schedule": "hourly"}]),
        ]
        assert run("realm_sync_jobs", steps, jobs=[{"id": "nightly", "schedule": "hourly"}])["changed"]

    def test_what_comes_later_may_need_whom_the_job_brings(self, run: Any) -> None:
        upid = "UPID:pve1:0000C0DE:00000001:66000000:auth-realm-sync:example:root@pam:"
        row = {"id": "nightly", "type": "realm-sync", "realm": "example", "schedule": "daily", "scope": "users"}
        steps = [
            *(self.JOBS, self.DOMAINS),
            post("/cluster/jobs/realm-sync/nightly", None, realm="example", schedule="daily", scope="users"),
            post("/access/domains/example/sync", upid, scope="users"),
            get(f"/nodes/pve1/tasks/{upid}/status", {"status": "stopped", "exitstatus": "OK"}),
            get("/cluster/jobs/realm-sync", [row]),
        ]
        job = {**self.JOB, "scope": "users", "initial_sync": True}
        assert run("realm_sync_jobs", steps, jobs=[job])["changed"]

    def test_a_realm_without_a_directory_is_none_for_a_job(self, run: Any) -> None:
        result = run("realm_sync_jobs", [self.JOBS, self.DOMAINS], jobs=[{**self.JOB, "realm": "pve"}])
        assert "pve is no realm with a directory" in result["msg"]
        assert "There are: example." in result["msg"]

    def test_what_vanishes_has_names(self, run: Any) -> None:
        result = run("realm_sync_jobs", [], jobs=[{**self.JOB, "remove_vanished": ["users"]}])
        assert "users is none of acl, entry, properties" in result["msg"]
