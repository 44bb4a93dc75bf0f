# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access over HTTP: second factors, realms, the jobs that synchronise them (facts §3, §17)."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
URI = f"otpauth://totp/test:ann?secret={SECRET}&issuer=test&digits=6&period=30"


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(hosts=1, scale=100)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    return Root(stack, "pve1")


@pytest.fixture(scope="module")
def pve(stack: RunningStack) -> Path:
    """The mirror of /etc/pve."""
    return stack.dir / "hosts" / "pve1" / "root" / "etc" / "pve"


def code(periods: int = 0) -> str:
    """The code of now, or of some periods later."""
    device = TOTP(base64.b32decode(SECRET), 6, SHA1(), 30, enforce_key_length=False)
    return device.generate(int(time.time()) + 30 * periods).decode()


def login(root: Root, **given: str) -> requests.Response:
    url = f"https://{root.address}:8006/api2/json/access/ticket"
    return requests.post(url, data=given, verify=False, timeout=20)


def ticket(root: Root, **given: str) -> dict[str, Any]:
    answer = login(root, **given)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def user(root: Root, name: str, *, totp: bool = True) -> str:
    """A new user with a second factor; the password is `secret-12`."""
    userid = f"{name}@pve"
    root("POST", "/access/users", userid=userid, password="secret-12")
    if totp:
        root("POST", f"/access/tfa/{userid}", type="totp", totp=URI, value=code(), description="phone")
    return userid


def test_a_code_is_asked_for_after_the_password(root: Root) -> None:
    ann = user(root, "ann")
    half = ticket(root, username=ann, password="secret-12")
    assert half["NeedTFA"] == 1
    assert "cap" not in half
    challenge = unquote(half["ticket"].removeprefix("PVE:!tfa!").rpartition("::")[0].rpartition(":")[0])
    assert json.loads(challenge) == {"totp": True}

    version = f"https://{root.address}:8006/api2/json/version"
    answer = requests.get(version, cookies={"PVEAuthCookie": half["ticket"]}, verify=False, timeout=20)
    assert (answer.status_code, answer.reason) == (401, "No ticket")

    second = {"username": ann, "tfa-challenge": half["ticket"]}
    assert login(root, **second, password="totp:1").reason == "authentication failure"
    assert login(root, **second, password=f"totp:{code()}", otp=f"totp:{code()}").status_code == 401
    assert login(root, **{**second, "username": "root@pam"}, password=f"totp:{code()}").status_code == 401
    whole = ticket(root, **second, password=f"totp:{code()}")
    assert whole["ticket"].startswith(f"PVE:{ann}:")
    assert "cap" in whole
    # who has a ticket renews it without any factor
    assert "NeedTFA" not in ticket(root, username=ann, password=whole["ticket"])


def test_no_code_is_good_twice(root: Root) -> None:
    bob = user(root, "bob")
    # the code of the period to come: it is that of no other login
    shown = code(1)
    ticket(root, username=bob, password="secret-12", otp=f"totp:{shown}")
    assert login(root, username=bob, password="secret-12", otp=f"totp:{shown}").status_code == 401


def test_recovery_keys(root: Root) -> None:
    cat = user(root, "cat", totp=False)
    made = root("POST", f"/access/tfa/{cat}", type="recovery")
    assert made["id"] == "recovery"
    assert len(set(made["recovery"])) == 10
    with pytest.raises(Refused, match="user already has recovery keys"):
        root("POST", f"/access/tfa/{cat}", type="recovery")
    key = made["recovery"][3]
    ticket(root, username=cat, password="secret-12", otp=f"recovery:{key}")
    assert login(root, username=cat, password="secret-12", otp=f"recovery:{key}").status_code == 401
    half = ticket(root, username=cat, password="secret-12")["ticket"]
    assert json.loads(unquote(half.removeprefix("PVE:!tfa!").rpartition("::")[0].rpartition(":")[0])) == {
        "recovery": [0, 1, 2, 4, 5, 6, 7, 8, 9]
    }


def test_wrong_codes_lock(root: Root) -> None:
    dan = user(root, "dan")
    for _ in range(8):
        assert login(root, username=dan, password="secret-12", otp="totp:000000").status_code == 401
    assert login(root, username=dan, password="secret-12", otp=f"totp:{code()}").status_code == 401
    listed = {row["userid"]: row for row in root("GET", "/access/tfa")}
    assert listed[dan]["totp-locked"] == 1
    assert root("PUT", f"/access/users/{dan}/unlock-tfa") == 1
    assert root("PUT", f"/access/users/{dan}/unlock-tfa") == 0
    ticket(root, username=dan, password="secret-12", otp=f"totp:{code()}")


def test_entries_are_listed_changed_and_removed(root: Root, pve: Path) -> None:
    eve = user(root, "eve")
    (entry,) = root("GET", f"/access/tfa/{eve}")
    assert {key: entry[key] for key in ("type", "description")} == {"type": "totp", "description": "phone"}
    one = f"/access/tfa/{eve}/{entry['id']}"
    assert root("GET", one) == entry
    assert root("GET", f"/access/users/{eve}")["keys"] == "x"
    assert root("GET", f"/access/users/{eve}/tfa", multiple=1) == {"types": ["totp"]}
    assert root("GET", f"/access/users/{eve}/tfa") == {"user": "oath"}
    root("PUT", one, enable=0, description="old phone")
    assert root("GET", one) == {**entry, "description": "old phone", "enable": 0}
    assert "NeedTFA" not in ticket(root, username=eve, password="secret-12")
    assert URI in json.loads((pve / "priv/tfa.cfg").read_text())["users"][eve]["totp"][0]["entry"]
    root("DELETE", one)
    assert root("GET", f"/access/tfa/{eve}") == []
    assert "keys" not in root("GET", f"/access/users/{eve}")
    with pytest.raises(Refused, match="no such tfa entry") as refused:
        root("DELETE", one)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"type": "totp", "totp": URI, "value": "000000", "description": "d"}, "failed to verify TOTP challenge"),
        ({"type": "totp", "totp": URI, "value": "000000"}, "'description' is required for new entries"),
        ({"type": "totp", "totp": "x", "value": "0", "description": "d"}, "invalid totp uri"),
        ({"type": "totp", "value": "0", "description": "d"}, "missing 'totp' parameter"),
        ({"type": "webauthn"}, "no webauthn configuration available"),
        ({"type": "u2f"}, "no u2f configuration available"),
    ],
)
def test_refused_factors(root: Root, given: dict[str, str], why: str) -> None:
    with pytest.raises(Refused) as refused:
        root("POST", "/access/tfa/root@pam", **given)
    assert (refused.value.status, refused.value.reason) == (500, why)


def test_users_prove_who_they_are_before_they_change_factors(root: Root) -> None:
    fay = user(root, "fay", totp=False)
    found = ticket(root, username=fay, password="secret-12")
    session = requests.Session()
    session.verify, session.trust_env = False, False
    session.headers["CSRFPreventionToken"] = found["CSRFPreventionToken"]
    session.cookies.set("PVEAuthCookie", found["ticket"])
    base = f"https://{root.address}:8006/api2/json/access/tfa"
    given = {"type": "totp", "totp": URI, "value": code(), "description": "d"}
    answer = session.post(f"{base}/{fay}", data=given, timeout=20)
    assert answer.json()["errors"] == {"password": "password is required to modify TFA data"}
    assert session.post(f"{base}/{fay}", data={**given, "password": "wrong-12"}, timeout=20).status_code == 401
    assert session.post(f"{base}/{fay}", data={**given, "password": "secret-12"}, timeout=20).status_code == 200
    assert session.get(f"{base}/root@pam", timeout=20).status_code == 403
    assert [row["userid"] for row in session.get(base, timeout=20).json()["data"]] == [fay]


def test_realms(root: Root, pve: Path) -> None:
    builtin = {row["realm"]: row for row in root("GET", "/access/domains")}
    assert builtin["pam"]["comment"] == "Linux PAM standard authentication"
    root("POST", "/access/domains", realm="corp", type="ldap", server1="127.0.0.1", base_dn="dc=x", user_attr="uid",
         password="hidden", default=1, comment="ours")  # fmt: skip
    shown = root("GET", "/access/domains/corp")
    assert "password" not in shown
    assert (pve / "priv/realm/corp.pw").read_text() == "hidden"
    root("PUT", "/access/domains/corp", digest=shown["digest"], port=3890, delete="comment", tfa="type=oath,digits=7")
    assert root("GET", "/access/domains/corp")["port"] == 3890
    root("PUT", "/access/domains/pam", default=1)
    listed = {row["realm"]: row for row in root("GET", "/access/domains")}
    assert listed["corp"] == {"realm": "corp", "type": "ldap", "tfa": "oath"}
    assert listed["pam"]["default"] == 1
    root("POST", "/access/users", userid="gil@corp")
    assert {"userid": "gil@corp", "realm-type": "ldap"}.items() <= next(
        row for row in root("GET", "/access/users") if row["userid"] == "gil@corp"
    ).items()
    assert root("GET", "/access/users/gil@corp/tfa") == {"realm": "oath"}
    root("DELETE", "/access/domains/corp")
    assert not (pve / "priv/realm/corp.pw").exists()
    assert "corp" not in (pve / "domains.cfg").read_text()


@pytest.mark.parametrize(
    ("verb", "path", "given", "why"),
    [
        ("POST", "", {"realm": "pam", "type": "ldap"}, "add auth server failed: domain 'pam' already exists"),
        ("POST", "", {"realm": "two", "type": "pve"}, "add auth server failed: unable to create builtin type 'pve'"),
        (
            "POST",
            "",
            {"realm": "two", "type": "ad", "server1": "127.0.0.1"},
            "add auth server failed: missing value for required option 'domain'",
        ),
        (
            "POST",
            "",
            {"realm": "two", "type": "pam", "server1": "127.0.0.1"},
            "add auth server failed: unable to create builtin type 'pam'",
        ),
        (
            "POST",
            "",
            {"realm": "two", "type": "ad", "server1": "127.0.0.1", "domain": "x", "port": 1, "check-connection": 1},
            "add auth server failed: failed to connect to 127.0.0.1:1",
        ),
        ("PUT", "/two", {"comment": "x"}, "update auth server failed: domain 'two' does not exist"),
        ("PUT", "/pve", {"port": 1}, "update auth server failed: unexpected property 'port'"),
        (
            "PUT",
            "/pve",
            {"comment": "x", "digest": "0" * 40},
            "update auth server failed: detected modified configuration - file changed by other user? Try again.",
        ),
        ("DELETE", "/two", {}, "delete auth server failed: domain 'two' does not exist"),
        ("DELETE", "/pve", {}, "delete auth server failed: unable to delete builtin realm 'pve'"),
        ("GET", "/two", {}, "domain 'two' does not exist"),
    ],
)
def test_refused_realms(root: Root, verb: str, path: str, given: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused) as refused:
        root(verb, f"/access/domains{path}", **given)
    assert (refused.value.status, refused.value.reason) == (500, why)


def test_jobs_that_synchronise_realms(root: Root) -> None:
    jobs = "/cluster/jobs/realm-sync"
    root("POST", "/access/domains", realm="dir", type="ad", server1="127.0.0.1", domain="x.test")
    root("POST", f"{jobs}/nightly", realm="dir", schedule="02:00", scope="users")
    (job,) = root("GET", jobs)
    assert {"id": "nightly", "realm": "dir", "enabled": 1, "scope": "users"}.items() <= job.items()
    assert job["next-run"] > time.time()
    root("PUT", f"{jobs}/nightly", schedule="03:00", enabled=0, delete="scope")
    (job,) = root("GET", jobs)
    assert job == {"id": "nightly", "type": "realm-sync", "realm": "dir", "enabled": 0, "schedule": "03:00"}
    for realm, why in (("pam", "Cannot sync realm type 'pam'!"), ("no", "realm 'no' does not exist")):
        with pytest.raises(Refused, match=why):
            root("POST", f"{jobs}/other", realm=realm, schedule="02:00")
    root("DELETE", f"{jobs}/nightly")
    with pytest.raises(Refused, match="No such job 'nightly'"):
        root("DELETE", f"{jobs}/nightly")
    # backup jobs live in the same file and are not touched
    assert root("GET", "/cluster/backup") == []


@pytest.mark.parametrize("name", ["PVEMine", "pvemine"])
def test_names_of_roles_that_are_reserved(root: Root, name: str) -> None:
    with pytest.raises(Refused) as refused:
        root("POST", "/access/roles", roleid=name)
    assert (refused.value.status, set(refused.value.errors)) == (400, {"roleid"})
