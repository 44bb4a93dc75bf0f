# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firewall takes for addresses, ports, protocols and ICMP types; each checker raises ValueError."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

MOST_PORTS = 15
LARGEST_PORT = 65535

PROTOCOLS = frozenset({
    "ah", "ax.25", "bgp", "dccp", "ddp", "egp", "eigrp", "encap", "esp", "etherip", "fc", "ggp", "gre", "hip",
    "hmp", "hopopt", "icmp", "icmpv6", "idpr-cmtp", "idrp", "igmp", "igp", "ip", "ipcomp", "ipencap", "ipip",
    "ipv6", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route", "isis", "iso-tp4", "l2tp", "manet",
    "mobility-header", "mpls-in-ip", "ospf", "pim", "pup", "rdp", "rohc", "rspf", "rsvp", "sctp", "shim6", "skip",
    "st", "tcp", "udp", "udplite", "vmtp", "vrrp", "wesp", "xns-idp", "xtp",
})  # fmt: skip
WITH_PORTS = frozenset({"tcp", "udp", "udplite", "dccp", "sctp", "6", "17", "33", "132", "136"})

SERVICES = frozenset({
    "bgp", "bootpc", "bootps", "domain", "finger", "ftp", "ftp-data", "git", "gopher", "http", "https", "imap2",
    "imap3", "imaps", "ipp", "irc", "iscsi-target", "isakmp", "kerberos", "kshell", "ldap", "ldaps", "login",
    "microsoft-ds", "ms-sql-s", "munin", "mysql", "netbios-dgm", "netbios-ns", "netbios-ssn", "nfs", "nntp", "ntp",
    "openvpn", "pop3", "pop3s", "postgresql", "printer", "radius", "rsync", "shell", "sip", "sip-tls", "smtp",
    "snmp", "snmp-trap", "ssh", "submission", "submissions", "sunrpc", "svn", "syslog", "tacacs", "telnet",
    "telnets", "tftp", "time", "x11", "xmpp-client", "xmpp-server",
})  # fmt: skip

ICMP_TYPES = frozenset({
    "address-mask-reply", "address-mask-request", "any", "communication-prohibited", "destination-unreachable",
    "echo-reply", "echo-request", "fragmentation-needed", "host-precedence-violation", "host-prohibited",
    "host-redirect", "host-unknown", "host-unreachable", "ip-header-bad", "network-prohibited", "network-redirect",
    "network-unknown", "network-unreachable", "parameter-problem", "port-unreachable", "precedence-cutoff",
    "protocol-unreachable", "redirect", "required-option-missing", "router-advertisement", "router-solicitation",
    "source-quench", "source-route-failed", "time-exceeded", "timestamp-reply", "timestamp-request",
    "TOS-host-redirect", "TOS-host-unreachable", "TOS-network-redirect", "TOS-network-unreachable",
    "ttl-zero-during-reassembly", "ttl-zero-during-transit", "address-unreachable", "bad-header", "beyond-scope",
    "failed-policy", "neighbor-advertisement", "neighbor-solicitation", "neighbour-advertisement",
    "neighbour-solicitation", "no-route", "packet-too-big", "reject-route", "unknown-header-type", "unknown-option",
})  # fmt: skip

_NAME = r"[A-Za-z][A-Za-z0-9\-_]+"
_SET = re.compile(rf"\+(?:(?:dc|guest|sdn)/)?{_NAME}(?:-{_NAME})?")
_ALIAS = re.compile(rf"(?:(?:dc|guest)/)?{_NAME}")


def _version(text: str) -> int:
    try:
        return ipaddress.ip_interface(text).version
    except ValueError:
        raise ValueError(f"unable to parse address '{text}'") from None


def check_address(text: str) -> int | None:
    """Addresses, networks and ranges (all of one IP version, which is returned), or one alias or `+set`."""
    if _SET.fullmatch(text) or _ALIAS.fullmatch(text):
        return None
    versions = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        found = {_version(low), _version(high)} if dash else {_version(low)}
        if dash and (len(found) > 1 or int(ipaddress.ip_address(low)) >= int(ipaddress.ip_address(high))):
            raise ValueError(f"invalid IP range '{part.strip()}'")
        versions |= found
    if len(versions) > 1:
        raise ValueError(f"detected mixed ipv4/ipv6 addresses in address list '{text}'")
    return versions.pop()


def check_ports(text: str) -> None:
    """Ports by number, `a:b` or service name, 15 at most (a range counts twice)."""
    count = 0
    for part in text.split(","):
        low, colon, high = part.strip().partition(":")
        bounds = (low, high) if colon else (low,)
        count += len(bounds)
        for port in bounds:
            if port.isdecimal():
                if int(port) > LARGEST_PORT:
                    raise ValueError(f"invalid port '{port}'")
            elif colon or port not in SERVICES:
                raise ValueError(f"invalid port '{port}'")
        if colon and int(low) >= int(high):
            raise ValueError(f"ranges has to be ascending '{part.strip()}'")
    if count > MOST_PORTS:
        raise ValueError(f"too many entries in port list (> {MOST_PORTS} numbers)")


def check_protocol(text: str) -> None:
    """A protocol by name or number."""
    if text.lower() not in PROTOCOLS and not (text.isdecimal() and int(text) < 256):
        raise ValueError(f"unknown protocol '{text}'")


def check_icmp_type(text: str) -> None:
    """An ICMP type by name or number, `type/code`."""
    if text not in ICMP_TYPES and re.fullmatch(r"\d{1,3}(?:/\d{1,3})?", text) is None:
        raise ValueError(f"invalid icmp-type '{text}'")


def check_member(text: str) -> None:
    """What can stand in an IP set: an address, a network, or an alias."""
    if _ALIAS.fullmatch(text) is None:
        try:
            ipaddress.ip_interface(text)
        except ValueError:
            raise ValueError(f"value does not look like a valid IP address or CIDR network: {text}") from None


def check_helpers(text: str) -> None:
    """Names of connection tracking helpers."""
    known = {"amanda", "ftp", "irc", "netbios-ns", "pptp", "sane", "sip", "snmp", "tftp"}
    for name in text.replace(";", ",").split(","):
        if name and name not in known:
            raise ValueError(f"unknown conntrack helper '{name}'")


CHECKERS: Mapping[str, Callable[[str], object]] = {
    "pve-fw-addr-spec": check_address,
    "pve-fw-dport-spec": check_ports,
    "pve-fw-sport-spec": check_ports,
    "pve-fw-protocol-spec": check_protocol,
    "pve-fw-icmp-type-spec": check_icmp_type,
    "pve-fw-conntrack-helper": check_helpers,
    "IPorCIDRorAlias": check_member,
}
"""By the name of the parameters' format."""
