# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server can do, found out by asking it instead of by its version. Private to this collection."""

from __future__ import annotations

from ._client import Client
from ._errors import ApiError


def has_ha_rules(client: Client) -> bool:
    """Whether HA affinity is a matter of rules, and failback one of resources; else both are matters of groups.

    Raises what :meth:`Client.get` raises, but for the answer that there is no such path (facts §7.1, §18).
    """
    try:
        client.get("/cluster/ha/rules")
    except ApiError as error:
        if error.unknown_path:
            return False
        raise
    return True
