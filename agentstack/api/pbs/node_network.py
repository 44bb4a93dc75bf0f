# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/localhost/network of a backup server: staged in `interfaces.new` until applied, typed (facts §18, §20.7)."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pbs
from agentstack.errors import AgentError
from agentstack.interfaces import Interface, format_interfaces, parse_interfaces
from agentstack.pbs.sections import DIGEST
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

FILE, STAGED = "etc/network/interfaces", "etc/network/interfaces.new"
_PATH = "/nodes/{node}/network"
_LISTS = ("bridge_ports", "slaves")
_TEXTS = ("bond_mode", "bond-primary", "bond_xmit_hash_policy", "cidr", "cidr6", "comments", "comments6", "gateway",
          "gateway6", "method", "method6", "vlan-raw-device")  # fmt: skip
_NUMBERS = ("mtu", "vlan-id")


def _text(host: Host) -> str:
    for name in (STAGED, FILE):
        path = host.root / name
        if path.exists():
            return path.read_text(encoding="utf-8")
    return ""


def _cards(host: Host) -> list[str]:
    """A card for each network that the host is on."""
    return [f"nic{number}" for number in range(len(host.addresses))]


def _interfaces(host: Host) -> dict[str, Interface]:
    found = parse_interfaces(_text(host))
    for card in _cards(host):
        if card not in found:
            found[card] = {"iface": card, "type": "eth", "method": "manual", "method6": "manual", "families": ["inet"]}
            found[card]["priority"] = (
                max((one["priority"] for one in found.values() if "priority" in one), default=1) + 1
            )
    return found


def _shown(host: Host, interface: Mapping[str, Any]) -> dict[str, Any]:
    """An interface with real booleans, numbers and arrays."""
    up = interface["iface"] in _cards(host) or interface["iface"] in parse_interfaces(
        (host.root / FILE).read_text(encoding="utf-8") if (host.root / FILE).exists() else ""
    )
    row: dict[str, Any] = {"name": interface["iface"], "type": interface["type"], "active": up, "altnames": []}
    row |= {"autostart": bool(interface.get("autostart")), "options": list(interface.get("options", []))}
    row["options6"] = list(interface.get("options6", []))
    row |= {name: interface[name] for name in _TEXTS if interface.get(name)}
    row |= {name: int(interface[name]) for name in _NUMBERS if interface.get(name)}
    row |= {name: split_list(interface[name]) for name in _LISTS if name in interface}
    if "bridge_vlan_aware" in interface:
        row["bridge_vlan_aware"] = bool(interface["bridge_vlan_aware"])
    return row


def _digest(host: Host) -> str:
    return hashlib.sha256(_text(host).encode()).hexdigest()


def _changes(host: Host) -> str:
    staged = host.root / STAGED
    if not staged.exists():
        return ""
    old = (host.root / FILE).read_text(encoding="utf-8") if (host.root / FILE).exists() else ""
    new = staged.read_text(encoding="utf-8")
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"/{FILE}", f"/{STAGED}"))


@pbs("GET", _PATH)
async def list_interfaces(call: Call) -> Json:
    call.extra |= {"digest": _digest(call.host), "changes": _changes(call.host)}
    return [_shown(call.host, interface) for interface in _interfaces(call.host).values()]


@pbs("GET", f"{_PATH}/{{iface}}")
async def read_interface(call: Call) -> Json:
    call.extra["digest"] = _digest(call.host)
    return _shown(call.host, _one(call))


def _one(call: Call, found: dict[str, Interface] | None = None) -> Interface:
    interface = (_interfaces(call.host) if found is None else found).get(call["iface"])
    if interface is None:
        raise AgentError(f"interface '{call['iface']}' does not exist.", status=404)
    return interface


@pbs("POST", _PATH)
async def create_interface(call: Call) -> Json:
    found, name = _interfaces(call.host), call["iface"]
    if name in found:
        raise AgentError(f"interface '{name}' already exists")
    priority = max((one["priority"] for one in found.values()), default=1) + 1
    found[name] = {"iface": name, "priority": priority, "type": call.get("type", "unknown"), "families": ["inet"]}
    _configure(call, found)


@pbs("PUT", f"{_PATH}/{{iface}}")
async def update_interface(call: Call) -> Json:
    if call.get("digest") not in (None, _digest(call.host)):
        raise AgentError(DIGEST)
    found = _interfaces(call.host)
    interface = _one(call, found)
    for name in call.get("delete", []):
        interface.pop(name, None)
        for part in ("address", "netmask") if name in ("cidr", "cidr6") else ():
            interface.pop(part + name[4:], None)
    _configure(call, found)


@pbs("DELETE", f"{_PATH}/{{iface}}")
async def delete_interface(call: Call) -> Json:
    if call.get("digest") not in (None, _digest(call.host)):
        raise AgentError(DIGEST)
    found = _interfaces(call.host)
    _one(call, found)
    del found[call["iface"]]
    _write(call.host, found)


@pbs("PUT", _PATH)
async def apply(call: Call) -> Json:
    """The addresses that other hosts reach this one by stay as they are."""
    host = call.host

    async def work(task: Task) -> None:
        staged = host.root / STAGED
        if staged.exists():
            staged.replace(host.root / FILE)
        task.log("ifreload -a")
        await host.clock.sleep(2)

    return host.tasks.start(call.identity, "srvreload", "networking", work)


@pbs("DELETE", _PATH)
async def revert(call: Call) -> Json:
    (call.host.root / STAGED).unlink(missing_ok=True)


def _configure(call: Call, found: dict[str, Interface]) -> None:
    interface = found[call["iface"]]
    names = (*_TEXTS, *_NUMBERS, *_LISTS, "bridge_vlan_aware", "autostart")
    given = {name: call[name] for name in names if name in call.params}
    for name in _LISTS:
        if name in given:
            given[name] = " ".join(split_list(given[name]))
            _check_members(call["iface"], given[name].split(), found)
    for name in ("gateway", "gateway6"):
        for other, one in found.items():
            if name in given and other != call["iface"] and one.get(name):
                raise AgentError(f"Default {name} already exists on interface '{other}'")
    interface |= {name: int(value) if isinstance(value, bool) else str(value) for name, value in given.items()}
    if interface["type"] == "vlan" and not re.fullmatch(r".+\.\d+|vlan\d+", interface["iface"]):
        for name in ("vlan-raw-device", "vlan-id"):
            if name not in interface:
                raise AgentError(f"{name} parameter is required")
    for end in ("", "6"):
        if interface.get(f"cidr{end}"):
            interface[f"method{end}"] = "static"
        else:
            interface.setdefault(f"method{end}", "manual")
    _write(call.host, found)


def _check_members(name: str, ports: list[str], found: dict[str, Interface]) -> None:
    for port in ports:
        for other, one in found.items():
            if other != name and any(port in split_list(one.get(option)) for option in _LISTS):
                raise AgentError(f"{port} is already used on interface '{other}'")


def _write(host: Host, found: dict[str, Interface]) -> None:
    path = host.root / STAGED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(format_interfaces(found.values()), encoding="utf-8")
