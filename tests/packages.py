# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts without a subscription that ask the public repositories, as their administrator would set them up."""

from __future__ import annotations

from .api_client import Root
from .stacks import RunningStack


def ask_public_repositories(stack: RunningStack, *names: str) -> None:
    """Disable those for customers, enable the public one, and fetch the lists."""
    for name in names:
        root, path = Root(stack, name), f"/nodes/{name}/apt"
        for file in root("GET", f"{path}/repositories")["files"]:
            for index, entry in enumerate(file["repositories"]):
                if "enterprise" in entry["URIs"][0]:
                    root("POST", f"{path}/repositories", path=file["path"], index=index, enabled=0)
        root("PUT", f"{path}/repositories", handle="no-subscription")
        root.run("POST", f"{path}/update")
