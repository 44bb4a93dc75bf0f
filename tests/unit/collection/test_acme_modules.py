# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is out of the ordinary about accounts with authorities, and certificates from them."""

from __future__ import annotations

import time
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.action.api import run_in_process
from ansible_collections.quorate.pve.plugins.module_utils import _acme_certificates
from ansible_collections.quorate.pve.plugins.module_utils._errors import TrustError
from ansible_collections.quorate.pve.plugins.modules import acme_plugins

from .scripted import Step, broken, get, post, put

UPID = "UPID:pve1:0000C0DE:00000001:66000000:acmenewcert::root@pam:"
DIRECTORY = "https://ca.example.org/directory"
LIST = get("/cluster/acme/account", [{"name": "default"}])
ACCOUNT = {"account": {"contact": ["mailto:a@example.org"]}, "directory": DIRECTORY, "location": "x"}
WANTED = {"name": "default", "contact": ["a@example.org"], "directory": DIRECTORY}
OWN = "pveproxy-ssl.pem"
DAY = 86400
SHOWN = ":".join(["AB"] * 32)
NODES = get("/nodes", [{"node": "pve1", "status": "online"}])
CONFIG = get("/nodes/pve1/config", {"acme": "account=default,domains=a.example.org;b.example.org"})


def info(*, days: float = 80, san: tuple[str, ...] = ("a.example.org", "b.example.org"), own: bool = True) -> Step:
    clusters = {"filename": "pve-ssl.pem", "fingerprint": ":".join(["CD"] * 32), "san": [], "notafter": 0}
    found = {"filename": OWN, "fingerprint": SHOWN, "san": list(san), "notafter": int(time.time() + days * DAY)}
    return get("/nodes/pve1/certificates/info", [clusters, found] if own else [clusters])


def status(local: int = 1) -> Step:
    rows = [{"type": "node", "name": "pve1", "ip": "192.0.2.11", "local": local}]
    return get("/cluster/status", rows)


def task(exit_status: str = "OK", *lines: str) -> list[Step]:
    ended = get(f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": exit_status})
    log = [{"n": number, "t": line} for number, line in enumerate(lines, 1)]
    return [ended] if exit_status == "OK" else [ended, get(f"/nodes/pve1/tasks/{UPID}/log", log, limit=0)]


PLUGINS = "/cluster/acme/plugins"
THERE = {"plugin": "zone", "type": "dns", "api": "pdns", "data": "PDNS_ServerId=localhost\nPDNS_Token=alt"}


class TestPlugins:
    """How domains are proven."""

    def test_credentials_are_compared_and_what_is_no_secret_is_not_masked(self, run: Any) -> None:
        wanted = {"id": "zone", "data": {"PDNS_Token": "geheim"}, "settings": {"PDNS_ServerId": "localhost"}}
        text = "PDNS_ServerId=localhost\nPDNS_Token=geheim"
        sent = put(f"{PLUGINS}/zone", None, data=b64encode(text.encode()).decode())
        now = {**THERE, "data": text}
        result = run("acme_plugins", [get(PLUGINS, [THERE]), sent, get(PLUGINS, [now])], plugins=[wanted])
        assert result["changed"], result
        assert result["plan"][0]["fields"] == {"data": {"before": "********", "after": "********"}}
        assert "geheim" not in str(result)
        assert not run("acme_plugins", [get(PLUGINS, [now])], plugins=[wanted])["changed"]

    def test_only_what_is_secret_is_masked(self, script: Any) -> None:
        script()
        zone = {"id": "zone", "data": {"PDNS_Token": "geheim"}, "settings": {"PDNS_ServerId": "localhost"}}
        given = {"api_hosts": ["localhost"], "api_password": "x y z", "plugins": [zone], "nonsense": "geheim"}
        result = run_in_process(acme_plugins, given, False, diff=True)
        assert "geheim" not in str(result)
        assert result["invocation"]["module_args"]["plugins"][0]["settings"] == {"PDNS_ServerId": "localhost"}

    def test_a_name_has_one_value(self, run: Any) -> None:
        wanted = {"id": "zone", "data": "A=1\nB=2", "settings": {"B": "3"}}
        result = run("acme_plugins", [], plugins=[wanted])
        assert "plugins[0] (zone): data and settings both have B" in result["msg"]


class TestAccounts:
    """In whose names nodes order."""

    def test_nothing_to_do(self, run: Any) -> None:
        result = run("acme_accounts", [LIST, get("/cluster/acme/account/default", ACCOUNT)], accounts=[WANTED])
        assert (result["changed"], result["calls"]) == (False, 2)

    def test_terms_are_agreed_to_by_whoever_registers(self, run: Any) -> None:
        terms = get("/cluster/acme/tos", "https://ca.example.org/terms", directory=DIRECTORY)
        result = run("acme_accounts", [get("/cluster/acme/account", []), terms], accounts=[WANTED])
        assert result["failed"]
        assert "https://ca.example.org/terms" in result["msg"]
        assert "terms_agreed: true" in result["msg"]

    def test_registration_says_what_was_agreed_to(self, run: Any) -> None:
        terms = get("/cluster/acme/tos", "https://ca.example.org/terms", directory=DIRECTORY)
        given = {
            "name": "default",
            "contact": "a@example.org",
            "directory": DIRECTORY,
            "tos_url": "https://ca.example.org/terms",
        }
        secret = {"eab-kid": "office", "eab-hmac-key": "c2VjcmV0"}
        steps = [
            get("/cluster/acme/account", []),
            terms,
            post("/cluster/acme/account", None, **given, **secret),
            LIST,
            get("/cluster/acme/account/default", ACCOUNT),
        ]
        element = {**WANTED, "terms_agreed": True, "eab_kid": "office", "eab_hmac_key": "c2VjcmV0"}
        result = run("acme_accounts", steps, accounts=[element])
        assert result["changed"], result
        assert "c2VjcmV0" not in str(result)

    @pytest.mark.parametrize(
        ("field", "value"), [("directory", "https://other.example.org/directory"), ("eab_kid", "other")]
    )
    def test_what_is_fixed_is_not_changed(self, run: Any, field: str, value: str) -> None:
        protected = urlsafe_b64encode(b'{"alg": "HS256", "kid": "office"}').decode().rstrip("=")
        bound = {**ACCOUNT, "account": {**ACCOUNT["account"], "externalAccountBinding": {"protected": protected}}}  # type: ignore[dict-item]
        steps = [LIST, get("/cluster/acme/account/default", bound)]
        result = run("acme_accounts", steps, accounts=[{**WANTED, "eab_kid": "office", field: value}])
        assert f"{field} is " in result["msg"]
        assert "fixed when the ACME account is created" in result["msg"]

    def test_a_password_goes_before_a_token(self, run: Any) -> None:
        login = post(
            "/access/ticket", {"ticket": "T", "CSRFPreventionToken": "C"}, username="root@pam", password="geheim"
        )
        steps = [login, LIST, get("/cluster/acme/account/default", ACCOUNT)]
        assert not run("acme_accounts", steps, api_password="geheim", accounts=[WANTED])["changed"]


def certificates(run: Any, steps: list[Step], *, check: bool = False, **more: Any) -> Any:
    return run("acme_certificates", steps, check=check, certificates=[{"node": "pve1", **more}])


class TestCertificates:
    """What is ordered when."""

    def test_one_that_covers_the_domains_for_long_enough_stays(self, run: Any) -> None:
        assert not certificates(run, [NODES, CONFIG, info()])["changed"]
        assert not certificates(run, [NODES, CONFIG, info(days=11)], renew_before=10)["changed"]

    @pytest.mark.parametrize(
        ("before", "call", "more"),
        [
            (info(own=False), post("/nodes/pve1/certificates/acme/certificate", UPID), {}),
            (info(san=("a.example.org",)), post("/nodes/pve1/certificates/acme/certificate", UPID, force=1), {}),
            (info(days=9), put("/nodes/pve1/certificates/acme/certificate", UPID, force=1), {"renew_before": 10}),
            (info(), post("/nodes/pve1/certificates/acme/certificate", UPID, force=1), {"force": True}),
        ],
        ids=["none", "other domains", "ends soon", "forced"],
    )
    def test_one_is_ordered(self, run: Any, before: Step, call: Step, more: dict[str, Any]) -> None:
        predicted = certificates(run, [NODES, CONFIG, before], check=True, **more)
        steps = [NODES, CONFIG, before, status(), status(), call, *task(), info(), CONFIG, info()]
        done = certificates(run, steps, **more)
        assert predicted["changed"]
        assert done.get("plan") == predicted["plan"], done

    def test_the_tasks_own_words_and_what_to_do(self, run: Any) -> None:
        said = "validating challenge 'https://ca.example.org/authz/1' failed - status: invalid"
        call = post("/nodes/pve1/certificates/acme/certificate", UPID)
        steps = [NODES, CONFIG, info(own=False), status(), status(), call, *task(said, "Triggering validation")]
        result = certificates(run, steps)
        assert said in result["msg"]
        assert "Triggering validation" in result["msg"]
        assert "port 80" in result["msg"]
        assert result["not_done"][0]["object"] == "ACME certificate of pve1"

    def test_without_domains_there_is_nothing_to_order(self, run: Any) -> None:
        nothing = get("/nodes/pve1/config", {"digest": "0"})
        result = certificates(run, [NODES, nothing, info(own=False)])
        assert "acme_domains" in result["msg"]
        predicted = certificates(run, [NODES, nothing, info(own=False)], check=True)
        assert not predicted["changed"]
        assert predicted["unknown"] == ["certificates[0] (of pve1): pve1 has no ACME domains yet"]

    def test_an_authority_of_short_lives_is_told_of(self, run: Any) -> None:
        call = post("/nodes/pve1/certificates/acme/certificate", UPID)
        steps = [NODES, CONFIG, info(own=False), status(), status(), call, *task(), info(days=6), CONFIG, info(days=6)]
        result = certificates(run, steps)
        assert "valid for 6 days only" in result["warnings"][0]

    def test_a_node_that_nobody_vouches_for(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def stranger(*_: object) -> str:
            raise TrustError("no authority that is trusted here vouches for it")

        monkeypatch.setattr(_acme_certificates, "vouched_fingerprint", stranger)
        changed = TrustError("another certificate")
        call = post("/nodes/pve1/certificates/acme/certificate", UPID)
        steps = [
            *(NODES, CONFIG, info(own=False), status(), status(), call),
            broken("GET", f"/nodes/pve1/tasks/{UPID}/status", changed),
            broken("GET", "/nodes/pve1/certificates/info", changed),
        ]
        result = certificates(run, steps)
        assert "nobody vouches for it" in result["msg"]

    def test_an_authority_vouches_for_a_node_that_is_alone(
        self, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        asked = []

        def vouched(address: str, port: int, name: str, *_: object) -> str:
            asked.append((address, port, name))
            return SHOWN

        monkeypatch.setattr(_acme_certificates, "vouched_fingerprint", vouched)
        call = post("/nodes/pve1/certificates/acme/certificate", UPID)
        changed = TrustError("another certificate")
        steps = [
            *(NODES, CONFIG, info(own=False), status(), status(), call),
            broken("GET", f"/nodes/pve1/tasks/{UPID}/status", changed),
            broken("GET", "/nodes/pve1/certificates/info", changed),
            *(*task(), info(), CONFIG, info()),
        ]
        trust = tmp_path / "trust.json"
        result = run("acme_certificates", steps, api_trust_file=str(trust), certificates=[{"node": "pve1"}])
        assert result["changed"], result
        assert asked == [("192.0.2.11", 8006, "a.example.org")]
        assert SHOWN in trust.read_text()
