# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API over HTTPS, as clients meet it (facts §1-§4; observed: calls)."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncssh
import pytest
import requests
import yaml

from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SCALE = 50


@dataclass
class Client:
    """Makes calls to one node, with or without credentials."""

    address: str
    headers: dict[str, str] = field(default_factory=dict)
    form: str = "json"

    def __call__(self, verb: str, path: str, /, **given: Any) -> requests.Response:
        headers = {**self.headers, **given.pop("headers", {})}
        place = {"params": given} if verb in ("GET", "DELETE") else {"data": given}
        if "json" in given:
            place = {"json": given["json"]}
        url = f"https://{self.address}:8006/api2/{self.form}{path}"
        return requests.request(verb, url, headers=headers, verify=False, timeout=20, **place)  # type: ignore[arg-type]

    def data(self, verb: str, path: str, /, **given: Any) -> Any:
        answer = self(verb, path, **given)
        assert answer.status_code == 200, f"{verb} {path}: {answer.status_code} {answer.reason} {answer.text}"
        return answer.json()["data"]

    def login(self, user: str, password: str) -> Client:
        found = self.data("POST", "/access/ticket", username=user, password=password)
        ticket = {"Cookie": f"PVEAuthCookie={found['ticket']}", "CSRFPreventionToken": found["CSRFPreventionToken"]}
        return Client(self.address, ticket)

    def token(self, text: str) -> Client:
        return Client(self.address, {"Authorization": f"PVEAPIToken={text}"})

    def finished(self, upid: str) -> dict[str, Any]:
        """The final status of a task; a node that cannot answer just now is asked again."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{upid}/status"

        def look() -> dict[str, Any] | None:
            answer = self("GET", path)
            found: dict[str, Any] = answer.json()["data"] if answer.status_code == 200 else {}
            return found if found.get("status") == "stopped" else None

        return wait_until(look) or {}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(hosts=2, scale=SCALE)


def _password(stack: RunningStack) -> str:
    secrets = yaml.safe_load((stack.dir / "secrets.yml").read_text())
    return str(secrets["root_password"])


def _address(stack: RunningStack, name: str) -> str:
    definition = json.loads((stack.dir / "stack.json").read_text())
    return f"127.{definition['net']}.0.{11 if name == 'pve1' else 12}"


@pytest.fixture(scope="module")
def anybody(stack: RunningStack) -> Client:
    return Client(_address(stack, "pve1"))


@pytest.fixture(scope="module")
def root(stack: RunningStack, anybody: Client) -> Client:
    return anybody.login("root@pam", _password(stack))


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.reason


def test_envelope_and_headers(root: Client) -> None:
    answer = root("GET", "/version")
    assert answer.json()["data"]["release"] == "9.2"
    assert answer.headers["Server"] == "pve-api-daemon/3.0"
    assert answer.headers["Cache-Control"] == "max-age=0"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["Expires"] == answer.headers["Date"]
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize(
    ("verb", "path", "status", "reason"),
    [
        ("GET", "/nosuch", 501, "Method 'GET /nosuch' not implemented"),
        ("POST", "/version", 501, "Method 'POST /version' not implemented"),
        ("GET", "/pools/nosuch", 500, "no such pool 'nosuch'"),
        ("GET", "/nodes/pve1/tasks/UPID:bogus/status", 400, "Parameter verification failed."),
    ],
)
def test_errors_stand_in_reason_and_message(root: Client, verb: str, path: str, status: int, reason: str) -> None:
    answer = root(verb, path)
    assert refused(answer) == (status, reason)
    assert answer.json()["message"].strip() == reason
    assert answer.json()["data"] is None
    assert answer.headers["Connection"] == "close"


def test_extjs_is_always_200(root: Client) -> None:
    found = Client(root.address, root.headers, "extjs")("GET", "/nosuch")
    assert found.status_code == 200
    assert (found.json()["success"], found.json()["status"]) == (0, 501)
    assert Client(root.address, root.headers, "extjs")("GET", "/version").json()["success"] == 1


def test_unknown_formats_and_places(root: Client) -> None:
    assert Client(root.address, root.headers, "xml")("GET", "/version").status_code == 501
    base = f"https://{root.address}:8006"
    assert requests.get(f"{base}/api2", verify=False, timeout=9).reason == "no such uri"
    assert requests.get(f"{base}/nosuch", verify=False, timeout=9).status_code == 404
    assert requests.patch(f"{base}/api2/json/version", verify=False, timeout=9).status_code == 501


def test_body_rules(root: Client) -> None:
    url = f"https://{root.address}:8006/api2/json/cluster/options"
    options: dict[str, Any] = {"headers": root.headers, "verify": False, "timeout": 9}
    assert requests.delete(url, data={"a": 1}, **options).reason == "Unexpected content for method 'DELETE'"
    assert requests.put(url, data={"a": "x" * 600_000}, **options).reason == "for data too large"
    assert requests.put(url, data=iter([b"a=1"]), **options).status_code == 501
    xml = {**options, "headers": {**root.headers, "Content-Type": "text/xml"}}
    assert requests.put(url, data="<a/>", **xml).status_code == 506
    assert requests.put(url, json=[1], **options).status_code == 501
    assert requests.put(url, json={"keyboard": "de"}, **options).status_code == 200


def test_clear_text_is_redirected(root: Client) -> None:
    url = f"http://{root.address}:8006/api2/json/version"
    found = requests.get(url, allow_redirects=False, timeout=9)
    assert (found.status_code, found.headers["Location"]) == (301, url.replace("http:", "https:"))
    assert requests.post(url, allow_redirects=False, timeout=9).status_code == 308


def test_long_answers_are_compressed(root: Client) -> None:
    connection = http.client.HTTPSConnection(root.address, 8006, context=ssl._create_unverified_context())
    connection.request("GET", "/api2/json/access/roles", headers={**root.headers, "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    assert answer.getheader("Content-Encoding") == "gzip"
    assert json.loads(gzip.decompress(answer.read()))["data"]
    connection.request("GET", "/api2/json/version", headers={**root.headers, "Accept-Encoding": "gzip"})
    assert connection.getresponse().getheader("Content-Encoding") is None
    connection.close()


@pytest.mark.parametrize(
    ("headers", "verb", "reason"),
    [
        ({}, "GET", "No ticket"),
        ({"Cookie": "PVEAuthCookie=PVE:root@pam:6B01F2DA::AAAA"}, "GET", "Authentication failed!"),
        ({"Cookie": "PVEAuthCookie=PVE:!tfa!x:6B01F2DA::AAAA"}, "GET", "No ticket"),
        ({"Authorization": "PVEAPIToken=root@pam!no=secret"}, "GET", "Authentication failed!"),
    ],
)
def test_without_credentials(anybody: Client, headers: dict[str, str], verb: str, reason: str) -> None:
    began = time.monotonic()
    answer = anybody(verb, "/version", headers=headers)
    assert refused(answer) == (401, reason)
    assert answer.content == b""
    assert time.monotonic() - began >= 3 / SCALE


def test_writes_need_the_csrf_token(root: Client) -> None:
    reason = (401, "Permission denied - invalid csrf token")
    for token in ("", "00000000:AAAA"):
        assert refused(root("PUT", "/cluster/options", keyboard="de", headers={"CSRFPreventionToken": token})) == reason


def test_login(stack: RunningStack, anybody: Client, root: Client) -> None:
    for given in ({"username": "root@pam", "password": "no"}, {"username": "no@pve", "password": "x"}):
        answer = anybody("POST", "/access/ticket", **given)
        assert refused(answer) == (401, "authentication failure")
        assert answer.json() == {"data": None, "message": "authentication failure\n"}
    split = anybody.data("POST", "/access/ticket", username="root", realm="pam", password=_password(stack))
    assert split["username"] == "root@pam"
    assert split["cap"]["nodes"]["Sys.Modify"] == 1
    renewed = anybody.login("root@pam", split["ticket"])
    assert renewed.data("GET", "/version")
    header = {"Authorization": f"PVEAuthCookie={split['ticket']}"}
    assert Client(anybody.address, header).data("GET", "/version")


@pytest.fixture
def user(root: Client, anybody: Client) -> Iterator[Client]:
    root.data("POST", "/access/users", userid="ha@pve", password="secret12", comment="c")
    yield anybody.login("ha@pve", "secret12")
    root.data("DELETE", "/access/users/ha@pve")


def test_user_is_created_changed_and_deleted(root: Client, user: Client) -> None:
    """Create, again, change, again, delete, again (observed: calls)."""
    again = root("POST", "/access/users", userid="ha@pve")
    assert refused(again) == (500, "create user failed: user 'ha@pve' already exists")
    found = root.data("GET", "/access/users/ha@pve")
    assert found == {"comment": "c", "email": "", "enable": 1, "expire": 0, "groups": [], "tokens": None}
    for _ in range(2):
        root.data("PUT", "/access/users/ha@pve", email="a@b.c")
    assert root.data("GET", "/access/users/ha@pve")["email"] == "a@b.c"
    for _ in range(2):
        root.data("DELETE", "/access/users/ha@pve")
    assert refused(root("PUT", "/access/users/ha@pve", enable=1)) == (
        500,
        "update user failed: no such user ('ha@pve')",
    )
    assert refused(user("GET", "/version")) == (401, "Authentication failed!")


def test_permissions(root: Client, user: Client) -> None:
    assert refused(user("GET", "/cluster/status")) == (403, "Permission check failed (/, Sys.Audit)")
    assert refused(user("POST", "/cluster/config", clustername="x")) == (
        403,
        "Permission check failed (user != root@pam)",
    )
    assert user.data("GET", "/nodes")[0].keys() == {"id", "level", "node", "ssl_fingerprint", "status", "type"}
    root.data("PUT", "/access/acl", path="/", users="ha@pve", roles="PVEAuditor")
    assert user.data("GET", "/cluster/status")
    assert refused(user("PUT", "/cluster/options", keyboard="de")) == (403, "Permission check failed (/, Sys.Modify)")
    assert user.data("GET", "/access/permissions", path="/")["/"]["Sys.Audit"] == 1
    root.data("PUT", "/access/acl", path="/", users="ha@pve", roles="PVEAuditor", delete=1)
    assert root.data("GET", "/access/acl") == []


def test_tokens(root: Client, user: Client) -> None:
    full = root.data("POST", "/access/users/ha@pve/token/full", privsep=0)
    own = root.data("POST", "/access/users/ha@pve/token/own", comment="tk", privsep=1)
    assert own["info"] == {"comment": "tk", "privsep": "1"}
    again = root("POST", "/access/users/ha@pve/token/own")
    assert again.json()["errors"] == {"tokenid": "Token already exists."}
    root.data("PUT", "/access/acl", path="/", users="ha@pve", roles="PVEAuditor")
    with_full = root.token(f"{full['full-tokenid']}={full['value']}")
    with_own = root.token(f"{own['full-tokenid']}={own['value']}")
    assert with_full.data("GET", "/cluster/status")
    assert with_own("GET", "/cluster/status").status_code == 403
    root.data("PUT", "/access/acl", path="/", tokens="ha@pve!own", roles="PVEAuditor")
    assert with_own.data("GET", "/cluster/status")
    # no CSRF token is asked for, and passwords cannot be changed
    refusal = with_full("PUT", "/access/password", userid="ha@pve", password="secret13")
    assert "not available with API token, need proper ticket." in refusal.reason
    regenerated = root.data("PUT", "/access/users/ha@pve/token/own", regenerate=1)
    assert refused(with_own("GET", "/version")) == (401, "Authentication failed!")
    assert root.token(f"ha@pve!own={regenerated['value']}").data("GET", "/version")
    root.data("DELETE", "/access/users/ha@pve/token/own")
    assert refused(root("GET", "/access/users/ha@pve/token/own")) == (500, "no such token 'own' for user 'ha@pve'")


def test_token_of_root_is_not_root(root: Client) -> None:
    made = root.data("POST", "/access/users/root@pam/token/t1", privsep=0)
    token = root.token(f"{made['full-tokenid']}={made['value']}")
    assert token.data("GET", "/cluster/status")
    assert refused(token("POST", "/cluster/config", clustername="x"))[0] == 403
    root.data("DELETE", "/access/users/root@pam/token/t1")


def test_roles_groups_pools(root: Client) -> None:
    bad = root("POST", "/access/roles", roleid="Bad", privs="Nope.Nope")
    assert bad.json()["errors"] == {"privs": "invalid format - invalid privilege 'Nope.Nope'\n"}
    root.data("POST", "/access/roles", roleid="Ops", privs="Sys.Audit,VM.Audit")
    assert root.data("GET", "/access/roles/Ops") == {"Sys.Audit": 1, "VM.Audit": 1}
    root.data("POST", "/access/groups", groupid="ops")
    assert (
        refused(root("POST", "/access/groups", groupid="ops"))[1] == "create group failed: group 'ops' already exists"
    )
    root.data("PUT", "/access/acl", path="/vms", groups="ops", roles="Ops")
    root.data("DELETE", "/access/roles/Ops")
    assert root.data("GET", "/access/acl") == []
    assert refused(root("PUT", "/access/acl", path="/", groups="ops", roles="Ops"))[1] == (
        "ACL update failed: role 'Ops' does not exist"
    )
    wrong = root("PUT", "/access/acl", path="/nope/x", groups="ops", roles="PVEAuditor")
    assert wrong.json()["errors"] == {"path": "invalid ACL path '/nope/x'"}
    root.data("DELETE", "/access/groups/ops")
    root.data("POST", "/pools", poolid="p1", comment="x")
    root.data("PUT", "/pools/p1", storage="local")
    assert root.data("GET", "/pools/p1")["members"][0]["storage"] == "local"
    root.data("PUT", "/pools/p1", storage="local", delete=1)
    root.data("DELETE", "/pools/p1")
    assert root.data("GET", "/pools") == []


def test_options_take_strings_and_give_objects(root: Client) -> None:
    root.data("PUT", "/cluster/options", migration="secure,network=10.77.0.0/24", description="one\ntwo")
    found = root.data("GET", "/cluster/options")
    assert found["migration"] == {"type": "secure", "network": "10.77.0.0/24"}
    assert found["description"] == "one\ntwo\n"
    root.data("PUT", "/cluster/options", delete="migration,description,nosuch,keyboard")
    assert root.data("GET", "/cluster/options") == {"allowed-tags": [], "description": "", "mac_prefix": "BC:24:11"}


async def _shell(stack: RunningStack, line: str) -> tuple[int | None, str, str]:
    address, password = _address(stack, "pve1"), _password(stack)
    async with asyncssh.connect(address, 2222, username="root", password=password, known_hosts=None) as connection:
        done = await connection.run(line)
    return done.exit_status, str(done.stdout), str(done.stderr)


async def test_pvesh_makes_the_same_calls(stack: RunningStack, root: Client) -> None:
    """Observed: commands."""
    version = await _shell(stack, "pvesh get /version --output-format json")
    assert (version[0], json.loads(version[1])) == (0, root.data("GET", "/version"))
    assert await _shell(stack, "pvesh get /nosuch") == (1, "", "No 'get' handler defined for '/nosuch'\n")
    usage = "pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]\n"
    unknown = f"Unknown option: nosuch\n400 unable to parse option\n{usage}"
    assert await _shell(stack, "pvesh set /cluster/options --nosuch 1") == (255, "", unknown)
    wrong = await _shell(stack, "pvesh set /cluster/options --max_workers 0")
    fault = "max_workers: value must have a minimum value of 1"
    assert wrong == (255, "", f"400 Parameter verification failed.\n{fault}\n{usage}")
    assert await _shell(stack, "pvesh create /pools --poolid sh --comment 'by hand'") == (0, "", "")
    assert root.data("GET", "/pools/sh")["comment"] == "by hand"
    assert await _shell(stack, "pvesh delete /pools/sh") == (0, "", "")
    listed = await _shell(stack, "pvesh ls /cluster")
    assert "-rw--        options\n" in listed[1]
    assert "-r---        nextid\n" in listed[1]


def _status(client: Client) -> list[dict[str, Any]]:
    answer = client("GET", "/cluster/status")
    return answer.json()["data"] if answer.status_code == 200 else [{}]


def test_a_cluster_is_one_tree(stack: RunningStack, root: Client) -> None:
    """Create and join; afterwards any node answers for all, and a node that is off is 595 (observed: no-quorum)."""
    made = root.data("POST", "/cluster/config", clustername="test")
    assert root.finished(made)["exitstatus"] == "OK"
    wait_until(lambda: _status(root)[0].get("quorate"))
    fingerprint = yaml.safe_load((stack.dir / "secrets.yml").read_text())["hosts"]["pve1"]["fingerprint"]
    other = Client(_address(stack, "pve2"))
    joiner = other.login("root@pam", _password(stack))
    joining = joiner.data(
        "POST", "/cluster/config/join", hostname=root.address, password=_password(stack), fingerprint=fingerprint
    )
    wait_until(lambda: len([node for node in _status(root) if node.get("online")]) == 2)
    wait_until(lambda: root("GET", "/nodes/pve2/version").status_code == 200)
    assert refused(joiner("GET", "/version")) == (401, "Authentication failed!")
    member = other.login("root@pam", _password(stack))
    assert member.finished(joining)["exitstatus"] == "OK"

    root.data("POST", "/pools", poolid="shared")
    assert member.data("GET", "/pools") == [{"poolid": "shared"}]
    assert root.data("GET", "/nodes/pve2/status")["pveversion"].startswith("pve-manager/9.2")
    assert root("GET", "/nodes/pve2/tasks/UPID:bogus/status").json()["errors"] == {
        "upid": "unable to parse worker upid"
    }
    lookup = root("GET", "/nodes/nosuch/status")
    assert lookup.status_code == 500
    assert lookup.reason.startswith("hostname lookup 'nosuch' failed")
    log = member.data("GET", f"/nodes/pve1/tasks/{made}/log", limit=0)
    assert log[-1]["t"] == "TASK OK"
    assert {row["type"] for row in wait_until(lambda: root.data("GET", "/cluster/tasks"))} >= {"clustercreate"}

    assert stack.run("power", "off", "pve2").returncode == 0
    wait_until(lambda: root("GET", "/nodes/pve2/status").status_code == 595)
    off = root("GET", "/nodes/pve2/status")
    assert (off.reason, off.content) == ("Connection refused", b"")
