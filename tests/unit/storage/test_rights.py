# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is shown which volumes, and who may remove them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agentstack.access import Identity
from agentstack.errors import AgentError
from agentstack.storage.rights import check_remove, check_see, may_see
from agentstack.storage.volumes import Volume

SOMEBODY = Identity("a@pve")
STORAGE, GUEST = "/storage/local", "/vms/100"
VOLUMES = {
    "disk": Volume("local:100/vm-100-disk-0.raw", "images", "raw", 1, 1, 0, 100),
    "tree": Volume("local:100/subvol-100-disk-0", "rootdir", "subvol", 1, 1, 0, 100),
    "backup": Volume("local:backup/vzdump-qemu-100-2026_11_21-22_30_00.vma.zst", "backup", "vma.zst", 1, 1, 0, 100),
    "medium": Volume("local:iso/debian.iso", "iso", "iso", 1, 1, 0, None),
    "template": Volume("local:vztmpl/debian.tar.zst", "vztmpl", "tar.zst", 1, 1, 0, None),
    "hook": Volume("local:snippets/hook.pl", "snippets", "snippet", 1, 1, 0, None),
}


def host_with(rights: Mapping[str, set[str]]) -> Any:
    def may(identity: Identity, path: str, privileges: Iterable[str], any: bool = False) -> bool:
        wanted = set(privileges)
        return bool(wanted & rights.get(path, set())) if any else wanted <= rights.get(path, set())

    def check(identity: Identity, path: str, privileges: Iterable[str], any: bool = False) -> None:
        if not may(identity, path, privileges, any):
            raise AgentError(f"{path}, {'|'.join(privileges)}", status=403)

    return cast(Any, SimpleNamespace(access=SimpleNamespace(may=may, check=check)))


@pytest.mark.parametrize(
    ("rights", "shown", "removable"),
    [
        ({STORAGE: {"Datastore.Audit"}}, {"medium", "template"}, set()),
        ({STORAGE: {"Datastore.AllocateSpace"}}, {"medium", "template"}, set()),
        ({STORAGE: {"Datastore.Audit"}, GUEST: {"VM.Audit", "VM.Backup"}}, {"medium", "template"}, set()),
        (
            {STORAGE: {"Datastore.AllocateSpace"}, GUEST: {"VM.Backup"}},
            {"medium", "template", "backup"},
            {"backup"},
        ),
        ({STORAGE: {"Datastore.Audit"}, GUEST: {"VM.Config.Disk"}}, {"medium", "template", "disk", "tree"}, set()),
        ({STORAGE: {"Datastore.Audit"}, "/vms/101": {"VM.Config.Disk"}}, {"medium", "template"}, set()),
        ({STORAGE: {"Datastore.Allocate"}}, set(VOLUMES), set(VOLUMES)),
    ],
)
def test_volumes_are_shown_to_those_whom_they_concern(
    rights: Mapping[str, set[str]], shown: set[str], removable: set[str]
) -> None:
    host = host_with(rights)
    assert {name for name, volume in VOLUMES.items() if may_see(host, SOMEBODY, volume)} == shown

    for check, granted in ((check_see, shown), (check_remove, removable)):
        for name, volume in VOLUMES.items():
            if name in granted:
                check(host, SOMEBODY, volume)
            else:
                with pytest.raises(AgentError) as refused:
                    check(host, SOMEBODY, volume)
                assert refused.value.status == 403
