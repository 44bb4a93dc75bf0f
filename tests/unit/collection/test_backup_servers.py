# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules about backups against scripts: what is different there, and what comes before anything is written."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._dialect import PBS
from ansible_collections.quorate.pve.plugins.module_utils._errors import TaskError

from .scripted import Step, delete, get, post, put

UPID = r"UPID:pbs1:00000F00:00001000:00000001:66000000:create\x2ddatastore:main:root@pam:"
TASK = f"/nodes/localhost/tasks/{UPID}"
MAIN = {"name": "main", "path": "/srv/main", "comment": "hello"}
USERS = [{"userid": "root@pam"}, {"userid": "a@pbs", "tokens": [{"tokenid": "a@pbs!t", "comment": "c"}]}]
TOKEN = "a@pbs!t"
STORES = get("/config/datastore", [MAIN])


def plain(method: str, path: str, status: int, text: str) -> Step:
    """An error as a backup server words it: text and no JSON (facts §20.1)."""
    return Step(method, path, None, None, status, "Bad Request", text=text)


def test_a_token_is_sent_with_a_colon(script: Any, client: Any) -> None:
    made = script(get("/version", {"version": "4.0.1"}))
    connected = client(dialect=PBS)
    connected.get("/version")
    assert made.headers[0]["Authorization"] == "PBSAPIToken=root@pam!t:s"


def test_a_ticket_is_a_cookie_of_another_name(script: Any, client: Any) -> None:
    login = post("/access/ticket", {"ticket": "PBS:x", "CSRFPreventionToken": "c"}, username="root@pam", password="p")
    made = script(login, get("/version", {}))
    client(password="p", dialect=PBS).get("/version")
    assert made.headers[1]["Cookie"] == "PBSAuthCookie=PBS%3Ax"


def test_an_error_is_text(run: Any) -> None:
    steps = [STORES, plain("DELETE", "/config/datastore/main", 400, "datastore is\nbusy")]
    result = run("pbs_datastores", steps, datastores=[{"name": "main", "state": "absent"}])
    assert result["msg"].startswith("datastores[0] (main): datastore is\nbusy (DELETE /config/datastore/main")


def test_a_datastore_is_made_by_a_task(run: Any) -> None:
    steps = [
        get("/config/datastore", []),
        post("/config/datastore", UPID, name="main", path="/srv/main"),
        get(f"{TASK}/status", {"status": "running"}),
        get(f"{TASK}/status", {"status": "stopped", "exitstatus": "OK"}),
        STORES,
    ]
    assert run("pbs_datastores", steps, datastores=[{"name": "main", "path": "/srv/main"}])["changed"]


def test_the_end_of_a_task_is_told_with_its_log(run: Any) -> None:
    steps = [
        get("/config/datastore", []),
        post("/config/datastore", UPID, name="main", path="/srv/main"),
        get(f"{TASK}/status", {"status": "stopped", "exitstatus": "mkdir failed"}),
        get(f"{TASK}/log", [{"n": 1, "t": "no space"}], limit=PBS.whole_log),
    ]
    result = run("pbs_datastores", steps, datastores=[{"name": "main", "path": "/srv/main"}])
    assert r"the task create\x2ddatastore on pbs1 failed: mkdir failed" in result["msg"]
    assert "no space" in result["msg"]
    assert TaskError(UPID, "x", []).upid == UPID


def test_what_is_unset_is_a_list(run: Any) -> None:
    before = {**MAIN, "gc-schedule": "daily"}
    steps = [
        get("/config/datastore", [before]),
        put("/config/datastore/main", None, delete=["comment", "gc-schedule"]),
        get("/config/datastore", [{"name": "main", "path": "/srv/main"}]),
    ]
    assert run("pbs_datastores", steps, datastores=[{"name": "main", "comment": "", "gc_schedule": ""}])["changed"]


@pytest.mark.parametrize(("data", "said"), [(False, 0), (True, 1)])
def test_data_goes_only_if_that_is_said(run: Any, data: bool, said: int) -> None:
    steps = [STORES, delete("/config/datastore/main", None, **{"destroy-data": said}), get("/config/datastore", [])]
    element = {"name": "main", "state": "absent", "destroy_data": data}
    assert run("pbs_datastores", steps, datastores=[element])["changed"]


def test_namespaces_are_built_from_above_and_taken_down_from_below(run: Any) -> None:
    steps = [
        STORES,
        get("/admin/datastore/main/namespace", [{"ns": ""}, {"ns": "x"}, {"ns": "x/y"}]),
        delete("/admin/datastore/main/namespace", None, **{"ns": "x/y", "delete-groups": 0}),
        delete("/admin/datastore/main/namespace", None, **{"ns": "x", "delete-groups": 0}),
        post("/admin/datastore/main/namespace", "a", name="a"),
        post("/admin/datastore/main/namespace", "a/b", name="b", parent="a"),
        get("/admin/datastore/main/namespace", [{"ns": ""}, {"ns": "a"}, {"ns": "a/b"}]),
    ]
    result = run("pbs_namespaces", steps, namespaces=[{"store": "main", "ns": "/a/b"}], purge=True, purge_limit="100%")
    assert len(result["plan"]) == 4, result


def test_a_namespace_needs_its_datastore(run: Any) -> None:
    result = run("pbs_namespaces", [STORES], namespaces=[{"store": "mian", "ns": "a"}])
    assert result["msg"] == "namespaces[0] (mian/a): store: there is no datastore mian. There are: main."


class TestTokens:
    """The secret is said once, kept in a file, and told nowhere."""

    def test_the_secret_goes_into_the_file_alone(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "new" / "secret"
        steps = [
            get("/access/users", USERS, include_tokens=1),
            post("/access/users/a@pbs/token/u", {"tokenid": "a@pbs!u", "value": "streng-geheim"}),
            get("/access/users", [{"userid": "a@pbs", "tokens": [{"tokenid": "a@pbs!u"}]}], include_tokens=1),
        ]
        result = run("pbs_tokens", steps, tokens=[{"tokenid": "a@pbs!u", "secret_file": str(file)}])
        assert result["changed"], result
        assert "geheim" not in str(result)
        assert file.read_text() == "streng-geheim\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_without_a_place_for_it_no_token_is_made(self, run: Any, tmp_path: Path) -> None:
        result = run("pbs_tokens", [get("/access/users", USERS, include_tokens=1)], tokens=[{"tokenid": "a@pbs!u"}])
        assert "secret_file must be given" in result["msg"]
        (tmp_path / "file").write_text("")
        element = {"tokenid": "a@pbs!u", "secret_file": str(tmp_path / "file" / "secret")}
        result = run("pbs_tokens", [get("/access/users", USERS, include_tokens=1)], tokens=[element])
        assert "cannot be written" in result["msg"]
        assert not result["changed"]

    def test_a_lost_secret_is_an_error_unless_a_new_one_may_be_made(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        element = {"tokenid": TOKEN, "secret_file": str(file)}
        users = get("/access/users", USERS, include_tokens=1)
        assert "its secret is not in" in run("pbs_tokens", [users], tokens=[element])["msg"]
        renew = put("/access/users/a@pbs/token/t", {"secret": "neu"}, regenerate=1)
        result = run("pbs_tokens", [users, renew, users], tokens=[{**element, "regenerate": True}])
        assert result["plan"][0]["fields"] == {"secret": {"before": "lost", "after": "in the file"}}
        assert file.read_text() == "neu\n"
        assert not run("pbs_tokens", [users], tokens=[element])["changed"]

    def test_a_run_that_was_cut_off_before_the_secret_was_kept_is_taken_up(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        element = {"tokenid": "a@pbs!u", "secret_file": str(file)}
        made = {"userid": "a@pbs", "tokens": [{"tokenid": "a@pbs!u"}]}
        refused = plain("POST", "/access/users/a@pbs/token/u", 400, "no")
        run("pbs_tokens", [get("/access/users", USERS, include_tokens=1), refused], tokens=[element])
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("", 0o600), "what is left if no answer is kept"
        users = get("/access/users", [made], include_tokens=1)
        renew = put("/access/users/a@pbs/token/u", {"secret": "neu"}, regenerate=1)
        assert run("pbs_tokens", [users, renew, users], tokens=[element])["changed"]
        assert file.read_text() == "neu\n"


def test_a_rule_is_for_somebody_who_is_there(run: Any) -> None:
    steps = [get("/access/acl", []), get("/access/users", USERS, include_tokens=1)]
    rules = [{"path": "/datastore/main", "auth_id": "b@pbs", "role": "DatastoreBackup"}]
    result = run("pbs_acls", steps, acls=rules)
    assert "there is no user or API token b@pbs. There are: a@pbs, a@pbs!t, root@pam." in result["msg"]
    assert (
        "there is no role DatastoreBakcup" in run("pbs_acls", [], acls=[{**rules[0], "role": "DatastoreBakcup"}])["msg"]
    )


REMOTE = {"name": "first", "host": "192.0.2.102", "auth_id": TOKEN, "password": "geheim"}


class TestRemotes:
    """The other server is asked before anything is written here."""

    def test_a_wrong_token_ends_it(self, run: Any) -> None:
        refused = Step(
            "GET", "/version", None, None, 401, "Unauthorized", host="192.0.2.102", text="authentication failed"
        )
        result = run("pbs_remotes", [get("/config/remote", []), refused], remotes=[REMOTE])
        assert "does not accept the API token a@pbs!t" in result["msg"], result
        assert "Nothing was changed" in result["msg"]
        assert "geheim" not in result["msg"]

    def test_what_an_earlier_step_would_change_is_unknown_in_check_mode(self, run: Any) -> None:
        refused = Step("GET", "/version", None, None, 401, "Unauthorized", host="192.0.2.102", text="no")
        shown = {"name": "first", "host": "192.0.2.102", "auth-id": TOKEN}
        steps = [get("/config/remote", [shown]), refused]
        result = run("pbs_remotes", steps, check=True, remotes=[REMOTE], update_secrets=True)
        assert result["changed"], result
        assert "192.0.2.102 does not accept the API token" in result["unknown"][0]

    def test_a_good_one_is_made_with_the_secret_of_the_file(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("aus-der-datei\n")
        sent = {"name": "first", "host": "192.0.2.102", "auth-id": TOKEN, "password": "aus-der-datei"}
        shown = {name: sent[name] for name in ("name", "host", "auth-id")}
        steps = [
            get("/config/remote", []),
            get("/version", {}),
            post("/config/remote", None, **sent),
            get("/config/remote", [shown]),
        ]
        element = {**REMOTE, "password": None, "password_file": str(tmp_path / "secret")}
        result = run("pbs_remotes", steps, remotes=[element])
        assert result["changed"], result
        assert "datei" not in str(result["plan"])

    def test_a_missing_file_ends_it(self, run: Any) -> None:
        element = {**REMOTE, "password": None, "password_file": "/nowhere/secret"}
        result = run("pbs_remotes", [get("/config/remote", [])], remotes=[element])
        assert "the secret's file /nowhere/secret cannot be read: No such file or directory" in result["msg"]


def test_a_sync_job_needs_the_datastore_on_the_other_side(run: Any) -> None:
    steps = [
        get("/config/sync", [], **{"sync-direction": "all"}),
        STORES,
        get("/config/remote", [{"name": "first"}]),
        get("/config/remote/first/scan", [{"store": "main"}]),
    ]
    job = {"id": "pull", "store": "main", "remote": "first", "remote_store": "mian"}
    result = run("pbs_sync_jobs", steps, jobs=[job])
    assert "jobs[0] (pull): remote_store: first has no datastore mian" in result["msg"]


def groups(newest: int) -> list[Step]:
    return [
        get("/admin/datastore/main/namespace", [{"ns": ""}, {"ns": "site"}]),
        get("/admin/datastore/main/groups", []),
        get(
            "/admin/datastore/main/groups",
            [{"backup-type": "vm", "backup-id": "101", "last-backup": newest, "backup-count": 1}],
            ns="site",
        ),
        get("/nodes/localhost/time", {"time": 10_000}),
    ]


WANTED: dict[str, Any] = {"job": "pull", "groups": [{"id": "101"}], "max_age": "1h"}


class TestSync:
    """A sync job runs when something is missing or too old."""

    JOBS = get("/admin/sync", [{"id": "pull", "store": "main"}], **{"sync-direction": "all"})

    def test_not_if_everything_is_there(self, run: Any) -> None:
        result = run("pbs_sync", [self.JOBS, *groups(9_000)], **WANTED)
        assert not result["changed"]
        assert result["groups"][0]["newest"] == 9_000

    def test_if_it_is_too_old(self, run: Any) -> None:
        ended = get(f"{TASK}/status", {"status": "stopped", "exitstatus": "OK"})
        steps = [self.JOBS, *groups(1_000), post("/admin/sync/pull/run", UPID), ended, *groups(9_999)]
        result = run("pbs_sync", steps, **WANTED)
        assert result["plan"][0]["fields"]["groups"]["after"] == ["vm/101"]

    def test_it_must_bring_what_was_missing(self, run: Any) -> None:
        ended = get(f"{TASK}/status", {"status": "stopped", "exitstatus": "OK"})
        steps = [self.JOBS, *groups(1_000), post("/admin/sync/pull/run", UPID), ended, *groups(1_000)]
        assert "ended well, and vm/101 is missing or too old" in run("pbs_sync", steps, **WANTED)["msg"]


def test_an_unknown_datastore_is_an_error_of_pbs_info(run: Any) -> None:
    result = run("pbs_info", [get("/admin/datastore", [{"store": "main"}])], datastores=["mian"])
    assert "192.0.2.11 has no datastore mian, or this login may not see it. It shows: main." in result["msg"]


class TestBackup:
    """Backups of guests now, those that have none that is young enough."""

    GUESTS = get("/cluster/resources", [{"vmid": 101, "node": "pve1"}, {"vmid": 102, "node": "pve2"}], type="vm")
    STORAGES: ClassVar = [{"storage": "backup", "type": "pbs", "content": "backup"}]
    LOOK = (
        get("/storage", STORAGES),
        get("/storage", STORAGES),
        get("/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "offline"}]),
    )
    TIME = get("/nodes/pve1/time", {"time": 10_000})

    def content(self, **newest: int) -> Step:
        rows = [
            {
                "volid": f"backup:backup/vm/{vmid}/{time}",
                "vmid": int(vmid[1:]),
                "ctime": time,
                "size": 7,
                "subtype": "qemu",
            }
            for vmid, time in newest.items()
        ]
        return get("/nodes/pve1/storage/backup/content", rows, content="backup")

    def test_nothing_is_done_while_all_are_young(self, run: Any) -> None:
        steps = [self.GUESTS, *self.LOOK, self.content(g101=9_000, g102=9_500), self.TIME]
        result = run("backup", steps, storage="backup", all=True, max_age="1h")
        assert not result["changed"]
        assert [(each["type"], each["vmid"], each["time"]) for each in result["backups"]] == [
            ("vm", 101, 9_000),
            ("vm", 102, 9_500),
        ]

    def test_one_that_is_too_old_is_made_anew(self, run: Any) -> None:
        upid = "UPID:pve1:00000F00:00001000:66000000:vzdump:101:root@pam:"
        steps = [
            self.GUESTS,
            *self.LOOK,
            self.content(g101=1_000, g102=9_500),
            self.TIME,
            post("/nodes/pve1/vzdump", upid, vmid="101", storage="backup", mode="snapshot"),
            get(f"/nodes/pve1/tasks/{upid}/status", {"status": "stopped", "exitstatus": "OK"}),
            self.content(g101=10_001, g102=9_500),
        ]
        result = run("backup", steps, storage="backup", all=True, max_age="1h")
        assert [change["object"] for change in result["plan"]] == ["backup of 101 on backup"]

    def test_a_guest_on_an_offline_node_ends_it(self, run: Any) -> None:
        steps = [self.GUESTS, *self.LOOK, self.content(g101=9_000), self.TIME]
        result = run("backup", steps, storage="backup", guests=[101, 102], max_age="1h")
        assert "guests: pve2 is offline, and guests to back up are there" in result["msg"], result

    def test_what_makes_no_sense_is_said_before_anything_is_asked(self, run: Any) -> None:
        assert "either the guests or all" in run("backup", [], storage="backup")["msg"]
        assert "max_age: invalid time span" in run("backup", [], storage="backup", all=True, max_age="soon")["msg"]


def test_another_selection_replaces_the_one_that_a_job_has(run: Any) -> None:
    job = {"id": "j", "type": "vzdump", "enabled": 1, "schedule": "daily", "storage": "b"}
    steps = [
        get("/cluster/backup", [{**job, "vmid": "102,101", "prune-backups": {"keep-last": "3"}}]),
        put("/cluster/backup/j", None, all=1),
        get("/cluster/backup", [{**job, "all": 1, "prune-backups": {"keep-last": "3"}}]),
    ]
    wanted = {"id": "j", "prune_backups": {"keep_last": 3}}
    assert run("backup_jobs", steps, jobs=[{**wanted, "all": True}])["changed"]
    assert not run("backup_jobs", steps[:1], jobs=[{**wanted, "guests": [101, 102]}])["changed"]
