# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM's cloud-init drive holds: user data, network and meta data as cloud-init reads them (NoCloud)."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from agentstack import pam
from agentstack._shared.lists import split_list
from agentstack.errors import AgentError
from agentstack.guests import config as configs
from agentstack.guests import drives
from agentstack.guests.config import QEMU, GuestConfig

if TYPE_CHECKING:
    from agentstack.host import Host

OPTIONS = re.compile(r"ci(?:custom|password|type|user|upgrade)|ipconfig\d+|nameserver|searchdomain|sshkeys|name|net\d+")
"""What goes onto the drive."""

HIDDEN = "**********"
TEXTS = {"no_drive": "No cloud-init drive found"}


def hashed(password: str) -> str:
    """A password as the configuration keeps it; one that is hashed already stays as it is."""
    return password if password.startswith("$") else pam.hashed(password)


def drive_of(config: GuestConfig) -> drives.Drive:
    """The cloud-init drive of a VM. Raises AgentError without one."""
    found = next((drive for _, drive in drives.drives(QEMU, config) if drives.is_cloudinit(drive)), None)
    if found is None:
        raise AgentError(TEXTS["no_drive"])
    return found


def dump(host: Host, vmid: int, part: str) -> str:
    """The text of one part: user, network, meta."""
    return PARTS[part](host, configs.load(host, QEMU, vmid), vmid)


def rows(host: Host, vmid: int) -> list[dict[str, Any]]:
    """Settings as they are on the drive, and as they will be when it is made anew."""
    config = configs.load(host, QEMU, vmid)
    on_drive = _written(host, config)
    found = []
    now = {key: value for key, value in config.values.items() if OPTIONS.fullmatch(key) and _is_setting(key)}
    for key in sorted({*now, *on_drive}):
        row: dict[str, Any] = {"key": key}
        if key in on_drive:
            row["value"] = _shown(key, on_drive[key])
        if key not in now:
            row["delete"] = 1
        elif now[key] != on_drive.get(key):
            row["pending"] = _shown(key, now[key])
        found.append(row)
    return found


def _is_setting(key: str) -> bool:
    return not key.startswith("net") or key == "nameserver"


def _shown(key: str, value: str) -> str:
    return HIDDEN if key == "cipassword" else value


async def regenerate(host: Host, vmid: int) -> None:
    """Write the drive anew from the present settings."""
    async with host.guests.lock(vmid):
        config = configs.load(host, QEMU, vmid)
        write(host, config, vmid)


def write(host: Host, config: GuestConfig, vmid: int) -> None:
    """Put the settings onto the drive: a few blocks of text, as the image's files would hold them."""
    volume = drive_of(config).volume
    text = "".join(f"{key}: {value}\n" for key, value in sorted(config.values.items()) if OPTIONS.fullmatch(key))
    content = text.encode().ljust(drives.CLOUDINIT_SIZE, b"\0")[: drives.CLOUDINIT_SIZE]
    host.storage.path(volume).write_bytes(content)
    host.storage.commit(volume)


def _written(host: Host, config: GuestConfig) -> dict[str, str]:
    try:
        data = host.storage.path(drive_of(config).volume).read_bytes()
    except AgentError:
        return {}
    lines = data.rstrip(b"\0").decode("utf-8", "replace").splitlines()
    values = dict(line.split(": ", 1) for line in lines if ": " in line)
    return {key: value for key, value in values.items() if _is_setting(key)}


# ---- the parts ------------------------------------------------------------------------------------------------------


def _user(host: Host, config: GuestConfig, vmid: int) -> str:
    values = config.values
    name = values.get("name", f"VM{vmid}")
    domain = values.get("searchdomain", host.fqdn.partition(".")[2]).split()
    lines = ["#cloud-config", f"hostname: {name.partition('.')[0]}", "manage_etc_hosts: true"]
    lines.append(f"fqdn: {name if '.' in name else '.'.join([name, *domain[:1]])}")
    if user := values.get("ciuser"):
        lines.append(f"user: {user}")
    if password := values.get("cipassword"):
        lines.append(f"password: {password}")
    if keys := [key for key in unquote(values.get("sshkeys", "")).splitlines() if key.strip()]:
        lines += ["ssh_authorized_keys:", *(f"  - {key}" for key in keys)]
    lines += ["chpasswd:", "  expire: False"]
    if "ciuser" not in values or values["ciuser"] != "root":
        lines += ["users:", "  - default"]
    if values.get("ciupgrade", "1") == "1":
        lines.append("package_upgrade: true")
    return "\n".join(lines) + "\n"


def _cards(config: GuestConfig) -> list[tuple[str, str, Mapping[str, str]]]:
    """Name, address and IP settings of each network card."""
    keys = sorted((key for key in config.values if re.fullmatch(r"net\d+", key)), key=lambda key: int(key[3:]))
    found: list[tuple[str, str, Mapping[str, str]]] = []
    for key in keys:
        mac = config.values[key].partition(",")[0].partition("=")[2].lower()
        text = config.values.get(f"ipconfig{key[3:]}", "")
        found.append((f"eth{key[3:]}", mac, dict(part.partition("=")[::2] for part in text.split(",") if part)))
    return found


def _network(host: Host, config: GuestConfig, vmid: int) -> str:
    lines = ["version: 1", "config:"]
    for name, mac, settings in _cards(config):
        lines += ["    - type: physical", f"      name: {name}", f"      mac_address: '{mac}'", "      subnets:"]
        lines += _subnet(settings.get("ip"), settings.get("gw"), 4)
        lines += _subnet(settings.get("ip6"), settings.get("gw6"), 6)
        if lines[-1] == "      subnets:":
            lines.pop()
    servers = split_list(config.values.get("nameserver"))
    domains = config.values.get("searchdomain", host.fqdn.partition(".")[2]).split()
    if servers or domains:
        lines += ["    - type: nameserver", "      address:", *(f"      - '{server}'" for server in servers)]
        lines += ["      search:", *(f"      - '{domain}'" for domain in domains)]
    return "\n".join(lines) + "\n"


def _subnet(address: str | None, gateway: str | None, version: int) -> list[str]:
    if address is None:
        return []
    if "/" not in address:
        words = {"dhcp": f"dhcp{version}", "auto": "ipv6_slaac"}
        return [f"      - type: {words.get(address, address)}"]
    interface = ipaddress.ip_interface(address)
    if version == 6:
        lines = ["      - type: static6", f"        address: '{address}'"]
    else:
        lines = ["      - type: static", f"        address: '{interface.ip}'"]
        lines.append(f"        netmask: '{interface.network.netmask}'")
    return [*lines, *([f"        gateway: '{gateway}'"] if gateway else [])]


def _meta(host: Host, config: GuestConfig, vmid: int) -> str:
    both = _user(host, config, vmid) + _network(host, config, vmid)
    return f"instance-id: {hashlib.sha1(both.encode(), usedforsecurity=False).hexdigest()}\n"


PARTS: Mapping[str, Callable[[Host, GuestConfig, int], str]] = {"user": _user, "network": _network, "meta": _meta}
