# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API as root@pam, for tests that care about what it does rather than how it is asked."""

from __future__ import annotations

from typing import Any

import requests

from .stacks import RunningStack, wait_until


class Refused(AssertionError):
    """An answer other than 200: `status`, `reason`, and the error text per parameter."""

    def __init__(self, call: str, answer: requests.Response) -> None:
        super().__init__(f"{call}: {answer.status_code} {answer.reason} {answer.text}")
        self.status = answer.status_code
        self.reason = answer.reason
        body = answer.json() if answer.text else {}
        self.message: str = body.get("message", "")
        self.errors: dict[str, str] = body.get("errors", {})


class Root:
    """Calls to one host of a stack with root's ticket; 401 is answered by a new login."""

    def __init__(self, stack: RunningStack, host: str) -> None:
        self.address = stack.resolved["hosts"][host]["address"]
        self._password = stack.secrets["root_password"]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = False
        self._login()

    def _login(self) -> None:
        credentials = {"username": "root@pam", "password": self._password}
        answer = self._session.post(self._url("/access/ticket"), data=credentials, timeout=20)
        found = answer.json()["data"]
        self._session.cookies.set("PVEAuthCookie", found["ticket"])
        self._session.headers["CSRFPreventionToken"] = found["CSRFPreventionToken"]

    def _url(self, path: str) -> str:
        return f"https://{self.address}:8006/api2/json{path}"

    def __call__(self, verb: str, path: str, /, **given: Any) -> Any:
        """The data of an answer; underscores that stand for hyphens are doubled. Raises Refused."""
        params = {name.replace("__", "-"): value for name, value in given.items()}
        place = {"params": params} if verb in ("GET", "DELETE") else {"data": params}
        answer = self._session.request(verb, self._url(path), timeout=60, **place)  # type: ignore[arg-type]
        if answer.status_code == 401:
            self._login()
            answer = self._session.request(verb, self._url(path), timeout=60, **place)  # type: ignore[arg-type]
        if answer.status_code != 200:
            raise Refused(f"{verb} {path}", answer)
        return answer.json()["data"]

    def end_of(self, upid: str) -> str:
        """Wait for a task's end; its exit status."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{upid}/status"

        def look() -> str | None:
            try:
                status = self("GET", path)
            except Refused:
                return None
            return str(status["exitstatus"]) if status["status"] == "stopped" else None

        return wait_until(look, 30) or ""

    def log_of(self, upid: str) -> list[str]:
        """The lines of a task's log."""
        rows = self("GET", f"/nodes/{upid.split(':')[1]}/tasks/{upid}/log", limit=0)
        return [str(row["t"]) for row in rows]

    def run(self, verb: str, path: str, /, **given: Any) -> str:
        """Make a call that starts a task, which has to end well; its UPID."""
        upid: str = self(verb, path, **given)
        status = self.end_of(upid)
        assert status == "OK", f"{verb} {path}: {status}\n" + "\n".join(self.log_of(upid))
        return upid
