# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody's work is overwritten: what the server is told of how its configuration was when it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._collection import Collection

from .scripted import Step, get, refused
from .test_every_module import MODULES

OLD = "a" * 40
MODIFIED = "detected modified configuration - file changed by other user? Try again."
AGAIN = "Somebody else changed it in the meantime; run again."
Run = Callable[..., dict[str, Any]]
MATCHER = {"name": "m", "target": ["mail"], "origin": "user-created"}
GUARDED: dict[str, Any] = {"ssh_password": "x", "nodes": [], "rollback_after": 0}


@dataclass(frozen=True)
class Case:
    """One change: what is read before it, the call that has to carry the digest, and what makes the module do it."""

    reads: list[Step]
    write: Step
    given: dict[str, Any] = field(default_factory=dict)


def beside(path: str, *objects: dict[str, Any]) -> Step:
    """A backup server's list, which has its file's digest beside it."""
    return replace(get(path, None), body={"data": list(objects), "digest": OLD})


def one_of(path: str, shown: dict[str, Any], url: str, sent: dict[str, Any], **given: Any) -> Case:
    """An object of a backup server that is changed."""
    return Case([beside(path, shown)], Step("PUT", url, sent), given)


def listed(path: str, shown: dict[str, Any], url: str, sent: dict[str, Any], **given: Any) -> Case:
    """An object of a node, where every row of the list has the digest."""
    return Case([get(path, [{**shown, "digest": OLD}])], Step("PUT", url, sent), given)


def alone(path: str, shown: dict[str, Any]) -> Step:
    """An object of a backup server by itself, with the digest beside it."""
    return replace(get(path, None), body={"data": shown, "digest": OLD})


def again(path: str, shown: dict[str, Any], url: str, sent: dict[str, Any], **given: Any) -> Case:
    """An object whose list has no digest."""
    return Case([get(path, [shown]), get(url, {**shown, "digest": OLD})], Step("PUT", url, sent), given)


NEW = {"comment": "new"}
FW = "/cluster/firewall"
NOTIFY, TOLD = "/cluster/notifications", "/config/notifications"
PUSH = {"name": "push", "server": "http://h", "origin": "user-created"}
CASES: dict[str, Case] = {
    "pbs_users": one_of(
        "/access/users", {"userid": "a@pbs"}, "/access/users/a@pbs", NEW, users=[{"userid": "a@pbs", **NEW}]
    ),
    "pbs_tokens": Case(
        [
            replace(
                get("/access/users", None, include_tokens=1),
                body={"data": [{"userid": "a@pbs", "tokens": [{"tokenid": "a@pbs!t"}]}], "digest": OLD},
            )
        ],
        Step("DELETE", "/access/users/a@pbs/token/t", {}),
        {"tokens": [{"tokenid": "a@pbs!t", "state": "absent"}]},
    ),
    "pbs_acls": Case(
        [beside("/access/acl", {"path": "/", "ugid": "a@pbs", "roleid": "Audit", "propagate": True})],
        Step("PUT", "/access/acl", {"path": "/", "auth-id": "a@pbs", "role": "Audit", "delete": 1}),
        {"acls": [{"path": "/", "auth_id": "a@pbs", "role": "Audit", "state": "absent"}]},
    ),
    "pbs_datastores": one_of(
        "/config/datastore",
        {"name": "main", "path": "/m"},
        "/config/datastore/main",
        NEW,
        datastores=[{"name": "main", **NEW}],
    ),
    "pbs_remotes": one_of(
        "/config/remote",
        {"name": "r", "host": "h", "auth-id": "a@pbs"},
        "/config/remote/r",
        NEW,
        remotes=[{"name": "r", **NEW}],
    ),
    "pbs_traffic_controls": one_of(
        "/config/traffic-control",
        {"name": "r", "network": ["192.0.2.0/24"]},
        "/config/traffic-control/r",
        NEW,
        rules=[{"name": "r", **NEW}],
    ),
    **{
        f"pbs_{kind}_jobs": one_of(
            f"/config/{kind}",
            {"id": "j", "store": "main", "remote-store": "main", "schedule": "daily"},
            f"/config/{kind}/j",
            NEW,
            jobs=[{"id": "j", **NEW}],
        )
        for kind in ("prune", "verify")
    },
    "pbs_sync_jobs": Case(
        [
            replace(
                beside("/config/sync", {"id": "j", "store": "main", "remote-store": "main"}),
                params={"sync-direction": "all"},
            )
        ],
        Step("DELETE", "/config/sync/j", {}),
        {"jobs": [{"id": "j", "state": "absent"}]},
    ),
    "storages": listed(
        "/storage",
        {"storage": "d", "type": "dir", "path": "/d"},
        "/storage/d",
        {"content": "iso"},
        storages=[{"storage": "d", "content": ["iso"]}],
    ),
    "ha_resources": listed(
        "/cluster/ha/resources",
        {"sid": "vm:1", "type": "vm", "state": "started"},
        "/cluster/ha/resources/vm:1",
        NEW,
        resources=[{"sid": "vm:1", **NEW}],
        wait=False,
    ),
    "ha_rules": listed(
        "/cluster/ha/rules",
        {"rule": "r", "type": "node-affinity", "nodes": "pve1", "resources": "vm:1"},
        "/cluster/ha/rules/r",
        {"type": "node-affinity", **NEW},
        rules=[{"name": "r", **NEW}],
        wait=False,
    ),
    "ha_groups": Case(
        [
            get("/cluster/ha/groups", [{"group": "g", "nodes": "pve1", "type": "group", "digest": OLD}]),
            get("/cluster/ha/resources", []),
        ],
        Step("PUT", "/cluster/ha/groups/g", NEW),
        {"groups": [{"name": "g", **NEW}], "wait": False},
    ),
    "acme_plugins": listed(
        "/cluster/acme/plugins",
        {"plugin": "p", "type": "dns", "api": "cf"},
        "/cluster/acme/plugins/p",
        {"disable": 1},
        plugins=[{"id": "p", "disable": True}],
    ),
    "realms": Case(
        [
            get("/access/domains", [{"realm": "pve", "type": "pve"}]),
            get("/access/domains/pve", {"type": "pve", "digest": OLD}),
        ],
        Step("PUT", "/access/domains/pve", NEW),
        {"realms": [{"realm": "pve", **NEW}]},
    ),
    "replication_jobs": again(
        "/cluster/replication",
        {"id": "104-0", "guest": 104, "jobnum": 0, "target": "pve2", "source": "pve1", "type": "local"},
        "/cluster/replication/104-0",
        NEW,
        jobs=[{"guest": 104, "target": "pve2", **NEW}],
    ),
    "notification_matchers": again(
        f"{NOTIFY}/matchers", MATCHER, f"{NOTIFY}/matchers/m", NEW, matchers=[{"name": "m", **NEW}]
    ),
    "notification_endpoints": Case(
        [
            get(f"{NOTIFY}/targets", [{"name": "push", "type": "gotify", "origin": "user-created"}]),
            get(f"{NOTIFY}/endpoints/gotify", [PUSH]),
            get(f"{NOTIFY}/endpoints/gotify/push", {**PUSH, "digest": OLD}),
        ],
        Step("PUT", f"{NOTIFY}/endpoints/gotify/push", NEW),
        {"endpoints": [{"name": "push", **NEW}]},
    ),
    "pbs_notification_matchers": Case(
        [get(f"{TOLD}/matchers", [MATCHER]), alone(f"{TOLD}/matchers/m", MATCHER)],
        Step("PUT", f"{TOLD}/matchers/m", NEW),
        {"matchers": [{"name": "m", **NEW}]},
    ),
    "pbs_notification_endpoints": Case(
        [
            get(f"{TOLD}/targets", [{"name": "push", "type": "gotify", "origin": "user-created"}]),
            get(f"{TOLD}/endpoints/gotify", [PUSH]),
            alone(f"{TOLD}/endpoints/gotify/push", PUSH),
        ],
        Step("PUT", f"{TOLD}/endpoints/gotify/push", NEW),
        {"endpoints": [{"name": "push", **NEW}]},
    ),
    "firewall_aliases": Case(
        [get(f"{FW}/aliases", [{"name": "a", "cidr": "192.0.2.1", "digest": OLD}])],
        Step("PUT", f"{FW}/aliases/a", {"cidr": "192.0.2.1", **NEW}),
        {"aliases": [{"name": "a", **NEW}]},
    ),
    "ip_sets": Case(
        [get(f"{FW}/ipset", [{"name": "s", "digest": OLD}]), get(f"{FW}/ipset/s", [])],
        Step("POST", f"{FW}/ipset", {"name": "s", "rename": "s", **NEW}),
        {"sets": [{"name": "s", **NEW}]},
    ),
    "security_groups": Case(
        [get(f"{FW}/groups", [{"group": "g", "digest": OLD}])],
        Step("POST", f"{FW}/groups", {"group": "g", "rename": "g", **NEW}),
        {"groups": [{"name": "g", **NEW}]},
    ),
    "firewall_options": Case(
        [
            get("/cluster/resources", [{"vmid": 101, "type": "qemu", "node": "pve1"}], type="vm"),
            get("/nodes/pve1/qemu/101/firewall/options", {"digest": OLD}),
        ],
        Step("PUT", "/nodes/pve1/qemu/101/firewall/options", {"dhcp": "1"}),
        {"firewalls": [{"scope": "guest", "guest": 101, "options": {"dhcp": True}}], **GUARDED},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_somebody_else_changed_meanwhile_is_not_overwritten(run: Run, name: str) -> None:
    """The write carries what was read, and the server's refusal is an error that says what to do."""
    case = CASES[name]
    sent = {**(case.write.params or {}), "digest": OLD}
    status = 400 if name.startswith("pbs_") else 500
    no = replace(refused(case.write.method, case.write.path, status, MODIFIED), params=sent)
    result = run(name, [*case.reads, no], **case.given)
    assert result["failed"]
    assert not result["changed"]
    assert MODIFIED.rstrip(".") in result["msg"]
    assert AGAIN in result["msg"]


@pytest.mark.parametrize("name", ["replication_jobs", "notification_matchers", "notification_endpoints"])
def test_what_is_read_once_more_and_has_changed_is_left_alone(run: Run, name: str) -> None:
    case = CASES[name]
    *before, last = case.reads
    result = run(name, [*before, replace(last, data={**last.data, "comment": "theirs"})], **case.given)
    assert result["failed"]
    assert "somebody else changed" in result["msg"]
    assert "in the meantime: comment. Run again" in result["msg"]


def test_every_kind_that_is_locked_has_a_case() -> None:
    locked = set()
    for name in MODULES:
        module = import_module(f"ansible_collections.quorate.pve.plugins.modules.{name}")
        kinds = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Collection)]
        if any(kind.spec.digest or kind.spec.item_digest for kind in kinds if hasattr(kind, "spec")):
            locked.add(name)
    assert locked <= set(CASES)
