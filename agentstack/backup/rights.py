# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read a backup: whoever may use space on its storage and back up the guest that it is of.

As the API's documentation has it for configurations in backups and for volumes; `Datastore.Allocate` is enough by
itself. Lists leave out what somebody may not read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.access import Identity
    from agentstack.host import Host

_GUEST = re.compile(r"(?:vzdump-(?:qemu|lxc)-|backup/(?:vm|ct)/)(\d+)[-/]")


def _needed(volid: str) -> list[tuple[str, list[str]]]:
    storage = volid.partition(":")[0]
    guest = _GUEST.search(volid)
    needed = [(f"/storage/{storage}", ["Datastore.AllocateSpace"])]
    return [*needed, (f"/vms/{guest[1]}", ["VM.Backup"])] if guest else needed


def may_read(host: Host, identity: Identity, volid: str) -> bool:
    """Whether somebody may read the backup of that name (`STORAGE:…`)."""
    if host.access.may(identity, f"/storage/{volid.partition(':')[0]}", ["Datastore.Allocate"]):
        return True
    return all(host.access.may(identity, path, privileges) for path, privileges in _needed(volid))


def check_read(host: Host, identity: Identity, volid: str) -> None:
    """Raise the 403 of facts §1.3 if `may_read` says no."""
    if not may_read(host, identity, volid):
        for path, privileges in _needed(volid):
            host.access.check(identity, path, privileges)
