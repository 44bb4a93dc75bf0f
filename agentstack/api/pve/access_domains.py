# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/access/domains and /access/tfa, as far as they list (facts §3.2, §17)."""

from __future__ import annotations

from agentstack._shared.section_config import config_digest, parse_section_config
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.pve.access_users import no_such_user
from agentstack.errors import AgentError

FILE = "domains.cfg"
BUILTIN = {
    "pam": {"type": "pam", "comment": "Linux PAM standard authentication"},
    "pve": {"type": "pve", "comment": "Proxmox VE authentication server"},
}


def _domains(text: str) -> dict[str, dict[str, str]]:
    return BUILTIN | {
        realm: {"type": section.type, **section.properties} for realm, section in parse_section_config(text).items()
    }


@pve("GET", "/access/domains")
async def list_domains(call: Call) -> Json:
    shown = ("type", "comment", "tfa")
    found = _domains(call.host.files.read_text(FILE, default=""))
    return shuffled(
        {
            "realm": realm,
            **{key: value for key, value in domain.items() if key in shown},
            **({"default": 1} if domain.get("default") == "1" else {}),
        }
        for realm, domain in found.items()
    )


@pve("GET", "/access/domains/{realm}")
async def get_domain(call: Call) -> Json:
    text = call.host.files.read_text(FILE, default="")
    found = _domains(text)
    if call["realm"] not in found:
        raise AgentError(f"domain '{call['realm']}' does not exist")
    return {**found[call["realm"]], "digest": config_digest(text)}


@pve("GET", "/access/tfa")
async def list_tfa(call: Call) -> Json:
    """Nobody has a second factor yet."""
    access = call.host.access
    audits = access.may(call.identity, "/access/groups", ["User.Modify", "Sys.Audit"], any=True)
    shown = [userid for userid in access.cfg.users if audits or userid == call.identity.userid]
    return shuffled({"userid": userid, "entries": []} for userid in shown)


@pve("GET", "/access/tfa/{userid}")
async def list_user_tfa(call: Call) -> Json:
    if call["userid"] not in call.host.access.cfg.users:
        raise no_such_user(call["userid"])
    return []
