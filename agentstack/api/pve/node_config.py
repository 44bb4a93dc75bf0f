# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/config: what the cluster knows of a node, in /etc/pve/nodes/NODE/config; and waking one (facts §18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentstack._shared.lists import split_list
from agentstack._shared.property_string import parse_property_string
from agentstack._shared.section_config import config_digest
from agentstack.acme.plugins import STANDALONE
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.formats import NESTED
from agentstack.api.tables import load
from agentstack.cluster.datacenter import format_options, parse_options
from agentstack.errors import AgentError, ParameterError
from agentstack.sections import check_digest

if TYPE_CHECKING:
    from agentstack.host import Host

TEXTS = {
    "local": "'{node}' is local node, cannot wake my self!",
    "no_mac": "No wake on LAN MAC address defined for '{node}'!",
    "twice": "duplicate domain '{domain}' in ACME config properties '{first}' and '{second}'",
}

_CONTROL = frozenset({"node", "delete", "digest"})


def path(node: str) -> str:
    """The file below /etc/pve."""
    return f"nodes/{node}/config"


def read(host: Host, node: str) -> tuple[dict[str, str], str]:
    """A node's settings as text, and the digest of the file."""
    text = host.files.read_text(path(node), default="")
    return parse_options(text), config_digest(text)


@pve("GET", "/nodes/{node}/config")
async def get_config(call: Call) -> Json:
    found, digest = read(call.host, call.host.name)
    wanted = call.get("property", "all")
    if wanted != "all":
        return {name: value for name, value in found.items() if name == wanted}
    return found | {"digest": digest}


@pve("PUT", "/nodes/{node}/config")
async def set_config(call: Call) -> Json:
    host = call.host
    found, digest = read(host, host.name)
    check_digest(digest, call.get("digest"))
    for name in split_list(call.get("delete")):
        found.pop(name, None)
    found |= {name: str(value) for name, value in call.params.items() if name not in _CONTROL}
    _check_domains(found)
    await host.files.write(path(host.name), format_options(found))


def _check_domains(found: dict[str, str]) -> None:
    """A domain is ordered a certificate for once."""
    seen: dict[str, str] = {}
    for name in sorted(found):
        if name == "acme":
            domains = split_list(_parsed("acme", found[name]).get("domains", "").replace(";", ","))
        elif name.startswith("acmedomain"):
            domains = [_parsed("acmedomain", found[name])["domain"]]
        else:
            continue
        for domain in domains:
            if domain in seen:
                text = TEXTS["twice"].format(domain=domain, first=seen[domain], second=name)
                raise ParameterError({name: text})
            seen[domain] = name


def _parsed(name: str, text: str) -> dict[str, str]:
    declared = load("pve9")["/nodes/{node}/config"]["PUT"].param(f"{name}0" if name == "acmedomain" else name)
    schema = declared["format"] if declared is not None else {}
    return {key: str(value) for key, value in parse_property_string(text, schema, path=name, formats=NESTED).items()}


def acme_wishes(host: Host, node: str) -> tuple[str, dict[str, str]]:
    """The account that a node orders its certificate with, and its domains with the plugins that prove them."""
    found, _ = read(host, node)
    acme = _parsed("acme", found["acme"]) if "acme" in found else {}
    domains = dict.fromkeys(split_list(acme.get("domains", "").replace(";", ",")), STANDALONE)
    for name in sorted(name for name in found if name.startswith("acmedomain")):
        parsed = _parsed("acmedomain", found[name])
        domains[parsed["domain"]] = parsed.get("plugin", STANDALONE)
    return acme.get("account", "default"), domains


@pve("POST", "/nodes/{node}/wakeonlan")
async def wake(call: Call) -> Json:
    """Sent by the node that is asked, which therefore cannot be the one that sleeps."""
    host, node = call.host, call["node"]
    if node in (host.name, "localhost"):
        raise ParameterError({"node": TEXTS["local"].format(node=host.name)})
    found, _ = read(host, node)
    if "wakeonlan" not in found:
        raise AgentError(TEXTS["no_mac"].format(node=node))
    declared = load("pve9")["/nodes/{node}/config"]["PUT"].params["wakeonlan"]["format"]
    mac = parse_property_string(found["wakeonlan"], declared, path="wakeonlan", formats=NESTED)["mac"]
    host.supervisor.wake(node)
    return mac
