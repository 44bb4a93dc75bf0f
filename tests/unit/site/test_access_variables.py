# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong with the variables about access and notifications without asking a server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._site_checks import problems

SITE: dict[str, Any] = {
    "pve_roles": [{"roleid": "Operator", "privs": ["VM.Audit"]}],
    "pve_groups": [{"groupid": "watchers"}, {"groupid": "theirs", "state": "ignore"}],
    "pve_users": [{"userid": "ann@pve", "groups": ["watchers", "theirs"]}, {"userid": "eve@example"}],
    "pve_api_tokens": [{"tokenid": "ann@pve!t", "secret_file": "f"}, {"tokenid": "root@pam!t", "secret_file": "g"}],
    "pve_acls": [
        {"path": "/", "auth_id": "ann@pve", "role": "PVEAuditor"},
        {"path": "/pool/web", "auth_id": "ann@pve!t", "role": "Operator"},
        {"path": "/vms/101/", "auth_id": "@watchers", "role": "NoAccess"},
        {"path": "/access/realm/example", "auth_id": "bob@example", "role": "Administrator"},
    ],
    "pve_notification_endpoints": [{"name": "mail", "type": "sendmail", "mailto": ["a@example.com"]}],
    "pve_notification_matchers": [
        {"name": "all", "targets": ["mail", "mail-to-root"], "match_field": ["exact:type=x"]}
    ],
    "pve_metric_servers": [{"id": "g", "type": "graphite", "server": "h", "port": 2003}],
    "pve_realms": [{"realm": "pve", "comment": "ours"}],
    "pve_pools": [{"poolid": "web", "guests": [101]}],
}


def matcher(**more: Any) -> dict[str, Any]:
    return {"pve_notification_matchers": [{"name": "m", "targets": ["mail"], **more}]}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a job for a realm without a directory": (
        {"pve_realm_sync_jobs": [{"id": "a", "realm": "pam", "schedule": "daily"}]},
        "pve_realm_sync_jobs[0] (a): the realm pam has no directory",
    ),
    "a job for a realm that is nowhere": (
        {"pve_realm_sync_jobs": [{"id": "a", "realm": "other", "schedule": "daily"}]},
        "pve_realm_sync_jobs[0] (a): the realm other is not in pve_realms (pve)",
    ),
    "a rule for nobody": (
        {"pve_acls": [{"path": "/", "auth_id": "bob@pve", "role": "PVEAuditor"}]},
        "pve_acls[0] (/): the user bob@pve is not in pve_users (ann@pve, eve@example).",
    ),
    "a rule for no token": (
        {"pve_acls": [{"path": "/", "auth_id": "ann@pve!u", "role": "PVEAuditor"}]},
        "the API token ann@pve!u is not in pve_api_tokens (ann@pve!t, root@pam!t).",
    ),
    "a rule for no group": (
        {"pve_acls": [{"path": "/", "auth_id": "@wachters", "role": "PVEAuditor"}]},
        "the group wachters is not in pve_groups (theirs, watchers). If others look after it, list it with state:",
    ),
    "no such role": (
        {"pve_acls": [{"path": "/", "auth_id": "ann@pve", "role": "Opreator"}]},
        "the role Opreator is not in pve_roles (Operator).",
    ),
    "no such path": (
        {"pve_acls": [{"path": "/vm/101", "auth_id": "ann@pve", "role": "PVEAuditor"}]},
        "there is no path /vm/101. Paths begin with /access,",
    ),
    "a user in no group": (
        {"pve_users": [{"userid": "ann@pve", "groups": ["wachters"]}]},
        "pve_users[0] (ann@pve): the group wachters is not in pve_groups (theirs, watchers).",
    ),
    "a user of no realm": (
        {"pve_users": [{"userid": "ann@pve"}, {"userid": "ann"}]},
        "pve_users[1] (ann): userid must be like name@realm.",
    ),
    "nobody without root": (
        {"pve_users": [{"userid": "ann@pve"}, {"userid": "root@pam", "state": "absent"}]},
        "pve_users[1] (root@pam): root@pam cannot be removed.",
    ),
    "a realm that stays": (
        {"pve_realms": [{"realm": "pam", "state": "absent"}]},
        "pve_realms[0] (pam): pam cannot be removed.",
    ),
    "two defaults": (
        {"pve_realms": [{"realm": "a", "type": "ad", "default": True}, {"realm": "pve", "default": True}]},
        "pve_realms[1] (pve): pve_realms[0] (a) is the default realm already. Only one can be.",
    ),
    "a role of the server": (
        {"pve_roles": [{"roleid": "Operator"}, {"roleid": "PVEMine"}]},
        "pve_roles[1] (PVEMine): names like PVEMine are for the server's own roles.",
    ),
    "a token without a place for its secret": (
        {"pve_api_tokens": [{"tokenid": "ann@pve!t"}]},
        "pve_api_tokens[0] (ann@pve!t): secret_file is missing: the server says the secret only once.",
    ),
    "a guest in two pools": (
        {"pve_pools": [{"poolid": "a", "guests": [101]}, {"poolid": "b", "guests": [101]}]},
        "pve_pools[1] (b): guest 101 stands in pve_pools[0] (a) too. A guest is in one pool only.",
    ),
    "an unknown target": (
        matcher(targets=["mial"]),
        "pve_notification_matchers[0] (m): the target mial is not in pve_notification_endpoints (mail).",
    ),
    "one name for two things": (
        {"pve_notification_matchers": [{"name": "mail", "targets": ["mail"]}]},
        "pve_notification_matchers[0] (mail): an endpoint has the same name.",
    ),
    "a condition that is none": (
        matcher(match_field=["type=vzdump"]),
        "match_field must be like exact:type=vzdump or regex:hostname=^pve, is type=vzdump.",
    ),
    "no such severity": (matcher(match_severity=["eror"]), "there is no severity eror. There are: info, notice,"),
    "severities that exclude each other": (
        matcher(match_severity=["warning", "error"]),
        'cannot all hold at once. For any of them, write one element: ["error,warning"].',
    ),
    "mail to nobody": (
        {"pve_notification_endpoints": [{"name": "mail", "type": "smtp", "server": "h", "from_address": "a@b.c"}]},
        "pve_notification_endpoints[0] (mail): nobody would get the mails. Give mailto or mailto_user.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_found(name: str) -> None:
    variables, text = WRONG[name]
    rest = {name: value for name, value in SITE.items() if name != "pve_acls"}
    (found,) = problems({**rest, **variables}, [])
    assert text in found


def test_what_is_right_is_left_in_peace() -> None:
    assert problems(SITE, []) == []
