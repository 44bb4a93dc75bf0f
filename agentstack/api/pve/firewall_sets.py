# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, aliases, IP sets, macros, references and the log of firewalls (facts §19)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.api.tables import load
from agentstack.errors import AgentError, ParameterError
from agentstack.firewall.config import Alias, FirewallConfig, IpSet, Member
from agentstack.firewall.formats import check_address, check_member
from agentstack.firewall.macros import MACROS
from agentstack.firewall.scopes import CLUSTER, EVERY, Scope, datacenter

TEXTS = {
    "no_option": "no such option '{name}'",
    "no_alias": "no such alias '{name}'",
    "alias_exists": "alias '{name}' already exists",
    "no_ipset": "no such IPSet '{name}'",
    "ipset_exists": "IPSet '{name}' already exists",
    "ipset_used": "IPSet '{name}' is not empty",
    "member_exists": "address '{cidr}' already exists",
    "no_member": "no such IP/Network '{cidr}' in IPSet '{name}'",
    "default_route": "0.0.0.0/0 and ::/0 cannot be in an IPSet",
}

LOG = "var/log/pve-firewall.log"
_CONTROL = frozenset({"node", "vmid", "vnet", "delete", "digest"})


def _commented(found: Mapping[str, Any], comment: str) -> dict[str, Any]:
    return {**found, "comment": comment} if comment else dict(found)


def register_options(scope: Scope) -> None:
    """Reading and setting options: numbers where the declaration has numbers."""
    path = f"{scope.base}/options"

    def declared() -> dict[str, Any]:
        params = load("pve9")[path]["PUT"].params
        return {name: param for name, param in params.items() if name not in _CONTROL}

    @pve("GET", path)
    async def read_options(call: Call) -> Json:
        config, digest = scope.read(call)
        known = declared()
        typed = {
            name: int(value) if known.get(name, {}).get("type") in ("integer", "boolean") else value
            for name, value in config.options.items()
        }
        return {**typed, "digest": digest}

    @pve("PUT", path)
    async def set_options(call: Call) -> Json:
        known = declared()
        for name in split_list(call.get("delete")):
            if name not in known:
                raise ParameterError({"delete": TEXTS["no_option"].format(name=name)})
        async with scope.changing(call) as config:
            for name in split_list(call.get("delete")):
                config.options.pop(name, None)
            for name in known:
                if call.get(name) is not None:
                    config.options[name] = str(call[name])
            if scope is CLUSTER and call.get("enable", 0) > 1:
                # enabling takes effect some time after it was asked for, by the second it is stored with
                config.options["enable"] = str(int(call.host.clock.now()))
        return None


# ---- aliases --------------------------------------------------------------------------------------------------------


def _alias(config: FirewallConfig, name: str) -> str:
    """The stored spelling of an alias."""
    found = next((known for known in config.aliases if known.lower() == name.lower()), None)
    if found is None:
        raise ParameterError({"name": TEXTS["no_alias"].format(name=name)})
    return found


def _describe_alias(name: str, alias: Alias) -> dict[str, Any]:
    found = {"name": name, "cidr": alias.cidr, "ipversion": check_address(alias.cidr) or 4}
    return _commented(found, alias.comment)


def register_aliases(scope: Scope) -> None:
    """Names for addresses."""
    path = f"{scope.base}/aliases"

    @pve("GET", path)
    async def list_aliases(call: Call) -> Json:
        config, digest = scope.read(call)
        return shuffled({**_describe_alias(*item), "digest": digest} for item in config.aliases.items())

    @pve("POST", path)
    async def create_alias(call: Call) -> Json:
        async with scope.changing(call) as config:
            if call["name"].lower() in map(str.lower, config.aliases):
                raise ParameterError({"name": TEXTS["alias_exists"].format(name=call["name"])})
            config.aliases[call["name"]] = Alias(call["cidr"], call.get("comment", ""))
        return None

    @pve("GET", f"{path}/{{name}}")
    async def read_alias(call: Call) -> Json:
        config, _ = scope.read(call)
        name = _alias(config, call["name"])
        return _describe_alias(name, config.aliases[name])

    @pve("PUT", f"{path}/{{name}}")
    async def update_alias(call: Call) -> Json:
        async with scope.changing(call) as config:
            name = _alias(config, call["name"])
            new = call.get("rename") or name
            if new.lower() != name.lower() and new.lower() in map(str.lower, config.aliases):
                raise ParameterError({"name": TEXTS["alias_exists"].format(name=new)})
            present = config.aliases.pop(name)
            config.aliases[new] = Alias(call["cidr"], call.get("comment", present.comment))
        return None

    @pve("DELETE", f"{path}/{{name}}")
    async def delete_alias(call: Call) -> Json:
        async with scope.changing(call) as config:
            del config.aliases[_alias(config, call["name"])]
        return None


# ---- IP sets --------------------------------------------------------------------------------------------------------


def _ipset(config: FirewallConfig, name: str) -> IpSet:
    if name.lower() not in config.ipsets:
        raise AgentError(TEXTS["no_ipset"].format(name=name))
    return config.ipsets[name.lower()]


def _member(ipset: IpSet, call: Call) -> Member:
    for member in ipset.members:
        if member.cidr.lower() == call["cidr"].lower():
            return member
    raise ParameterError({"cidr": TEXTS["no_member"].format(cidr=call["cidr"], name=call["name"])})


def _describe_member(member: Member) -> dict[str, Any]:
    found: dict[str, Any] = {"cidr": member.cidr, **({"nomatch": 1} if member.nomatch else {})}
    return _commented(found, member.comment)


def _check_member(scope: Scope, call: Call, config: FirewallConfig) -> None:
    cidr = call["cidr"]
    if cidr in ("0.0.0.0/0", "::/0"):
        raise ParameterError({"cidr": TEXTS["default_route"]})
    check_member(cidr)
    if check_address(cidr) is None:
        prefix, _, name = cidr.rpartition("/")
        places = [datacenter(call.host)] if prefix == "dc" else [config, datacenter(call.host)]
        if all(name.lower() not in map(str.lower, place.aliases) for place in places):
            raise ParameterError({"cidr": TEXTS["no_alias"].format(name=name)})


def register_ipsets(scope: Scope) -> None:
    """Sets of addresses."""
    path = f"{scope.base}/ipset"
    one = f"{path}/{{name}}"

    @pve("GET", path)
    async def list_ipsets(call: Call) -> Json:
        config, digest = scope.read(call)
        return shuffled(
            _commented({"name": name, "digest": digest}, ipset.comment) for name, ipset in config.ipsets.items()
        )

    @pve("POST", path)
    async def create_ipset(call: Call) -> Json:
        """Also renames a set, and changes its comment: `rename` is the present name."""
        name, old = call["name"].lower(), call.get("rename")
        async with scope.changing(call) as config:
            if (old is None or name != old.lower()) and name in config.ipsets:
                raise ParameterError({"name": TEXTS["ipset_exists"].format(name=call["name"])})
            if old is None:
                config.ipsets[name] = IpSet(comment=call.get("comment", ""))
                return None
            ipset = _ipset(config, old)
            del config.ipsets[old.lower()]
            ipset.comment = call.get("comment", ipset.comment)
            config.ipsets[name] = ipset
        return None

    @pve("GET", one)
    async def list_members(call: Call) -> Json:
        config, digest = scope.read(call)
        return shuffled(
            {**_describe_member(member), "digest": digest} for member in _ipset(config, call["name"]).members
        )

    @pve("POST", one)
    async def create_member(call: Call) -> Json:
        async with scope.changing(call) as config:
            ipset = _ipset(config, call["name"])
            if call["cidr"].lower() in {member.cidr.lower() for member in ipset.members}:
                raise ParameterError({"cidr": TEXTS["member_exists"].format(cidr=call["cidr"])})
            _check_member(scope, call, config)
            member = Member(call["cidr"], bool(call.get("nomatch")), call.get("comment", ""))
            ipset.members.insert(0, member)
        return None

    @pve("DELETE", one)
    async def delete_ipset(call: Call) -> Json:
        async with scope.changing(call) as config:
            if _ipset(config, call["name"]).members and not call.get("force"):
                raise AgentError(TEXTS["ipset_used"].format(name=call["name"]))
            del config.ipsets[call["name"].lower()]
        return None

    @pve("GET", f"{one}/{{cidr}}")
    async def read_member(call: Call) -> Json:
        config, digest = scope.read(call)
        return {**_describe_member(_member(_ipset(config, call["name"]), call)), "digest": digest}

    @pve("PUT", f"{one}/{{cidr}}")
    async def update_member(call: Call) -> Json:
        async with scope.changing(call) as config:
            member = _member(_ipset(config, call["name"]), call)
            member.comment = call.get("comment", "")
            member.nomatch = bool(call.get("nomatch"))
        return None

    @pve("DELETE", f"{one}/{{cidr}}")
    async def delete_member(call: Call) -> Json:
        async with scope.changing(call) as config:
            ipset = _ipset(config, call["name"])
            ipset.members.remove(_member(ipset, call))
        return None


# ---- what rules can name, and what they wrote -----------------------------------------------------------------------


def register_refs(scope: Scope) -> None:
    """What a rule of this firewall can name as source or destination."""

    @pve("GET", f"{scope.base}/refs")
    async def list_refs(call: Call) -> Json:
        places = {"dc": datacenter(call.host)}
        if scope is not CLUSTER:
            places["guest"] = scope.read(call)[0]
        rows = []
        for where, config in places.items():
            comments: dict[str, Mapping[str, Alias] | Mapping[str, IpSet]]
            comments = {"alias": config.aliases, "ipset": config.ipsets}
            for kind, named in comments.items():
                if call.get("type") not in (None, kind):
                    continue
                mark = "+" if kind == "ipset" else ""
                for name, each in named.items():
                    row = {"type": kind, "name": name, "ref": f"{mark}{where}/{name}", "scope": where}
                    rows.append(_commented(row, each.comment))
        return shuffled(rows)


def register_log(scope: Scope) -> None:
    """Lines that rules with a log level wrote, of one guest or all."""

    @pve("GET", f"{scope.base}/log")
    async def read_log(call: Call) -> Json:
        path = call.host.root / LOG
        lines = path.read_text().splitlines() if path.exists() else []
        if call.get("vmid") is not None:
            lines = [line for line in lines if line.startswith(f"{call['vmid']} ")]
        lines = [line for line in lines if _within(line, call.get("since", 0), call.get("until", 0))]
        call.total = len(lines)
        start, limit = call.get("start", 0), call.get("limit", 50)
        rows = [{"n": number, "t": text} for number, text in enumerate(lines, 1)]
        return rows[start : start + limit] if rows else [{"n": 1, "t": "no content"}]


def _within(line: str, since: int, until: int) -> bool:
    """Whether a line's own time (`VMID LEVEL CHAIN DD/Mon/YYYY:HH:MM:SS ZONE …`) lies in a span."""
    words = line.split()
    try:
        stamp = time.mktime(time.strptime(words[3], "%d/%b/%Y:%H:%M:%S"))
    except (IndexError, ValueError):
        return True
    return since <= stamp and (not until or stamp <= until)


@pve("GET", "/cluster/firewall/macros")
async def list_macros(call: Call) -> Json:
    return shuffled({"macro": name, "descr": text} for name, text in MACROS.items())


for each in EVERY:
    register_options(each)
    if each.sets:
        register_aliases(each)
        register_ipsets(each)
        register_refs(each)
    if each.log:
        register_log(each)
