# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An export has what lists do not show, and of what servers bring along only what was changed."""

from __future__ import annotations

import base64
from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils import _detailed

from .scripted import get

NOTIFICATIONS = "/cluster/notifications"


def exported(run: Any, variable: str, *steps: Any, module: str = "export") -> Any:
    result = run(module, list(steps), variables=[variable])
    assert not result.get("failed"), result
    return result["variables"].get(variable)


def test_members_of_pools(run: Any) -> None:
    members = [{"vmid": 101, "type": "qemu"}, {"storage": "tank", "type": "storage"}]
    found = exported(
        run,
        "pve_pools",
        get("/pools", [{"poolid": "shop", "comment": "web"}]),
        get("/pools", [{"poolid": "shop", "comment": "web", "members": members}], poolid="shop"),
    )
    assert [(pool["poolid"], [str(vmid) for vmid in pool["guests"]], pool["storages"]) for pool in found] == [
        ("shop", ["101"], ["tank"])
    ]


def test_realms_with_their_settings(run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(_detailed, "side_by_side", lambda work, things: [work(thing) for thing in things])
    comments = {"pam": "Linux PAM standard authentication", "pve": "ours"}
    brought = [{"realm": name, "type": name, "comment": comment} for name, comment in comments.items()]
    company = {"realm": "company", "type": "ldap", "server1": "192.0.2.1", "base_dn": "dc=test", "user_attr": "uid"}
    found = exported(
        run,
        "pve_realms",
        get("/access/domains", [*brought, {"realm": "company", "type": "ldap"}]),
        get("/access/domains/pam", brought[0]),
        get("/access/domains/pve", brought[1]),
        get("/access/domains/company", company),
    )
    assert found == [company, brought[1]]


def test_targets_of_every_kind(run: Any) -> None:
    def target(name: str, kind: str, origin: str = "user-created") -> dict[str, str]:
        return {"name": name, "type": kind, "origin": origin}

    targets = [target("mail-to-root", "sendmail", "builtin"), target("hook", "webhook"), target("push", "gotify")]
    header = base64.b64encode(b"{{ secrets.key }}").decode()
    hook = {**targets[1], "url": "http://h", "method": "post", "header": [f"name=X-Key,value={header}"]}
    found = exported(
        run,
        "pve_notification_endpoints",
        get(f"{NOTIFICATIONS}/targets", targets),
        get(f"{NOTIFICATIONS}/endpoints/gotify", [{**targets[2], "server": "http://p"}]),
        get(f"{NOTIFICATIONS}/endpoints/webhook", [hook]),
    )
    assert [(each["name"], each.get("url"), each.get("server")) for each in found] == [
        ("hook", "http://h", None),
        ("push", None, "http://p"),
    ]
    assert found[0]["headers"] == {"X-Key": "{{ secrets.key }}"}


def test_namespaces_of_every_datastore(run: Any) -> None:
    found = exported(
        run,
        "pbs_namespaces",
        get("/config/datastore", [{"name": "main"}]),
        get("/admin/datastore/main/namespace", [{"ns": ""}, {"ns": "ha-lab"}]),
        module="pbs_export",
    )
    assert found == [{"store": "main", "ns": "ha-lab"}]
