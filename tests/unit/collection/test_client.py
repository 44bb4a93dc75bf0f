# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: logins, what is tried again and what never is, and what errors say."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from ansible_collections.quorate.pve.plugins.module_utils import _client, _http
from ansible_collections.quorate.pve.plugins.module_utils._errors import (
    ApiError,
    ConnectError,
    InputError,
    LoginError,
    TaskError,
    WaitError,
)
from ansible_collections.quorate.pve.plugins.module_utils._parallel import side_by_side
from ansible_collections.quorate.pve.plugins.module_utils._tasks import wait_for_task
from ansible_collections.quorate.pve.plugins.module_utils._tickets import TicketStore
from ansible_collections.quorate.pve.plugins.module_utils._wait import wait_until

from .scripted import broken, get, post, put, refused

TICKET = {"ticket": "PVE:root@pam:1::a+b/c=", "CSRFPreventionToken": "1:x", "username": "root@pam"}
UPID = "UPID:pve1:00001A00:005725B2:6B021A1B:zfscreate:tank:root@pam:"


def unreachable() -> Exception:
    reason = urllib3.exceptions.NewConnectionError(None, "[Errno 111] Connection refused")  # type: ignore[arg-type]
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", reason))  # type: ignore[arg-type]


def test_a_password_logs_in_once(client: Any, script: Any) -> None:
    made = script(
        post("/access/ticket", TICKET, username="root@pam", password="p"), get("/version", 1), put("/x", None, a=1)
    )
    api = client(password="p")
    assert api.get("/version") == 1
    api.put("/x", {"a": True, "b": None})
    assert made.headers[1] == {"Cookie": "PVEAuthCookie=PVE%3Aroot%40pam%3A1%3A%3Aa%2Bb%2Fc%3D"}
    assert made.headers[2]["CSRFPreventionToken"] == "1:x"
    assert api.calls == [("POST", "/access/ticket"), ("GET", "/version"), ("PUT", "/x")]


def test_a_token_needs_no_login(client: Any, script: Any) -> None:
    made = script(get("/version", 1))
    client().get("version")
    assert made.headers == [{"Authorization": "PVEAPIToken=root@pam!t=s"}]


@pytest.mark.parametrize(("given", "sent"), [("123456", "totp:123456"), ("recovery:abc", "recovery:abc")])
def test_a_second_factor(client: Any, script: Any, given: str, sent: str) -> None:
    script(post("/access/ticket", TICKET, username="root@pam", password="p", otp=sent), get("/version", 1))
    client(password="p", otp=given).get("/version")


def test_a_second_factor_that_is_not_given(client: Any, script: Any) -> None:
    script(post("/access/ticket", {"NeedTFA": 1, "ticket": "half"}, username="root@pam", password="p"))
    with pytest.raises(LoginError, match="second factor"):
        client(password="p").get("/version")


def test_a_wrong_password(client: Any, script: Any) -> None:
    script(refused("POST", "/access/ticket", 401, "authentication failure"))
    with pytest.raises(LoginError, match="refuses the login of root@pam: authentication failure"):
        client(password="p").get("/version")


def test_an_old_ticket_is_renewed_once_even_for_a_write(client: Any, script: Any) -> None:
    script(
        post("/access/ticket", TICKET, username="root@pam", password="p"),
        refused("PUT", "/x", 401, "Authentication failed!"),
        post("/access/ticket", TICKET, username="root@pam", password="p"),
        put("/x"),
    )
    client(password="p").put("/x")


def test_tickets_are_kept_between_tasks(
    client: Any, script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "ticket_store", TicketStore(tmp_path))
    script(post("/access/ticket", TICKET, username="root@pam", password="p"), get("/version", 1), get("/version", 2))
    assert client(password="p").get("/version") == 1
    assert client(password="p").get("/version") == 2
    kept = list(tmp_path.iterdir())
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]
    assert "p" not in kept[0].name.removeprefix("quorate-ticket-")


def test_reads_are_tried_again(client: Any, script: Any) -> None:
    script(
        broken("GET", "/version", requests.ConnectionError("Connection reset by peer")),
        refused("GET", "/version", 596, "Connection timed out"),
        get("/version", 1),
    )
    assert client().get("/version") == 1


def test_writes_are_never_tried_again_blindly(client: Any, script: Any) -> None:
    script(broken("POST", "/storage", requests.ConnectionError("Connection reset by peer")))
    with pytest.raises(ConnectError, match=r"Whether POST /storage was carried out is not known\. Run again"):
        client().post("/storage")


def test_a_write_that_waited_for_a_lock_in_vain_did_nothing(client: Any, script: Any) -> None:
    lock = "create storage failed: cfs-lock 'file-storage_cfg' error: got lock request timeout"
    script(refused("POST", "/storage", 500, lock), post("/storage"))
    client().post("/storage")


def test_the_next_host_takes_over(client: Any, script: Any) -> None:
    script(broken("GET", "/version", unreachable()), get("/version", 1))
    api = client(hosts=("192.0.2.11", "192.0.2.12"))
    assert api.get("/version") == 1
    assert api.host == "192.0.2.12"


def test_a_host_that_is_gone_is_given_up_alone(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls from several threads find out at once; those that are late must not take its successor for the dead one."""
    together = threading.Barrier(3)
    asked: list[str] = []

    class Session:
        def request(self, _method: str, url: str, **_more: Any) -> requests.Response:
            asked.append(str(urllib3.util.parse_url(url).host))
            if asked[-1] == "192.0.2.11":
                together.wait(60)
                raise unreachable()
            answer = requests.Response()
            answer.status_code, answer._content = 200, b'{"data": 1}'
            return answer

        def close(self) -> None:
            pass

    monkeypatch.setattr(_http, "open_session", lambda context: Session())
    api = client(hosts=("192.0.2.11", "192.0.2.12"))
    assert side_by_side(api.get, ["/a", "/b", "/c"]) == [1, 1, 1]
    assert sorted(asked) == ["192.0.2.11"] * 3 + ["192.0.2.12"] * 3
    assert api.host == "192.0.2.12"


def test_nobody_there(client: Any, script: Any) -> None:
    script(broken("POST", "/x", unreachable()), broken("POST", "/x", unreachable()))
    with pytest.raises(ConnectError, match=r"192\.0\.2\.11:8006: Connection refused; .*192\.0\.2\.12:8006"):
        client(hosts=("192.0.2.11", "192.0.2.12")).post("/x")


def test_an_error_says_everything_the_server_said(client: Any, script: Any) -> None:
    script(
        refused("POST", "/cluster/ha/rules", 500, "create ha rule failed: 400 Rule 'r' is invalid.",
                "create ha rule failed: 400 Rule 'r' is invalid.\nresources: used twice"),
        refused("PUT", "/x", 400, "Parameter verification failed.", errors={"ha": "invalid format\n", "b": "no"}),
        refused("GET", "/y", 403, "Permission check failed (user != root@pam)"),
    )  # fmt: skip
    api = client()
    with pytest.raises(ApiError, match="resources: used twice"):
        api.post("/cluster/ha/rules")
    with pytest.raises(
        ApiError, match=r"Parameter verification failed: b: no; ha: invalid format \(PUT /x at 192.0.2.11"
    ):
        api.put("/x")
    with pytest.raises(ApiError, match="Only root@pam with its password"):
        api.get("/y")


def test_a_setting_of_another_version_is_named_as_the_option_is(client: Any, script: Any) -> None:
    unknown = "property is not defined in schema and the schema does not allow additional properties"
    errors = {"token-coefficient": unknown, "nodeid": "value must have a minimum value of 1"}
    script(refused("POST", "/cluster/config", 400, "Parameter verification failed.", errors=errors))
    with pytest.raises(ApiError, match=r"This server is of a version without token_coefficient: leave that out\.$"):
        client().post("/cluster/config")


def test_no_credentials() -> None:
    names = ("hosts", "password", "otp", "token_id", "token_secret", "fingerprints", "trust_file", "ca_file")
    params: dict[str, Any] = dict.fromkeys(f"api_{name}" for name in names)
    params |= {"api_port": 1, "api_user": "u", "api_validate_certs": True, "api_timeout": 3}
    with pytest.raises(InputError, match="neither a password nor an API token"):
        _client.Connection.from_params(params)


def test_secrets_are_not_in_a_connection_s_text(client: Any) -> None:
    assert "geheim" not in repr(_client.Connection(hosts=(), password="geheim", token_secret="geheim", otp="geheim"))


def status(state: str, exitstatus: str | None = None) -> Any:
    answer = {"status": state, **({"exitstatus": exitstatus} if exitstatus else {})}
    return get(f"/nodes/pve1/tasks/{UPID}/status", answer)


def log(*lines: str) -> Any:
    return get(f"/nodes/pve1/tasks/{UPID}/log", [{"n": n, "t": t} for n, t in enumerate(lines, 1)], limit=0)


def test_a_task_is_waited_for(client: Any, script: Any) -> None:
    script(status("running"), status("stopped", "OK"))
    assert wait_for_task(client(), UPID, timeout=10).status == "OK"


def test_warnings_are_success_with_warnings(client: Any, script: Any) -> None:
    script(status("stopped", "WARNINGS: 1"), log("fine", "WARN: old", "TASK WARNINGS: 1"))
    assert wait_for_task(client(), UPID, timeout=10).warnings == ("WARN: old",)


def test_a_failed_task_shows_the_end_of_its_log(client: Any, script: Any) -> None:
    script(status("stopped", "no such disk"), log("looking", "* disk is gone", "TASK ERROR: no such disk"))
    with pytest.raises(
        TaskError, match=r"zfscreate on pve1 failed: no such disk\. Its log ends: looking / \* disk is gone"
    ):
        wait_for_task(client(), UPID, timeout=10)


def test_waiting_ends(client: Any) -> None:
    seen: list[int] = []

    def probe() -> bool | None:
        seen.append(1)
        if len(seen) == 1:
            raise ConnectError("gone")
        return None

    with pytest.raises(WaitError, match=r"rain did not happen within 5 s \(dry\)\. Dance"):
        wait_until(probe, timeout=5, what="rain", passing=(ConnectError,), describe=lambda: "dry", hint="Dance.")
    assert len(seen) > 5
