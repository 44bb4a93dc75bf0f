# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of tasks, access control, the files of /etc/proxmox-backup, and which groups a synchronisation takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.pbs.roles import Acl, is_valid_path
from agentstack.pbs.sections import SYNC_JOBS, TRAFFIC, check_digest
from agentstack.pbs.snapshots import Group, owns
from agentstack.pbs.sync import matches
from agentstack.pbs.upid import PbsUpid, escape, parse_upid, unescape


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_worker_ids_come_back_from_their_escaped_form(text: str) -> None:
    assert unescape(escape(text)) == text
    assert ":" not in escape(text)
    assert " " not in escape(text)


def test_a_upid_has_one_field_more_than_a_nodes() -> None:
    upid = PbsUpid("pbs1", 1, 0x1234, 1_790_000_000, "backup", "main:vm/100", "nodes@pbs!ha", task_id=7)
    assert str(upid) == "UPID:pbs1:00000001:00001234:00000007:6AB13B80:backup:main\\x3avm-100:nodes@pbs!ha:"
    assert parse_upid(str(upid)) == upid
    assert upid.directory == "34"
    assert parse_upid("UPID:pve1:0000007A:000226B6:6B01F360:clusterjoin::root@pam:") is None


def test_the_deepest_entry_counts_and_noaccess_takes_everything() -> None:
    acl = Acl()
    acl.put("/datastore", "a@pbs", "DatastoreAdmin", True)
    acl.put("/datastore/main", "a@pbs", "DatastoreAudit", True)
    acl.put("/datastore/main/secret", "a@pbs", "NoAccess", True)
    assert "Datastore.Modify" in acl.privileges("a@pbs", "/datastore/other")
    assert set(acl.privileges("a@pbs", "/datastore/main/lab")) == {"Datastore.Audit"}
    assert acl.privileges("a@pbs", "/datastore/main/secret/deep") == {}
    assert acl.privileges("b@pbs", "/datastore/main") == {}
    assert list(Acl.parse(acl.format())) == list(acl)
    acl.drop("/datastore/main/secret", "a@pbs", "NoAccess")
    acl.forget_below("/datastore/main")
    assert list(acl) == [("/datastore", "a@pbs", "DatastoreAdmin", True)]


def test_an_entry_that_does_not_propagate_holds_on_its_path_alone() -> None:
    acl = Acl()
    acl.put("/datastore", "a@pbs", "Audit", False)
    assert acl.privileges("a@pbs", "/datastore")
    assert not acl.privileges("a@pbs", "/datastore/main")


@pytest.mark.parametrize(
    ("path", "valid"),
    [
        ("/", True),
        ("/datastore/main/a/b", True),
        ("/remote/first/main", True),
        ("/system/network/dns", True),
        ("/storage/x", False),
        ("/system/nowhere", False),
    ],
)
def test_access_paths(path: str, valid: bool) -> None:
    assert is_valid_path(path) is valid


def test_a_users_tokens_belong_to_the_user() -> None:
    assert owns("a@pbs!x", "a@pbs")
    assert owns("a@pbs!x", "a@pbs!x")
    assert not owns("a@pbs", "a@pbs!x")
    assert not owns("ab@pbs!x", "a@pbs")


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        ([], True),
        (["type:vm"], True),
        (["type:ct"], False),
        (["group:vm/100", "type:ct"], True),
        (["regex:vm/1.."], True),
        (["exclude:group:vm/100"], False),
        (["type:vm", "exclude:regex:00$"], False),
    ],
)
def test_group_filters(filters: list[str], taken: bool) -> None:
    assert matches(filters, Group("", "vm", "100")) is taken
    with pytest.raises(AgentError, match="invalid group filter"):
        matches([*filters, "size:big"] if not filters or taken else ["size:big"], Group("", "vm", "100"))


def test_section_files_keep_types_and_lists(tmp_path: Path) -> None:
    host = cast(Host, SimpleNamespace(root=tmp_path))
    (tmp_path / "etc/proxmox-backup").mkdir(parents=True)
    values: dict[str, Any] = {
        "store": "main",
        "remove-vanished": True,
        "max-depth": 0,
        "group-filter": ["type:vm", "all"],
    }
    sections = SYNC_JOBS.read(host)
    empty = sections.digest
    sections.of("sync")["job-1"] = values
    SYNC_JOBS.write(host, sections)
    text = (tmp_path / "etc/proxmox-backup/sync.cfg").read_text()
    assert text.startswith("sync: job-1\n\tstore main\n\tremove-vanished true\n\tmax-depth 0\n\tgroup-filter type:vm\n")
    again = SYNC_JOBS.read(host)
    assert again.of("sync") == {"job-1": values}
    assert again.digest == sections.digest != empty
    check_digest(again, again.digest)
    with pytest.raises(AgentError, match="detected modified configuration"):
        check_digest(again, empty)
    assert TRAFFIC.read(host).of("rule") == {}
