# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How domains are proven, as priv/acme/plugins.cfg says."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from agentstack._shared.lists import split_list
from agentstack.errors import AgentError
from agentstack.sections import Entry, SectionFile, SectionType

if TYPE_CHECKING:
    from agentstack.host import Host

STANDALONE = "standalone"
FILE = SectionFile(
    "priv/acme/plugins.cfg",
    "file-priv_acme_plugins_cfg",
    {
        "dns": SectionType(("api",), frozenset(), frozenset({"data", "disable", "nodes", "validation-delay"})),
        STANDALONE: SectionType((), frozenset(), frozenset({"disable", "nodes"})),
    },
    {"validation-delay": "integer"},
)

TEXTS = {
    "missing": "ACME plugin '{id}' not defined",
    "off": "ACME plugin '{id}' is disabled or not available on node '{node}'",
}


def read(host: Host) -> tuple[dict[str, Entry], str]:
    """All plugins and the file's digest; the one that needs no configuration is always there."""
    entries, digest = FILE.read(host)
    entries.setdefault(STANDALONE, Entry(STANDALONE, STANDALONE))
    return entries, digest


def usable(host: Host, ident: str) -> Entry:
    """A plugin that this node may use; raises AgentError."""
    found = read(host)[0].get(ident)
    if found is None:
        raise AgentError(TEXTS["missing"].format(id=ident))
    nodes = split_list(found.values.get("nodes", ""))
    if found.values.get("disable") or (nodes and host.name not in nodes):
        raise AgentError(TEXTS["off"].format(id=ident, node=host.name))
    return found


def decoded(data: str) -> str:
    """A plugin's credentials, lines of NAME=VALUE, as the API takes and the file keeps them; raises ValueError."""
    plain = data.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("unable to decode data") from error
