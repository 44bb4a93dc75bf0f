# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's files: `firewall/cluster.fw`, `nodes/NODE/host.fw`, `firewall/VMID.fw`.

[OPTIONS]
enable: 1

[ALIASES]
office 192.0.2.0/24 # comment

[IPSET management] # comment
!192.0.2.7 # nomatch

[RULES]
|IN SSH(ACCEPT) -i vmbr0 -source +management -log nolog # a bar in front: not enabled

[group web] # comment
IN ACCEPT -p tcp -dport 80
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

Rule = dict[str, Any]
"""A rule in the words of the API: type, action, enable, macro, proto, source, dest, sport, dport, iface, log,
icmp-type, comment."""

_SECTION = re.compile(r"\[(\S+?)(?:\s+(\S+))?\]\s*(?:#\s*(.*?))?\s*", re.IGNORECASE)
_OPTION = re.compile(r"([a-z][a-z_0-9]*):\s*(.+?)\s*")
_ALIAS = re.compile(r"([A-Za-z][\w-]+)\s+(\S+)\s*(?:#\s*(.*?))?\s*")
_MEMBER = re.compile(r"(!?)\s*(\S+)\s*(?:#\s*(.*?))?\s*")
_HEAD = re.compile(r"(\|?)(IN|OUT|FORWARD|GROUP)\s+(?:(\w+)\((\w+)\)|([\w-]+))\s*", re.IGNORECASE)
_SWITCH = re.compile(r"--?(i|p|proto|dport|sport|source|dest|log|icmp-type)\s+(\S+)\s*")
_SWITCHES = {"iface": "i", "source": "source", "dest": "dest", "proto": "p", "dport": "dport", "sport": "sport"}
_SWITCHES |= {"icmp-type": "icmp-type", "log": "log"}
_NAMES = {switch: name for name, switch in _SWITCHES.items()} | {"proto": "proto"}


@dataclass
class Alias:
    """A name for an address or network."""

    cidr: str
    comment: str = ""


@dataclass
class Member:
    """One entry of an IP set; `nomatch` takes it out of a larger one."""

    cidr: str
    nomatch: bool = False
    comment: str = ""


@dataclass
class IpSet:
    """A named set of addresses."""

    members: list[Member] = field(default_factory=list)
    comment: str = ""


@dataclass
class Group:
    """A named list of rules."""

    rules: list[Rule] = field(default_factory=list)
    comment: str = ""


@dataclass
class FirewallConfig:
    """One parsed file. Names of aliases and IP sets are case-insensitive and kept as written."""

    options: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    ipsets: dict[str, IpSet] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)


def parse_rule(line: str) -> Rule | None:
    """One line of rules; None for one that cannot be read."""
    line, _, comment = line.partition("#")
    head = _HEAD.match(line)
    if head is None:
        return None
    rule: Rule = {"type": head[2].lower(), "action": head[4] or head[5], "enable": 0 if head[1] else 1}
    if head[3]:
        rule["macro"] = head[3]
    rest = line[head.end() :].strip()
    while rest:
        switch = _SWITCH.match(f"{rest} ")
        if switch is None:
            return None
        rule[_NAMES[switch[1]]] = switch[2]
        rest = rest[switch.end() :].strip()
    return {**rule, "comment": comment.strip()} if comment.strip() else rule


def format_rule(rule: Rule) -> str:
    """A rule as it stands in the file."""
    action = f"{rule['macro']}({rule['action']})" if rule.get("macro") else rule["action"]
    words = [f"{'' if rule.get('enable') else '|'}{rule['type'].upper()} {action}"]
    words += [f"-{switch} {rule[name]}" for name, switch in _SWITCHES.items() if rule.get(name)]
    return _commented(" ".join(words), rule.get("comment", ""))


def _commented(text: str, comment: str) -> str:
    plain = " ".join(comment.split())
    return f"{text} # {plain}" if plain else text


def parse(text: str) -> FirewallConfig:
    """Read a file; lines that cannot be read are skipped, as the server does with a warning in its log."""
    config = FirewallConfig()
    kind, name = "", ""
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if section := _SECTION.fullmatch(line):
            kind, name, comment = section[1].lower(), (section[2] or "").lower(), section[3] or ""
            if kind == "ipset":
                config.ipsets[name] = IpSet(comment=comment)
            elif kind == "group":
                config.groups[name] = Group(comment=comment)
        elif kind == "options" and (option := _OPTION.fullmatch(line)):
            config.options[option[1]] = option[2]
        elif kind == "aliases" and (alias := _ALIAS.fullmatch(line)):
            config.aliases[alias[1]] = Alias(alias[2], alias[3] or "")
        elif kind == "ipset" and (member := _MEMBER.fullmatch(line)):
            config.ipsets[name].members.append(Member(member[2], bool(member[1]), member[3] or ""))
        elif kind in ("rules", "group") and (rule := parse_rule(line)) is not None:
            (config.rules if kind == "rules" else config.groups[name].rules).append(rule)
    return config


def format_config(config: FirewallConfig) -> str:
    """Write a file: options, aliases and sets by name, rules in their order, groups by name."""
    blocks: list[list[str]] = []
    if config.options:
        blocks.append(["[OPTIONS]", "", *(f"{name}: {value}" for name, value in sorted(config.options.items()))])
    if config.aliases:
        lines = [_commented(f"{name} {alias.cidr}", alias.comment) for name, alias in sorted(config.aliases.items())]
        blocks.append(["[ALIASES]", "", *lines])
    for name, ipset in sorted(config.ipsets.items()):
        members = [_commented(f"{'!' if each.nomatch else ''}{each.cidr}", each.comment) for each in ipset.members]
        blocks.append([_commented(f"[IPSET {name}]", ipset.comment), "", *members])
    if config.rules:
        blocks.append(["[RULES]", "", *map(format_rule, config.rules)])
    for name, group in sorted(config.groups.items()):
        blocks.append([_commented(f"[group {name}]", group.comment), "", *map(format_rule, group.rules)])
    return "\n".join("\n".join(block) + "\n" for block in blocks)
