# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that no server shows: changed in the inventory, they are sent when that is said, and written nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..backups import Api
from ..receiver import Receiver, receiving
from .conftest import Lab, Run

pytestmark = pytest.mark.long

TAGS = ("--tags", "backup_server,notifications,access,backup")
TOKEN, TOKEN_FILE = "vault@pbs!nodes", "{{ lab_dir }}/secrets-{{ inventory_hostname }}-vault"
OLD, NEW = "first-and-not-yet-known", "second-and-not-yet-known"
SENT = ("-e", "pve_update_secrets=true", "-e", "pbs_update_secrets=true")
PLACES = {"webhook", "realm", "user", "backup server's user"}
"""Where it shows which secret a server has; the storage and the remote work or do not."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def wanted(receiver: Receiver, secret: str) -> dict[str, Any]:
    """Layers over the lab's variables, with the same secret everywhere."""
    return {
        "pve_backup_classes": None,
        "pve_backup_now": None,
        "pbs_users__vault": [{"userid": "vault@pbs", "password": secret}],
        "pbs_tokens__vault": [{"tokenid": TOKEN, "secret_file": TOKEN_FILE, "regenerate": True}],
        "pbs_acls__vault": [
            {"path": "/datastore/main", "auth_id": "vault@pbs", "role": "DatastoreAdmin"},
            {"path": "/datastore/main", "auth_id": TOKEN, "role": "DatastoreBackup"},
        ],
        "pbs_remotes__vault": [
            {
                "name": "vault",
                "host": "{{ hostvars.pbs1.pbs_address }}",
                "auth_id": "vault@pbs",
                "password": secret,
                "fingerprint": "{{ hostvars.pbs1.pbs_fingerprint }}",
            }
        ],
        "pve_backup_storages__vault": [
            {
                "storage": name,
                "server": "{{ hostvars.pbs1.pbs_address }}",
                "fingerprint": "{{ hostvars.pbs1.pbs_fingerprint }}",
                "datastore": "main",
                **login,
            }
            for name, login in {
                "vault": {"username": "vault@pbs", "password": secret},
                "token": {"username": TOKEN, "password_file": TOKEN_FILE.replace("inventory_hostname", "'pbs1'")},
            }.items()
        ],
        "pve_users__vault": [{"userid": "door@pve", "password": secret}],
        "pve_realms": [
            {"realm": "company", "type": "ldap", "server1": "192.0.2.1", "base_dn": "dc=test", "user_attr": "uid"}
            | {"bind_dn": "cn=pve", "password": secret, "check_connection": False}
        ],
        "pve_notification_endpoints": [
            {"name": "tickets", "type": "webhook", "url": f"{receiver.url}/new", "method": "post"}
            | {"headers": {"X-Key": "{% raw %}{{ secrets.key }}{% endraw %}"}, "secrets": {"key": secret}}
        ],
    }


def has(lab: Lab, receiver: Receiver, secret: str) -> set[str]:
    """Which of the places have this secret; whatever uses the backup server's has to work."""
    receiver.posts.clear()
    lab.api("pve1", "POST", "/cluster/notifications/targets/tickets/test")
    server = Api(host_address(lab, "pbs1"))
    seen = {
        "webhook": receiver.posts[-1].headers.get("X-Key") == secret,
        "realm": (lab.directory / "hosts/pve1/root/etc/pve/priv/realm/company.pw").read_text().strip() == secret,
        "user": lets_in(Api(lab.address("pve1"), "PVE"), "door@pve", secret),
        "backup server's user": lets_in(server, "vault@pbs", secret),
    }
    for name in ("vault", "token"):
        assert lab.api("pve1", "GET", f"/nodes/pve1/storage/{name}/status")["active"], name
    root = Api(host_address(lab, "pbs2")).login("root@pam", lab.password)
    assert [store["store"] for store in root.data("GET", "/config/remote/vault/scan")] == ["main"]
    return {name for name, there in seen.items() if there}


def lets_in(api: Api, user: str, password: str) -> bool:
    return api("POST", "/access/ticket", username=user, password=password).status_code == 200


def host_address(lab: Lab, name: str) -> str:
    stack = json.loads((lab.directory / "stack.json").read_text(encoding="utf-8"))
    return str(stack["hosts"][name]["address"])


def site(lab: Lab, given: dict[str, Any], *arguments: str, book: str = "site.yml") -> Run:
    """A run with variables from a file, as from a vault; it has to succeed."""
    file = lab.directory.parent / "given.json"
    file.write_text(json.dumps(given), encoding="utf-8")
    run = lab.playbook(book, *TAGS, "--diff", "-e", f"@{file}", *arguments)
    assert run.status == 0, run.output
    return run


def written(lab: Lab, *files: Path) -> str:
    """All that runs have left on the control node."""
    records = [path for path in (lab.directory / "records").rglob("*") if path.is_file()]
    assert [path.name for path in records if path.name == "audit.jsonl"] != []
    return "".join(path.read_text(encoding="utf-8") for path in [*records, *files])


def test_a_changed_secret_is_sent_when_that_is_said(module_lab: Lab, receiver: Receiver, tmp_path: Path) -> None:
    lab, old, new = module_lab, wanted(receiver, OLD), wanted(receiver, NEW)
    made = site(lab, old)
    assert has(lab, receiver, OLD) == PLACES

    # nobody can tell that it is another one
    assert site(lab, new).changed == 0
    assert has(lab, receiver, NEW) == set()

    # a token's secret is made anew when its file is gone
    token = lab.directory / "secrets-pbs1-vault"
    secrets = [token.read_text().strip()]
    token.unlink()
    file = tmp_path / "plan.json"
    planned = site(lab, new, *SENT, "-e", f"plan_file={file}", book="playbooks/plan.yml")
    assert planned.says("0 written")
    assert has(lab, receiver, NEW) == set()

    done = site(lab, new, *SENT, "-e", f"plan={file}")
    assert done.changed > 0
    assert has(lab, receiver, NEW) == PLACES
    assert has(lab, receiver, OLD) == set()
    secrets.append(token.read_text().strip())
    assert secrets[0] != secrets[1]

    left = "".join(run.output for run in (made, planned, done)) + written(lab, file)
    assert [secret for secret in (OLD, NEW, *secrets) if secret in left] == []
