# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup server over HTTPS, as clients meet it (facts §20)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ..backups import Api, directory, fingerprint, new_token, root
from ..stacks import RunningStack, StackFactory
from .shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SCALE = 50
STORE = "/admin/datastore/main"
DISK = {"size": "32G"}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory({name: {"kind": "pbs", "disks": [DISK, {"size": "64G"}]} for name in ("pbs1", "pbs2")},
                         scale=SCALE, boot_time=0.5)  # fmt: skip


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> Api:
    found = root(stack, "pbs1")
    found.run("POST", "/config/datastore", name="main", path="/backup/main")
    return found


# --- how it speaks ----------------------------------------------------------------------------------------------------


def test_anybody_may_ping_and_nobody_else_gets_far(stack: RunningStack, server: Api) -> None:
    anybody = Api(server.address)
    assert anybody.data("GET", "/ping") == {"pong": True}
    begun = time.monotonic()
    assert anybody.refusal("GET", "/version") == (401, "authentication failed")
    assert time.monotonic() - begun >= 3 / SCALE
    assert server.data("GET", "/version")["version"].startswith("4.0.")


@pytest.mark.parametrize(
    ("verb", "path", "given", "status", "text"),
    [
        ("GET", "/nosuch", {}, 404, "Path '/nosuch' not found."),
        ("GET", "/admin/datastore/nosuch/status", {}, 404, "datastore 'nosuch' does not exist."),
        ("GET", "/nodes/elsewhere/status", {}, 400, "parameter verification failed - 'node': no such node 'elsewhere'"),
        (
            "POST",
            "/config/datastore",
            {"name": "main", "path": "/elsewhere"},
            400,
            "parameter verification failed - 'name': datastore 'main' already exists.",
        ),
        (
            "POST",
            "/config/datastore",
            {"name": "ab", "colour": "red", "path": "/x"},
            400,
            "parameter verification failed:\n- 'name': value must be at least 3 characters long (got 2)\n"
            "- 'colour': schema does not allow additional properties.",
        ),
        ("PUT", "/config/datastore/main", {"digest": "0" * 64}, 400, "detected modified configuration"),
        ("PUT", "/config/datastore/main", {"delete": ["colour"]}, 400, "not defined in the enumeration"),
        (
            "PUT",
            "/config/datastore/main",
            {"gc-schedule": "now and then"},
            400,
            "'gc-schedule': invalid calendar event",
        ),
        ("POST", "/config/datastore", {"name": "inner", "path": "/backup/main/sub"}, 400, "nested datastores"),
        ("POST", "/access/users", {"userid": "a@ldap"}, 400, "no such realm 'ldap'"),
        ("PUT", "/access/acl", {"path": "/nowhere", "role": "Audit", "auth-id": "root@pam"}, 400, "invalid acl path"),
        ("PUT", "/access/acl", {"path": "/", "role": "Audit", "auth-id": "ghost@pbs"}, 400, "no such user."),
    ],
)
def test_refusals_are_plain_text(
    server: Api, verb: str, path: str, given: dict[str, Any], status: int, text: str
) -> None:
    found = server.refusal(verb, path, **given)
    assert found[0] == status
    assert text in found[1]


def test_upgrades_to_the_protocol_of_real_clients_are_refused(server: Api) -> None:
    place = {"store": "main", "backup-type": "vm", "backup-id": "1", "backup-time": 1}
    assert server.refusal("GET", "/reader", **place)[0] == 501


def test_writes_with_a_ticket_need_the_token_against_forgery(server: Api) -> None:
    forged = Api(server.address, headers={"Cookie": server.headers["Cookie"]})
    assert forged.data("GET", "/access/users")
    assert forged.refusal("POST", "/access/users", userid="x@pbs")[0] == 401


def test_the_certificate_is_the_one_of_the_secrets_file(stack: RunningStack, server: Api) -> None:
    (shown,) = server.data("GET", "/nodes/localhost/certificates/info")
    assert shown["fingerprint"] == fingerprint(stack, "pbs1").lower()
    assert shown["subject"] == shown["issuer"]


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_a_user_from_creation_to_removal(server: Api) -> None:
    server.data("POST", "/access/users", userid="ann@pbs", password="correct horse", comment="Ann")
    assert "already exists" in server.refusal("POST", "/access/users", userid="ann@pbs")[1]
    ann = Api(server.address).login("ann@pbs", "correct horse")
    assert [row["userid"] for row in ann.data("GET", "/access/users")] == ["ann@pbs"]
    assert ann.refusal("POST", "/access/users", userid="x@pbs") == (403, "permission check failed")
    token = ann.data("POST", "/access/users/ann@pbs/token/laptop")
    with_token = Api(server.address).token(token["tokenid"], token["value"])
    assert with_token.data("GET", "/admin/datastore") == []
    renewed = ann.data("PUT", "/access/users/ann@pbs/token/laptop", regenerate=1)["secret"]
    assert with_token.refusal("GET", "/version")[0] == 401
    assert Api(server.address).token(token["tokenid"], renewed).data("GET", "/version")
    server.data("PUT", "/access/users/ann@pbs", enable=0, delete="comment")
    assert server.data("GET", "/access/users/ann@pbs") == {"userid": "ann@pbs", "enable": False}
    assert Api(server.address).refusal("POST", "/access/ticket", username="ann@pbs", password="correct horse")[0] == 401
    server.data("PUT", "/access/acl", path="/datastore", role="Audit", auth_id="ann@pbs")
    server.data("DELETE", "/access/users/ann@pbs")
    assert server.refusal("GET", "/access/users/ann@pbs")[0] == 404
    assert all(row["ugid"] != "ann@pbs" for row in server.data("GET", "/access/acl"))


def test_a_token_has_no_more_rights_than_its_user(server: Api) -> None:
    token, secret = new_token(server, "bob@pbs", "full", "DatastoreAudit", "/datastore/main")
    server.data("PUT", "/access/acl", path="/", role="Admin", auth_id=token)
    bob = Api(server.address).token(token, secret)
    assert bob.data("GET", f"{STORE}/status")["total"] > 0
    assert bob.refusal("POST", f"{STORE}/gc")[0] == 403
    assert set(bob.data("GET", "/access/permissions", path="/datastore/main")["/datastore/main"]) == {"Datastore.Audit"}


# --- configuration ----------------------------------------------------------------------------------------------------


def test_a_datastore_from_creation_to_removal(stack: RunningStack, server: Api) -> None:
    log = server.run(
        "POST", "/config/datastore", name="spare", path="/backup/spare", prune_schedule="daily", keep_last=2
    )
    assert log.endswith("TASK OK")
    answer = server("GET", "/config/datastore/spare").json()
    assert answer["data"] == {"name": "spare", "path": "/backup/spare"}
    (job,) = [job for job in server.data("GET", "/config/prune") if job["store"] == "spare"]
    assert (job["schedule"], job["keep-last"]) == ("daily", 2)
    server.data("PUT", "/config/datastore/spare", digest=answer["digest"], comment="second", gc_schedule="weekly")
    assert server("GET", "/config/datastore/spare").json()["digest"] != answer["digest"]
    server.data("PUT", "/config/datastore/spare", maintenance_mode="offline")
    assert "offline maintenance mode" in server.refusal("GET", "/admin/datastore/spare/snapshots")[1]
    server.data("PUT", "/config/datastore/spare", delete=["maintenance-mode", "comment"])
    server.run("DELETE", "/config/datastore/spare", destroy_data=1)
    assert server.refusal("GET", "/config/datastore/spare")[0] == 404
    assert all(job["store"] != "spare" for job in server.data("GET", "/config/prune"))
    assert not directory(stack, "pbs1", "backup/spare").exists


@pytest.mark.parametrize(
    ("kind", "settings", "change"),
    [
        ("prune", {"schedule": "daily", "keep-daily": 7}, {"keep-daily": 14}),
        ("verify", {"schedule": "weekly", "outdated-after": 30}, {"ignore-verified": 0}),
        ("sync", {"remote-store": "elsewhere", "schedule": "hourly"}, {"remove-vanished": 1}),
    ],
)
def test_a_job_from_creation_to_removal(
    server: Api, kind: str, settings: dict[str, Any], change: dict[str, Any]
) -> None:
    path = f"/config/{kind}"
    server.data("POST", path, id="job-1", store="main", **settings)
    assert server.refusal("POST", path, id="job-1", store="main", **settings)[1].endswith("job 'job-1' already exists.")
    (row,) = server.data("GET", f"/admin/{kind}", store="main")
    assert row["id"] == "job-1"
    assert row["next-run"] > time.time()
    server.data("PUT", f"{path}/job-1", **change)
    ((name, value),) = change.items()
    assert server.data("GET", f"{path}/job-1")[name] == value
    server.data("DELETE", f"{path}/job-1")
    assert server.refusal("GET", f"{path}/job-1") == (404, "job 'job-1' does not exist.")


def test_a_remote_in_use_stays(stack: RunningStack, server: Api) -> None:
    secret = {"host": server.address, "auth-id": "root@pam", "password": stack.secrets["root_password"]}
    server.data("POST", "/config/remote", name="itself", fingerprint=fingerprint(stack, "pbs1"), **secret)
    assert "password" not in server.data("GET", "/config/remote/itself")
    assert [row["store"] for row in server.data("GET", "/config/remote/itself/scan")] == ["main"]
    server.data("POST", "/config/sync", id="loop", store="main", remote="itself", remote_store="other")
    assert server.refusal("DELETE", "/config/remote/itself")[1].endswith(
        "remote 'itself' is used by sync job 'loop' (datastore 'main')"
    )
    server.data("PUT", "/config/remote/itself", fingerprint=fingerprint(stack, "pbs2"))
    assert "certificate verify failed" in server.refusal("GET", "/config/remote/itself/scan")[1]
    server.data("DELETE", "/config/sync/loop")
    server.data("DELETE", "/config/remote/itself")


def test_a_disk_becomes_a_datastore(server: Api) -> None:
    path, size = "/nodes/localhost/disks", 64 << 30
    assert [row["name"] for row in server.data("GET", f"{path}/list", usage_type="unused")] == ["sdb"]
    assert "already in use" in server.refusal("POST", f"{path}/directory", name="big", disk="sda")[1]
    server.run("POST", f"{path}/directory", name="big", disk="sdb", add_datastore=1)
    (mounted,) = server.data("GET", f"{path}/directory")
    assert (mounted["path"], mounted["device"], mounted["filesystem"]) == ("/mnt/datastore/big", "/dev/sdb1", "ext4")
    assert size * 0.9 < server.data("GET", "/admin/datastore/big/status")["total"] < size
    assert (
        server.refusal("DELETE", f"{path}/directory/big")[1]
        == "Can't remove 'big' since it's required by datastore 'big'"
    )
    server.run("DELETE", "/config/datastore/big")
    server.data("DELETE", f"{path}/directory/big")
    server.run("PUT", f"{path}/wipedisk", disk="sdb")
    assert server.data("GET", f"{path}/list", usage_type="unused")[0]["name"] == "sdb"


def test_disks_become_a_pool(stack: RunningStack, server: Api) -> None:
    path, pool = "/nodes/localhost/disks", {"name": "fast", "raidlevel": "single"}
    assert server.refusal("POST", f"{path}/zfs", devices="sda", **pool)[1] == "disk 'sda' is already in use."
    wrong = server.refusal("POST", f"{path}/zfs", devices="../sda", **pool)
    assert wrong[0] == 400
    assert "'devices'" in wrong[1]
    server.run("POST", f"{path}/zfs", devices="sdb", add_datastore=1, **pool)
    (row,) = server.data("GET", f"{path}/zfs")
    assert (row["name"], row["health"]) == ("fast", "ONLINE")
    assert server.data("GET", "/config/datastore/fast")["path"] == "/mnt/datastore/fast"
    shell = Shell(stack, "pbs1")
    assert shell.run("zpool list -H -o name,health").out == "fast\tONLINE\n"
    assert "fast" in shell.run("proxmox-backup-manager disk zpool list").out
    server.run("DELETE", "/config/datastore/fast")
    assert shell.run("zpool destroy fast").status == 0
    server.run("PUT", f"{path}/wipedisk", disk="sdb")
    made = shell.run("proxmox-backup-manager disk zpool create fast --devices sdb --raidlevel single")
    assert (made.status, "TASK OK" in made.out) == (0, True)
    assert shell.run("zpool destroy fast").status == 0
    assert shell.run("proxmox-backup-manager disk wipe sdb").status == 0


# --- the console ------------------------------------------------------------------------------------------------------


def test_the_console_shows_certificate_and_datastores(stack: RunningStack, server: Api) -> None:
    async def ask(line: str) -> str:
        secret = stack.secrets["root_password"]
        async with asyncssh.connect(
            server.address, 2222, username="root", password=secret, known_hosts=None, config=None
        ) as connection:
            return str((await connection.run(line, check=True)).stdout)

    shown = asyncio.run(ask("proxmox-backup-manager cert info"))
    assert f"Fingerprint (sha256): {fingerprint(stack, 'pbs1').lower()}" in shown
    assert '"name":"main"' in asyncio.run(ask("proxmox-backup-manager datastore list --output-format json"))
    assert "root@pam" in asyncio.run(ask("proxmox-backup-manager user list"))


def test_a_host_stays_small(stack: RunningStack) -> None:
    sizes = []
    for pid in stack.pids()[1:]:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        sizes += [int(line.split()[1]) for line in rollup if line.startswith("Pss:")]
    assert max(sizes) < 60 * 1024


# --- the host ---------------------------------------------------------------------------------------------------------


def test_realms_are_kept_beside_the_two_that_are_there(server: Api) -> None:
    server.data("PUT", "/config/access/pbs", comment="our own", default=1)
    rows = {row["realm"]: row for row in server.data("GET", "/access/domains")}
    assert (rows["pbs"]["comment"], rows["pbs"]["default"]) == ("our own", True)
    realm = {"issuer-url": "https://login.example.test", "client-id": "pbs", "client-key": "horse"}
    server.data("POST", "/config/access/openid", realm="sso", **realm)
    assert "client-key" not in server.data("GET", "/config/access/openid/sso")
    server.data("POST", "/access/users", userid="eve@sso")
    directory = {"server1": "127.0.0.1", "port": 1, "base-dn": "dc=example", "user-attr": "uid"}
    assert (
        "could not connect to 127.0.0.1:1"
        in server.refusal("POST", "/config/access/ldap", realm="corp", **directory)[1]
    )
    server.data("DELETE", "/access/users/eve@sso")
    server.data("DELETE", "/config/access/openid/sso")
    assert "no such realm 'sso'" in server.refusal("POST", "/access/users", userid="eve@sso")[1]


def test_the_network_changes_when_it_is_told_to(server: Api) -> None:
    path = "/nodes/localhost/network"
    server.data("POST", path, iface="vmbr1", type="bridge", cidr="192.0.2.1/24", autostart=1)
    answer = server("GET", path).json()
    assert "+iface vmbr1 inet static" in answer["changes"]
    row = next(row for row in answer["data"] if row["name"] == "vmbr1")
    assert (row["cidr"], row["method"], row["autostart"], row["active"]) == ("192.0.2.1/24", "static", True, False)
    server.data("PUT", f"{path}/vmbr1", delete=["cidr"], mtu=9000)
    server.data("DELETE", path)
    assert server.refusal("GET", f"{path}/vmbr1") == (404, "interface 'vmbr1' does not exist.")
    server.data("POST", path, iface="vmbr1", type="bridge", cidr="192.0.2.1/24")
    server.run("PUT", path)
    assert server.data("GET", f"{path}/vmbr1")["active"] is True


def test_services_and_settings_of_the_host(server: Api) -> None:
    path = "/nodes/localhost"
    server.run("POST", f"{path}/services/postfix/stop")
    assert server.data("GET", f"{path}/services/postfix/state")["state"] == "dead"
    server.run("POST", f"{path}/services/postfix/start")
    assert "connection to the API would be lost" in server.refusal("POST", f"{path}/services/proxmox-backup/stop")[1]
    digest = server("GET", f"{path}/config").json()["digest"]
    server.data("PUT", f"{path}/config", description="the first one", task_log_max_days=7, digest=digest)
    assert server.data("GET", f"{path}/config") == {"description": "the first one", "task-log-max-days": 7}
    assert "detected modified configuration" in server.refusal("PUT", f"{path}/config", digest=digest)[1]
    assert "proxmox-backup-server" in server.data("GET", f"{path}/report")
    assert server.data("GET", f"{path}/syslog", limit=1)[0]["n"] == 1
    names = {row["Package"] for row in server.data("GET", f"{path}/apt/versions")}
    assert {"proxmox-backup", "proxmox-backup-server"} <= names


def test_metric_servers_have_to_answer(server: Api) -> None:
    path = "/config/metrics"
    text = server.refusal("POST", f"{path}/influxdb-http", name="influx", url="http://127.0.0.1:1", token="horse")[1]
    assert text.startswith("error testing connection to http://127.0.0.1:1")
    server.data("POST", f"{path}/influxdb-http", name="influx", url="http://127.0.0.1:1", token="horse", enable=0)
    assert "token" not in server.data("GET", f"{path}/influxdb-http/influx")
    assert server.data("GET", "/admin/metrics") == [
        {"name": "influx", "type": "influxdb-http", "server": "http://127.0.0.1:1", "enable": False}
    ]
    figures = server.data("GET", "/status/metrics")["data"]
    assert {"host", "datastore/main"} <= {row["id"] for row in figures}
