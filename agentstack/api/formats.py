# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The named formats of Proxmox VE's parameters (facts §2): what each accepts and how the server says no.

A format is a pattern, a function that raises ValueError, or the schema of a property string. `NAME-list` is a list of
`NAME`, `NAME-opt` also takes the empty string. A name that is not here is not checked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from agentstack._shared import calendar_event
from agentstack._shared.lists import split_list
from agentstack._shared.property_string import PropertyStringError, parse_property_string

Checker = Callable[[str], object]

_USER = r"[^\s:/]+"
_REALM = r"[A-Za-z][A-Za-z0-9.\-_]+"
_NAME = r"[A-Za-z0-9.\-_]+"
_DNS = r"(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?)\.)*(?:[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?)"
_STORAGE_ID = r"[A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]"
_MAIL = r"[\w+\-~]+(?:\.[\w+\-~]+)*@(?:[a-zA-Z0-9\-]+\.)*[a-zA-Z0-9\-]+"
_CONTENT = ("images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none")

PATTERNS: dict[str, tuple[str, str]] = {
    "pve-configid": (r"[A-Za-z][A-Za-z0-9_\-]+", "invalid configuration ID '{}'"),
    "pve-node": (r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?", "value does not look like a valid node name"),
    "pve-vmid": (r"[1-9][0-9]{2,8}", "value does not look like a valid VM ID"),
    "pve-storage-id": (_STORAGE_ID, "storage ID '{}' contains illegal characters"),
    "pve-bridge-id": (r"[-_.\w]+", "invalid bridge ID '{}'"),
    "pve-iface": (r"[a-zA-Z][a-zA-Z0-9_]{1,20}(?:[:.]\d+)?", "invalid network interface name '{}'"),
    "pve-userid": (rf"(?=.{{3,64}}\Z){_USER}@{_REALM}", "value '{}' does not look like a valid user name"),
    "pve-tokenid": (rf"{_USER}@{_REALM}!{_REALM}", "value '{}' does not look like a valid token ID"),
    "pve-groupid": (_NAME, "group name '{}' contains invalid characters"),
    "pve-roleid": (_NAME, "role name '{}' contains invalid characters"),
    "pve-poolid": (rf"{_NAME}(?:/{_NAME}){{0,2}}", "value does not look like a valid pool ID"),
    "pve-realm": (rf"(?=.{{2,32}}\Z){_REALM}", "value does not look like a valid realm"),
    "pve-ha-resource-id": (r"[a-z]+:\S+", "value does not look like a valid ha resource id"),
    "pve-ha-resource-or-vm-id": (r"[a-z]+:\S+|\d+", "value does not look like a valid ha resource id"),
    "pve-replication-job-id": (r"[1-9][0-9]{2,8}-\d{1,9}", "invalid replication job id '{}'"),
    "dns-name": (_DNS, "value does not look like a valid DNS name"),
    "mac-addr": (
        r"(?i:[0-9a-f][02468ace](?::[0-9a-f]{2}){5})",
        "value does not look like a valid unicast MAC address",
    ),
    "mac-prefix": (
        r"(?i:[0-9a-f][02468ace](?::[0-9a-f]{2}){0,2}:?)",
        "value is not a valid unicast MAC address prefix",
    ),
    "email": (_MAIL, "value does not look like a valid email address"),
    "email-or-username": (rf"{_MAIL}|{_USER}@{_REALM}", "value does not look like a valid email address or user name"),
    "pve-storage-path": (r"/[^;()]+", "value does not look like a valid absolute path"),
    "pve-storage-path-in-property-string": (r"/[^;(),=]+", "value does not look like a valid absolute path"),
    "pve-storage-vgname": (r"[a-zA-Z0-9](?:[a-zA-Z0-9\-_.]*[a-zA-Z0-9])", "lvm name '{}' contains illegal characters"),
    "pve-storage-content": ("|".join(_CONTENT), "invalid content type '{}'"),
    "pve-storage-format": ("raw|qcow2|vmdk|subvol", "invalid format '{}'"),
    "pve-volume-id": (rf"{_STORAGE_ID}:.+", "unable to parse volume ID '{}'"),
    "pve-day-of-week": (r"mon|tue|wed|thu|fri|sat|sun", "invalid day '{}'"),
    "pve-tag": (r"(?i:[a-z0-9_][a-z0-9_\-+.]*)", "invalid characters in tag"),
    "pve-task-status-type": ("ok|error|warning|unknown", "invalid task status type '{}'"),
    "disk-size": (r"\d+(?:\.\d+)?[KMGT]?", "value does not look like a valid disk size: {}"),
    "fingerprint-sha256": (
        r"(?:[A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}",
        "value does not look like a valid SHA256 fingerprint",
    ),
    "storage-pair": (rf"{_STORAGE_ID}(?::{_STORAGE_ID})?|1", "value '{}' is not a valid storage pair"),
    "bridge-pair": (r"[-_.\w]+(?::[-_.\w]+)?|1", "value '{}' is not a valid bridge pair"),
    "urlencoded": (r"[-%a-zA-Z0-9_.!~*'()]*", "invalid urlencoded string: {}"),
    "ldap-simple-attr": (r"[a-zA-Z0-9]+", "value '{}' does not look like a simple ldap attribute name"),
    "string": (r"(?s:.*)", ""),
}

NETMASKS = {str(ipaddress.IPv4Network((0, bits)).netmask) for bits in range(33)}


def _address(text: str, version: int | None = None) -> None:
    name = f"IPv{version}" if version else "IP"
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"value does not look like a valid {name} address") from None
    if version is not None and found.version != version:
        raise ValueError(f"value does not look like a valid {name} address")


def _network(text: str, version: int | None = None) -> None:
    name = f"IPv{version}" if version else "IPv4 or IPv6"
    address, slash, bits = text.partition("/")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        found = None
    fits = found is not None and slash and re.fullmatch(r"\d{1,3}", bits) and version in (None, found.version)
    # prefixes below 8 are refused (facts §2)
    if not fits or found is None or not 8 <= int(bits) <= found.max_prefixlen:
        raise ValueError(f"value does not look like a valid {name} network")


def _name_or_address(text: str) -> None:
    try:
        _address(text)
    except ValueError:
        if re.fullmatch(_DNS, text) is None:
            raise ValueError("value does not look like a valid IP address or DNS name") from None


def _portal(text: str) -> None:
    match = re.fullmatch(r"(.+?)(?::(\d{1,5}))?", text)
    host = match[1] if match else text
    try:
        _name_or_address(text if text.count(":") > 1 else host.strip("[]"))
    except ValueError:
        raise ValueError("value does not look like a valid server name or IP address") from None


def _server(text: str) -> None:
    try:
        _name_or_address(text)
    except ValueError:
        raise ValueError("value does not look like a valid server name or IP address") from None


def _netmask(text: str) -> None:
    if text not in NETMASKS:
        raise ValueError("value does not look like a valid IP netmask")


def _calendar(text: str) -> None:
    try:
        calendar_event.parse(text)
    except ValueError as error:
        # the real text ends in two line feeds: its own and the parser's (observed: PUT /cluster/replication)
        raise ValueError(f"{error}\n") from error


def _node_priority(text: str) -> None:
    if re.fullmatch(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?(?::\d+)?", text) is None:
        raise ValueError("value does not look like a valid ha node list")


def _vlan(text: str) -> None:
    low, _, high = text.partition("-")
    if not (low.isdecimal() and (high or low).isdecimal() and 2 <= int(low) <= int(high or low) <= 4094):
        raise ValueError(f"invalid VLAN configuration '{text}'")


def _startup(text: str) -> None:
    for part in text.split(","):
        if re.fullmatch(r"\s*(?:\d+|(?:order|up|down)=\d+)\s*", part) is None:
            raise ValueError("unable to parse startup options")


def _cpuset(text: str) -> None:
    if re.fullmatch(r"\s*\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\s*", text) is None:
        raise ValueError("unable to parse cpuset")


def _address_or_network(text: str) -> None:
    try:
        _network(text) if "/" in text else _address(text)
    except ValueError:
        raise ValueError(f"value does not look like a valid IP address or CIDR network: {text}") from None


CHECKERS: dict[str, Checker] = {
    "ip": _address,
    "ipv4": lambda text: _address(text, 4),
    "ipv6": lambda text: _address(text, 6),
    "ipv4mask": _netmask,
    "address": _name_or_address,
    "CIDR": _network,
    "CIDRv4": lambda text: _network(text, 4),
    "CIDRv6": lambda text: _network(text, 6),
    "IPorCIDR": _address_or_network,
    "pve-calendar-event": _calendar,
    "pve-ha-node": _node_priority,
    "pve-ha-group-node": _node_priority,
    "pve-vlan-id-or-range": _vlan,
    "pve-storage-server": _server,
    "pve-storage-portal-dns": _portal,
    "pve-startup-order": _startup,
    "pve-cpuset": _cpuset,
}

_KEEP = {"type": "integer", "optional": 1, "minimum": 0}

PROPERTY_STRINGS: dict[str, Mapping[str, Mapping[str, Any]]] = {
    "prune-backups": {
        "keep-all": {"type": "boolean", "optional": 1},
        **{f"keep-{period}": _KEEP for period in ("last", "hourly", "daily", "weekly", "monthly", "yearly")},
    },
    "backup-performance": {
        "max-workers": {"type": "integer", "optional": 1, "minimum": 1, "maximum": 256},
        "pbs-entries-max": {"type": "integer", "optional": 1, "minimum": 1},
    },
    "backup-fleecing": {
        "enabled": {"type": "boolean", "optional": 1, "default_key": 1},
        "storage": {"type": "string", "optional": 1, "format": "pve-storage-id"},
    },
}
"""Named formats that are property strings."""


def register(name: str, checker: Checker) -> None:
    """Add a format that a branch of the tree needs; `checker` raises ValueError with the server's words."""
    CHECKERS[name] = checker


def check(name: str, text: str, path: str = "") -> None:
    """Check a text against a named format; raises ValueError with the detail after `invalid format - `.

    `path` is the parameter's name; faults inside of a property string start with it.
    """
    checker = CHECKERS.get(name)
    if checker is not None:
        checker(text)
        return
    pattern = PATTERNS.get(name)
    if pattern is not None:
        if re.fullmatch(pattern[0], text) is None:
            raise ValueError(pattern[1].format(text))
        return
    schema = PROPERTY_STRINGS.get(name)
    if schema is not None:
        parse_property_string(text, schema, path=path, formats=NESTED)
        return
    if name.endswith("-opt"):
        if text:
            check(name.removesuffix("-opt"), text, path)
    elif name.endswith("-list"):
        for part in split_list(text):
            check(name.removesuffix("-list"), part, path)


class _Nested(Mapping[str, Checker]):
    """All named formats as the parser of property strings looks them up."""

    def __getitem__(self, name: str) -> Checker:
        return partial(check, name)

    def __iter__(self) -> Iterator[str]:
        return iter({**CHECKERS, **PATTERNS, **PROPERTY_STRINGS})

    def __len__(self) -> int:
        return len(CHECKERS) + len(PATTERNS) + len(PROPERTY_STRINGS)


NESTED = _Nested()


def check_format(form: str | Mapping[str, Mapping[str, Any]], text: str, path: str) -> None:
    """Check a text against a declared format, named or spelt out; raises ValueError as `check` does."""
    if isinstance(form, str):
        check(form, text, path)
    else:
        parse_property_string(text, form, path=path, formats=NESTED)


__all__ = ["PropertyStringError", "check", "check_format", "register"]
